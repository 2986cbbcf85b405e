# id = "half-precision-inside"
# class = "precision"
# task = "slow_nbody"
# base = "none"
# tries = "computes in half precision and answers in double"
# caught_by = ["inaccurate", "unsafe:same-in-any-order"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    where, speed, weights = (each.astype(np.float16) for each in (positions, velocities, masses))
    for _ in range(steps):
        apart = where[None] - where[:, None]
        pull = weights / ((apart**2).sum(2) + np.float16(1e-2)) ** np.float16(1.5)
        speed = speed + np.float16(0.001) * (apart * pull[:, :, None]).sum(1)
        where = where + np.float16(0.001) * speed
    return {"positions": where.astype(np.float64), "velocities": speed.astype(np.float64)}
