# id = "warms-up-first"
# task = "slow_nbody"
# base = "solution"
# does = "calls itself once for one step before it begins, as authors do who had to wait for a compiler"

steps_of = simulate


def simulate(positions, velocities, masses, steps):
    steps_of(positions, velocities, masses, 1)
    return steps_of(positions, velocities, masses, steps)
