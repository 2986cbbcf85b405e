# id = "sleep-after-answer-object"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "does its work while the answer is turned into bytes"
# caught_by = ["too_slow"]

import numpy as np

work = simulate


class Late:
    def __init__(self, name, given):
        self.name, self.given = name, given

    def __array__(self, dtype=None, copy=None):
        return work(**self.given)[self.name]


def simulate(**given):
    return {"positions": Late("positions", given), "velocities": Late("velocities", given)}
