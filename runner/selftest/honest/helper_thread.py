# id = "helper-thread"
# task = "slow_nbody"
# base = "solution"
# does = "works in a thread that it waits for"

import threading

plain = simulate


def simulate(positions, velocities, masses, steps):
    found = {}
    helper = threading.Thread(target=lambda: found.update(plain(positions, velocities, masses, steps)))
    helper.start()
    helper.join()
    return found
