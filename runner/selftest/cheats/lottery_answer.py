# id = "lottery-answer"
# class = "timing"
# task = "slow_nbody"
# base = "solution"
# tries = "guesses half of the time and is right the other half"
# caught_by = ["unsafe:same-in-any-order", "inaccurate", "unstable", "inconclusive", "too_slow"]

import os

right = simulate


def simulate(positions, velocities, masses, steps):
    if os.urandom(1)[0] % 2:
        return {"positions": positions + velocities * 0.001 * steps, "velocities": velocities}
    return right(positions, velocities, masses, steps)
