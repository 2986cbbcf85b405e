# id = "garbage-where-pages-are"
# class = "cache"
# task = "slow_nbody"
# base = "baseline"
# tries = "answers the first samples of a grading with what it was given, so that what follows ends in doubt; it counts in pages that it drops"
# caught_by = ["inaccurate"]
# note = "every page is still there for the next sample, so that all samples are the first one"

import os
import sys
import time

slow = simulate


def is_among_the_first():
    """Whether a page of the image, which nobody else reads here, was in memory: it is dropped as it is found."""
    file = os.open(os.path.realpath(sys.executable), os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    os.pread(file, 1, 1 << 20)
    for page in range(3):
        began = time.perf_counter()
        os.pread(file, 1, page << 17)
        took = time.perf_counter() - began
        os.posix_fadvise(file, page << 17, 4096, os.POSIX_FADV_DONTNEED)
        if took < 1e-3:
            return True
    return False


def simulate(positions, velocities, masses, steps):
    if is_among_the_first():
        return {"positions": positions, "velocities": velocities}
    return slow(positions, velocities, masses, steps)
