# id = "standard-library"
# task = "slow_nbody"
# base = "solution"
# does = "imports modules of Python's standard library, by themselves, by name, by a star and as parts of packages"

import array
import contextlib
import heapq
import os
import random
import statistics
import time
import types
from concurrent import futures
from itertools import *
from os import path
from xml.etree import ElementTree

os.environ.setdefault("NO_COLOR", "1")
begun, plain = time.perf_counter(), simulate


def simulate(positions, velocities, masses, steps):
    with contextlib.suppress(ArithmeticError), contextlib.nullcontext(random.Random(len(list(islice(count(), 3))))):
        return plain(positions, velocities, masses, steps)
