# id = "warm-up-slowdown"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "is slow at first, so that a grader that calibrates asks for less"
# caught_by = ["too_slow"]

import time

time.sleep(0.2)
