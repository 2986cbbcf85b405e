# id = "swapped-modules"
# class = "environment"
# task = "slow_nbody"
# base = "baseline"
# tries = "puts modules of the grader's names in place"
# caught_by = ["too_slow"]

import sys
import types

for name in ("runner", "problem", "grader", "reference", "task", "verifier"):
    sys.modules[name] = types.ModuleType(name)
