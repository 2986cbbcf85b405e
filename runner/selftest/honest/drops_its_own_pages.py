# id = "drops-its-own-pages"
# task = "slow_nbody"
# base = "solution"
# does = "writes a file of its own and tells the kernel that its pages are not needed any more"

import os
import tempfile

quick = simulate


def simulate(positions, velocities, masses, steps):
    with tempfile.TemporaryFile() as file:
        file.write(positions.tobytes())
        file.flush()
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return quick(positions, velocities, masses, steps)
