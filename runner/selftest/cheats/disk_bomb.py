# id = "disk-bomb"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "fills every place that it can write to"
# caught_by = ["too_slow", "crashed", "out_of_memory"]

import os

for folder in ("/workspace", "/tmp", "/dev/shm"):
    try:
        with open(os.path.join(folder, "full"), "wb") as file:
            while True:
                file.write(b"x" * (1 << 20))
    except OSError:
        pass
