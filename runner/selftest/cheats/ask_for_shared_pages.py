# id = "ask-for-shared-pages"
# class = "cache"
# task = "slow_nbody"
# base = "solution"
# tries = "asks which pages of the image are in memory, where a sample before may have left a mark"
# caught_by = ["crashed"]
# note = "the call is refused, as by a kernel that does not know it"

import os
import sys

quick = simulate


def simulate(positions, velocities, masses, steps):
    file = os.open(os.path.realpath(sys.executable), os.O_RDONLY)
    marked = os.preadv(file, [bytearray(4096)], 0, os.RWF_NOWAIT)
    os.close(file)
    return quick(positions, velocities, masses, steps if marked else 0)
