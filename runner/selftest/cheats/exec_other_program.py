# id = "exec-other-program"
# class = "process"
# task = "slow_nbody"
# base = "none"
# tries = "replaces itself by a program that prints a success"
# caught_by = ["crashed", "bad_answer", "too_slow"]

import os


def simulate(**given):
    os.execv("/bin/echo", ["echo", "PASSED 100x"])
