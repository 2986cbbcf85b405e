# id = "extra-keys"
# task = "slow_nbody"
# base = "solution"
# does = "returns more than it was asked for"

fast = simulate


def simulate(positions, velocities, masses, steps):
    return {**fast(positions, velocities, masses, steps), "energy": 0.0, "note": "done"}
