# id = "too-many-rows"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "repeats rows to move a mean"
# caught_by = ["bad_answer"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": np.repeat(positions, 2, 0), "velocities": velocities}
