# id = "preallocated"
# task = "slow_nbody"
# base = "none"
# does = "reuses its buffers"

import numpy as np


def simulate(positions, velocities, masses, steps):
    where, speed = positions.T.copy(), velocities.T.copy()
    count = len(masses)
    apart, square, pull = np.empty((3, count, count)), np.empty((count, count)), np.empty((count, count))
    for _ in range(int(steps)):
        np.subtract(where[:, None, :], where[:, :, None], out=apart)
        np.einsum("kij,kij->ij", apart, apart, out=square)
        square += 1e-2
        np.sqrt(square, out=pull)
        pull *= square
        np.divide(masses, pull, out=pull)
        speed += 0.001 * np.einsum("kij,ij->ki", apart, pull)
        where += 0.001 * speed
    return {"positions": where.T.copy(), "velocities": speed.T.copy()}
