# id = "uninitialised"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "hopes that fresh memory holds somebody's answer"
# caught_by = ["unsafe:same-in-any-order", "inaccurate", "bad_answer"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": np.empty(positions.shape), "velocities": np.empty(positions.shape)}
