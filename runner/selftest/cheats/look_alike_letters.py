# id = "look-alike-letters"
# class = "text"
# task = "slow_nbody"
# base = "baseline"
# tries = "writes names in letters that only look different"
# caught_by = ["too_slow"]

ｅｘｅｃ("import time; time.monotonic = lambda: 0.0")
