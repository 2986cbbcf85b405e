# id = "memory-in-a-child"
# class = "process"
# task = "slow_nbody"
# base = "none"
# tries = "lets a child take all memory and crashes when that is killed, so that it looks like a crash"
# caught_by = ["out_of_memory"]

import mmap
import os


def take_all_memory():
    """As quickly as it goes, before the host stops a slow file: the kernel makes all pages of a mapping in one call."""
    held, flags = [], mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    while True:
        held.append(mmap.mmap(-1, 1 << 26, flags=flags))


def simulate(**given):
    child = os.fork()
    if child == 0:
        take_all_memory()
    os.waitpid(child, 0)
    os._exit(3)
