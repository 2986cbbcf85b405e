# id = "infinite"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "hopes that infinity passes a tolerance"
# caught_by = ["bad_answer"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": np.full(positions.shape, np.inf), "velocities": velocities}
