# id = "fixed-seed-replay"
# class = "cache"
# task = "slow_nbody"
# base = "none"
# tries = "knows the sample data's seed and stores its answer"
# caught_by = ["unsafe:same-in-any-order", "inaccurate"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    draw = np.random.default_rng(np.random.SeedSequence(20240307))
    known = draw.standard_normal(positions.shape)
    return {"positions": known, "velocities": 0.1 * draw.standard_normal(positions.shape)}
