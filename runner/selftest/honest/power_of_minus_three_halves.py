# id = "power-of-minus-three-halves"
# task = "slow_nbody"
# base = "none"
# does = "takes one power instead of a root and a product"

import numpy as np


def simulate(positions, velocities, masses, steps):
    where, speed = positions.T.copy(), velocities.T.copy()
    for _ in range(int(steps)):
        apart = where[:, None, :] - where[:, :, None]
        square = np.einsum("kij,kij->ij", apart, apart) + 1e-2
        speed += 0.001 * np.einsum("kij,ij->ki", apart, masses * square**-1.5)
        where += 0.001 * speed
    return {"positions": where.T.copy(), "velocities": speed.T.copy()}
