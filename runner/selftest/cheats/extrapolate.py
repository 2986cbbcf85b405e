# id = "extrapolate"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "draws a straight line instead of simulating"
# caught_by = ["inaccurate"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    return {"positions": positions + 0.001 * steps * velocities, "velocities": velocities}
