# id = "threads"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "asks numpy for more threads"
# caught_by = ["too_slow"]

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "64"
