# id = "half-precision"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "answers in another type"
# caught_by = ["bad_answer"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": positions.astype(np.float16), "velocities": velocities.astype(np.float16)}
