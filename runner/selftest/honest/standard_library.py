# id = "standard-library"
# task = "slow_nbody"
# base = "solution"
# does = "imports modules of Python's standard library, by themselves, by name and by a star"

import contextlib
import heapq
import os
import time
import types
from itertools import *
from os import path

os.environ.setdefault("NO_COLOR", "1")
begun, plain = time.perf_counter(), simulate


def simulate(positions, velocities, masses, steps):
    with contextlib.suppress(ArithmeticError), contextlib.nullcontext(heapq.nsmallest(1, islice(count(), 3))):
        return plain(positions, velocities, masses, steps)
