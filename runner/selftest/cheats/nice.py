# id = "nice"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "asks for a better priority"
# caught_by = ["too_slow"]

import os

for attempt in (lambda: os.nice(-20), lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))):
    try:
        attempt()
    except OSError:
        pass
