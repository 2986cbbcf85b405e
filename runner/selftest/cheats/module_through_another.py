# id = "module-through-another"
# class = "text"
# task = "slow_nbody"
# base = "baseline"
# tries = "never imports the modules that it patches: it reaches them through others, by a star, and by computed names"
# caught_by = ["too_slow"]

from contextlib import sys as found
from tempfile import *
from random import _os as below

clock = getattr(found, "modules").get("ti" + "me", below)
for name in ("monotonic", "perf_counter", "process_time"):
    vars(clock)[name] = lambda: 0.0
