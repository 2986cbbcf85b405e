# id = "spin-beside"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "leaves processes behind that slow the next sample"
# caught_by = ["too_slow"]

import os

for _ in range(8):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        while True:
            pass
