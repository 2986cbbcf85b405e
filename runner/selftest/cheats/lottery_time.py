# id = "lottery-time"
# class = "timing"
# task = "slow_nbody"
# base = "solution"
# tries = "takes its time in two samples of three"
# caught_by = ["too_slow", "unstable", "inconclusive"]

import os
import time

quick = simulate


def simulate(positions, velocities, masses, steps):
    if os.urandom(1)[0] % 3:
        time.sleep(0.4)
    return quick(positions, velocities, masses, steps)
