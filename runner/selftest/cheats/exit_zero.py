# id = "exit-zero"
# class = "process"
# task = "slow_nbody"
# base = "none"
# tries = "ends the process with status 0"
# caught_by = ["crashed"]

import os

os._exit(0)
