# id = "locks-a-file"
# task = "slow_nbody"
# base = "solution"
# does = "opens and locks a few files of its own, and closes them"

import fcntl
import tempfile

plain = simulate


def simulate(positions, velocities, masses, steps):
    with tempfile.TemporaryFile() as own:
        for place in range(20):
            fcntl.lockf(own, fcntl.LOCK_EX, 1, 2 * place)
        return plain(positions, velocities, masses, steps)
