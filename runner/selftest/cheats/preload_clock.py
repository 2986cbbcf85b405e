# id = "preload-clock"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "runs itself again under LD_PRELOAD"
# caught_by = ["too_slow", "crashed", "bad_answer"]

import os
import sys

if "LD_PRELOAD" not in os.environ:
    os.environ["LD_PRELOAD"] = "/workspace/clock.so"
    os.execv(sys.executable, [sys.executable, "-c", "print('{}')"])
