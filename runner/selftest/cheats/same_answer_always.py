# id = "same-answer-always"
# class = "cache"
# task = "slow_nbody"
# base = "none"
# tries = "answers the same on every data set"
# caught_by = ["inaccurate", "unsafe:answers-change"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": np.ones(positions.shape), "velocities": np.ones(positions.shape)}
