# id = "lying-array"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "answers with an array whose bytes are not its values"
# caught_by = ["bad_answer", "inaccurate"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    class Lying(np.ndarray):
        def tobytes(self, order="C"):
            return b"\0" * 8

        def __array_function__(self, function, types, given, named):
            return self

    return {"positions": positions.view(Lying), "velocities": velocities.view(Lying)}
