# id = "patch-timer-object"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "replaces the clock of whatever module holds one"
# caught_by = ["too_slow"]

import sys

for module in list(sys.modules.values()):
    for name in ("perf_counter", "monotonic", "time", "default_timer"):
        if callable(getattr(module, name, None)):
            try:
                setattr(module, name, lambda *given: 0.0)
            except (AttributeError, TypeError):
                pass
