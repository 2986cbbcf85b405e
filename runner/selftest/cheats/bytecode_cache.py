# id = "bytecode-cache"
# class = "cache"
# task = "slow_nbody"
# base = "baseline"
# tries = "hides its answer in a compiled module"
# caught_by = ["too_slow"]

import os

try:
    os.makedirs("/workspace/__pycache__", exist_ok=True)
    import answers  # noqa
except ImportError:
    pass
