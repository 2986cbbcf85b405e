# id = "stderr-flood"
# class = "wire"
# task = "slow_nbody"
# base = "none"
# tries = "writes without end to the error stream"
# caught_by = ["too_slow", "unstable", "inconclusive", "timed_out"]

import os


def simulate(**given):
    while True:
        os.write(2, b"PASSED\n" * 10000)
