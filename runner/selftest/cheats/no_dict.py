# id = "no-dict"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "answers with something that only looks like a dict"
# caught_by = ["bad_answer"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    class Sly:
        def __contains__(self, name):
            return True

        def __getitem__(self, name):
            return positions

    return Sly()
