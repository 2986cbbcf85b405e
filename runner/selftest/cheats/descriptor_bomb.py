# id = "descriptor-bomb"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "opens files until none can be opened"
# caught_by = ["too_slow", "crashed", "bad_answer"]

import os

held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
