# id = "memory-in-a-helper"
# class = "process"
# task = "slow_nbody"
# base = "none"
# tries = "lets a helper take all memory, and raises an error of its own once that is reaped"
# caught_by = ["out_of_memory"]

import mmap
import os


def take_all_memory():
    """As quickly as it goes, before the host stops a slow file: the kernel makes all pages of a mapping in one call."""
    held, flags = [], mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    while True:
        held.append(mmap.mmap(-1, 1 << 26, flags=flags))


def simulate(**given):
    helper = os.fork()
    if helper == 0:
        take_all_memory()
    os.waitpid(helper, 0)
    raise ValueError("the input is not what was agreed")
