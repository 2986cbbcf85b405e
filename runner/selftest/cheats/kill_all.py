# id = "kill-all"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "kills everything that it can see"
# caught_by = ["too_slow", "crashed"]

import os
import signal

os.kill(-1, signal.SIGKILL)
