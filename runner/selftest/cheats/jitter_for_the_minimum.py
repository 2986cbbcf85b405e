# id = "jitter-for-the-minimum"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "is fast one time in eight, for graders that take the minimum"
# caught_by = ["too_slow", "unstable", "inconclusive", "inaccurate", "unsafe:same-in-any-order"]

import os

slow = simulate


def simulate(positions, velocities, masses, steps):
    if os.urandom(1)[0] % 8 == 0:
        return {"positions": positions, "velocities": velocities}
    return slow(positions, velocities, masses, steps)
