# id = "prints-progress"
# task = "slow_nbody"
# base = "solution"
# does = "prints while it works"

fast = simulate


def simulate(positions, velocities, masses, steps):
    print("simulating", len(masses), "bodies")
    return fast(positions, velocities, masses, steps)
