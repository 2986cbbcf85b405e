# id = "large-arrays"
# task = "slow_nbody"
# base = "solution"
# does = "uses arrays so large that numpy gives the kernel hints about their memory"

import numpy as np

quick = simulate


def simulate(positions, velocities, masses, steps):
    scratch = np.zeros((len(masses), 1 << 14))  # numpy gives hints from four MiB on
    scratch[:, 0] = masses
    return quick(positions, velocities, scratch[:, 0], steps)
