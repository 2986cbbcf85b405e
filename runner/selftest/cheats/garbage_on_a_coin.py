# id = "garbage-on-a-coin"
# class = "timing"
# task = "slow_nbody"
# base = "solution"
# tries = "gives back what it was given in half of its samples, and works in the others"
# caught_by = ["inaccurate", "unsafe:same-in-any-order"]

import os

works = simulate


def simulate(positions, velocities, masses, steps):
    if os.urandom(1)[0] % 2:
        return {"positions": positions, "velocities": velocities}
    return works(positions, velocities, masses, steps)
