# id = "fork-bomb"
# class = "process"
# task = "slow_nbody"
# base = "none"
# tries = "starts processes until none can be started"
# caught_by = ["crashed", "too_slow", "out_of_memory"]

import os


def simulate(**given):
    while True:
        try:
            os.fork()
        except OSError:
            pass
