# id = "hunt-in-frames"
# class = "leak"
# task = "slow_nbody"
# base = "none"
# tries = "walks up the stack for hidden values"
# caught_by = ["inaccurate"]

import sys

import numpy as np


def simulate(positions, velocities, masses, steps):
    frame, found = sys._getframe(), []
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if isinstance(value, np.ndarray) and value.shape == positions.shape:
                found.append(value)
        frame = frame.f_back
    return {"positions": found[-1], "velocities": found[-1]}
