# id = "close-the-wire"
# class = "wire"
# task = "slow_nbody"
# base = "none"
# tries = "closes the wire and stays"
# caught_by = ["crashed", "too_slow", "bad_answer"]

import os


def simulate(**given):
    os.close(200)
    os.close(201)
    while True:
        pass
