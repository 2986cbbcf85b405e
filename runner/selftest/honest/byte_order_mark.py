# id = "byte-order-mark"
# task = "slow_nbody"
# base = "none"
# does = "begins with a byte order mark, as editors of some systems write it"

import numpy as np


def simulate(positions, velocities, masses, steps):
    where, speed = positions.copy(), velocities.copy()
    for _ in range(int(steps)):
        apart = where[None] - where[:, None]
        square = (apart * apart).sum(axis=2) + 1e-2
        speed += 0.001 * (apart * (masses / (square * np.sqrt(square)))[:, :, None]).sum(axis=1)
        where += 0.001 * speed
    return {"positions": where, "velocities": speed}
