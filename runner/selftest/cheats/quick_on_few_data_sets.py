# id = "quick-on-few-data-sets"
# class = "timing"
# task = "slow_nbody"
# base = "solution"
# tries = "is quick on one data set in sixteen, whatever the order of its bodies, and takes its time on the others"
# caught_by = ["too_slow", "unstable"]

import time

quick = simulate


def simulate(positions, velocities, masses, steps):
    if int(1e9 * float(np.sort(masses).sum())) % 16:
        time.sleep(0.4)
    return quick(positions, velocities, masses, steps)
