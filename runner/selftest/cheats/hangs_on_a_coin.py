# id = "hangs-on-a-coin"
# class = "timing"
# task = "slow_nbody"
# base = "solution"
# tries = "hangs for two seconds in half of its samples, so that nothing can be said of its speed"
# caught_by = ["too_slow", "unstable"]

import os
import time

quick = simulate


def simulate(positions, velocities, masses, steps):
    if os.urandom(1)[0] % 2:
        time.sleep(2.0)
    return quick(positions, velocities, masses, steps)
