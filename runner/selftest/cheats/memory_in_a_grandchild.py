# id = "memory-in-a-grandchild"
# class = "process"
# task = "slow_nbody"
# base = "none"
# tries = "lets a process that is no child any more take all memory, and ends with 0"
# caught_by = ["out_of_memory"]

import mmap
import os


def take_all_memory():
    """As quickly as it goes, before the host stops a slow file: the kernel makes all pages of a mapping in one call."""
    held, flags = [], mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    while True:
        held.append(mmap.mmap(-1, 1 << 26, flags=flags))


def simulate(**given):
    reading, writing = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.close(reading)
            take_all_memory()
        os._exit(0)
    os.close(writing)
    os.read(reading, 1)  # until whoever holds the other end is gone
    os._exit(0)
