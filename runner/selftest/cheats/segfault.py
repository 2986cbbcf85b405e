# id = "segfault"
# class = "process"
# task = "slow_nbody"
# base = "none"
# tries = "crashes the interpreter"
# caught_by = ["crashed"]

import ctypes


def simulate(**given):
    ctypes.string_at(0)
