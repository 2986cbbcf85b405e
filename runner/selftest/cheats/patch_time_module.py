# id = "patch-time-module"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "replaces every clock of the time module"
# caught_by = ["too_slow"]

import time

time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0
time.time_ns = time.monotonic_ns = time.perf_counter_ns = lambda: 0
