# id = "patch-statistics"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "replaces the functions that average samples"
# caught_by = ["too_slow"]

import statistics

import numpy as np

statistics.mean = statistics.fmean = statistics.median = lambda values: 1e-9
np.mean = np.median = lambda *given, **named: 1e-9
