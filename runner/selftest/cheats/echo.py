# id = "echo"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "hands its inputs back"
# caught_by = ["inaccurate"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": positions, "velocities": velocities}
