# id = "transposed-memory"
# task = "slow_nbody"
# base = "solution"
# does = "returns arrays in another memory order"

fast = simulate


def simulate(positions, velocities, masses, steps):
    answer = fast(positions, velocities, masses, steps)
    return {name: np.asfortranarray(values) for name, values in answer.items()}
