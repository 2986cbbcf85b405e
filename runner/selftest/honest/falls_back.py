# id = "falls-back"
# task = "slow_nbody"
# base = "solution"
# does = "falls back to a slower way where the fast one fails"

fast = simulate


def simulate(positions, velocities, masses, steps):
    try:
        return fast(positions, velocities, masses, steps)
    except FloatingPointError:
        return fast(positions.astype("float64"), velocities, masses, steps)
