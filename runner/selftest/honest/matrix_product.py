# id = "matrix-product"
# task = "slow_nbody"
# base = "none"
# does = "turns the sum over bodies into a matrix product"

import numpy as np


def simulate(positions, velocities, masses, steps):
    where, speed = positions.copy(), velocities.copy()
    for _ in range(int(steps)):
        apart = where.T[:, :, None] - where.T[:, None, :]
        square = np.einsum("kij,kij->ij", apart, apart) + 1e-2
        pull = masses / (square * np.sqrt(square))
        speed += 0.001 * (pull @ where - pull.sum(axis=1)[:, None] * where)
        where += 0.001 * speed
    return {"positions": where, "velocities": speed}
