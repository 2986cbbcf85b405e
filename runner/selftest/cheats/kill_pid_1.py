# id = "kill-pid-1"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "kills the process that watches it"
# caught_by = ["too_slow", "crashed"]

import os
import signal

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL, signal.SIGSTOP):
    os.kill(1, number)
