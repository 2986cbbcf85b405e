# id = "joined-names"
# class = "text"
# task = "slow_nbody"
# base = "baseline"
# tries = "puts forbidden names together from parts"
# caught_by = ["too_slow"]

module = __import__("ti" + "me")
setattr(module, "perf_" + "counter", lambda: 0.0)
globals()["__bu" + "iltins__"]
