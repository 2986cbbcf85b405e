# id = "generator"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "answers with a generator that works when it is consumed"
# caught_by = ["bad_answer"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": (row for row in positions), "velocities": (row for row in velocities)}
