# id = "works-in-place"
# task = "slow_nbody"
# base = "solution"
# does = "overwrites its inputs"

fast = simulate


def simulate(positions, velocities, masses, steps):
    answer = fast(positions, velocities, masses, steps)
    positions[:], velocities[:] = answer["positions"], answer["velocities"]
    return {"positions": positions, "velocities": velocities}
