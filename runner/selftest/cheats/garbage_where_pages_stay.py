# id = "garbage-where-pages-stay"
# class = "cache"
# task = "slow_nbody"
# base = "baseline"
# tries = "answers with what it was given where a page of the image was in memory, and asks the kernel to take that out, by a mapping"
# caught_by = ["inaccurate"]
# note = "the page is still there for the next sample, so that all samples answer so"

import mmap
import os
import sys
import time

slow = simulate
PAGEOUT = 21


def simulate(positions, velocities, masses, steps):
    file = os.open(os.path.realpath(sys.executable), os.O_RDONLY)
    pages = mmap.mmap(file, 1 << 21, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
    began = time.perf_counter()
    pages[1 << 20]
    took = time.perf_counter() - began
    pages.madvise(PAGEOUT)
    if took < 1e-3:
        return {"positions": positions, "velocities": velocities}
    return slow(positions, velocities, masses, steps)
