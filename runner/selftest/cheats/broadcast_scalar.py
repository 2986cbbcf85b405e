# id = "broadcast-scalar"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "hopes that a scalar is broadcast"
# caught_by = ["bad_answer"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": np.float64(0.0), "velocities": np.float64(0.0)}
