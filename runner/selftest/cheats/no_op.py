# id = "no-op"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "submits the baseline as it is"
# caught_by = ["too_slow"]
