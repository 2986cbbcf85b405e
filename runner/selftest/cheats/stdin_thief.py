# id = "stdin-thief"
# class = "wire"
# task = "slow_nbody"
# base = "baseline"
# tries = "reads what the host sends next"
# caught_by = ["too_slow"]

import os
import select

if select.select([200], [], [], 0.05)[0]:
    os.read(200, 1 << 20)
