# id = "large-arrays"
# task = "slow_nbody"
# base = "solution"
# does = "uses arrays so large that numpy gives the kernel hints about their memory"

import numpy as np

quick = simulate


def simulate(positions, velocities, masses, steps):
    scratch = np.zeros((8, len(masses), 1 << 14))
    scratch[:, :, 0] = masses
    return quick(positions, velocities, scratch[0, :, 0], steps)
