# id = "too-few-rows"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "answers the easy bodies only"
# caught_by = ["bad_answer"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": positions[:1], "velocities": velocities[:1]}
