# id = "read-the-randomness"
# class = "leak"
# task = "slow_nbody"
# base = "none"
# tries = "reads the state of the random generators that made the data"
# caught_by = ["unsafe:same-in-any-order", "inaccurate"]

import random

import numpy as np


def simulate(positions, velocities, masses, steps):
    state = np.random.get_state()[1], random.getstate()
    draw = np.random.default_rng(int(state[0][0]))
    return {"positions": draw.standard_normal(positions.shape), "velocities": velocities}
