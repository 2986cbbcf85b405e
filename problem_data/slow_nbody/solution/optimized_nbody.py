"""The same simulation with all pairs at once."""

import numpy as np

SOFTENING = 1e-2
DT = 0.001


def simulate(positions, velocities, masses, steps):
    where, speed = positions.T.copy(), velocities.T.copy()
    count = len(masses)
    apart = np.empty((3, count, count))
    for _ in range(steps):
        np.subtract(where[:, None, :], where[:, :, None], out=apart)
        square = np.einsum("kij,kij->ij", apart, apart)
        square += SOFTENING
        pull = masses / (square * np.sqrt(square))
        speed += DT * np.einsum("kij,ij->ki", apart, pull)
        where += DT * speed
    return {"positions": np.ascontiguousarray(where.T), "velocities": np.ascontiguousarray(speed.T)}
