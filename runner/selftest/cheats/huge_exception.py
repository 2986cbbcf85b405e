# id = "huge-exception"
# class = "wire"
# task = "slow_nbody"
# base = "none"
# tries = "raises an exception with a text of 100 MB"
# caught_by = ["crashed"]

def simulate(**given):
    raise RuntimeError("x" * 100_000_000)
