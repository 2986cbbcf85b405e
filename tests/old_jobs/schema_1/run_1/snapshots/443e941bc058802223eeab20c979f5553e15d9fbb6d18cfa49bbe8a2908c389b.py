"""All pairs at once, one axis after the other."""

import numpy as np


def simulate(positions, velocities, masses, steps):
    where, speed = positions.T.copy(), velocities.T.copy()
    for _ in range(int(steps)):
        apart = where[:, None, :] - where[:, :, None]
        square = apart[0] * apart[0] + apart[1] * apart[1] + apart[2] * apart[2] + 1e-2
        pull = masses / (square * np.sqrt(square))
        for axis in range(3):
            speed[axis] += 0.001 * np.einsum("ij,ij->i", apart[axis], pull)
        where += 0.001 * speed
    return {"positions": np.ascontiguousarray(where.T), "velocities": np.ascontiguousarray(speed.T)}
