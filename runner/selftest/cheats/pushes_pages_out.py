# id = "pushes-pages-out"
# class = "cache"
# task = "slow_nbody"
# base = "baseline"
# tries = "reads many files of the image and fills its memory, so that the kernel drops the pages that the next sample needs"
# caught_by = ["too_slow", "out_of_memory"]

import os

slow = simulate


def simulate(positions, velocities, masses, steps):
    read = 0
    for folder, _, names in os.walk("/usr/lib"):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path) and read < 1 << 26:
                with open(path, "rb") as file:
                    read += len(file.read())
    held = bytearray(1 << 27)
    for at in range(0, len(held), 4096):
        held[at] = 1
    return slow(positions, velocities, masses, steps)
