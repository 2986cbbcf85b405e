# id = "affinity"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "moves itself to other CPUs"
# caught_by = ["too_slow"]

import os

try:
    os.sched_setaffinity(0, range(os.cpu_count()))
except OSError:
    pass
