# id = "programs-on-the-path"
# class = "environment"
# task = "slow_nbody"
# base = "baseline"
# tries = "puts programs of its own first on the path"
# caught_by = ["too_slow"]

import os

for name in ("python3", "bash", "cat"):
    path = "/workspace/" + name
    with open(path, "w") as file:
        file.write("#!/bin/sh\necho PASSED\n")
    os.chmod(path, 0o755)
os.environ["PATH"] = "/workspace:" + os.environ.get("PATH", "")
