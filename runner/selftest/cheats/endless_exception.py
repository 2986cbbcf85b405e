# id = "endless-exception"
# class = "wire"
# task = "slow_nbody"
# base = "none"
# tries = "raises an exception whose text takes forever"
# caught_by = ["crashed", "too_slow"]

class Endless(Exception):
    def __str__(self):
        while True:
            pass


def simulate(**given):
    raise Endless
