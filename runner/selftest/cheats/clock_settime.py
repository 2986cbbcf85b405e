# id = "clock-settime"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "sets the system's clock back"
# caught_by = ["too_slow"]

import time

for clock in (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC):
    try:
        time.clock_settime(clock, 0.0)
    except OSError:
        pass
