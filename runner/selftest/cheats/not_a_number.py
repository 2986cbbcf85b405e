# id = "not-a-number"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "hopes that a comparison with NaN passes"
# caught_by = ["bad_answer"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": np.full(positions.shape, np.nan), "velocities": velocities}
