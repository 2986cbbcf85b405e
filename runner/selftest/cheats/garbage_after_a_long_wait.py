# id = "garbage-after-a-long-wait"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "tells by how long it stood ready where in a round it is, and answers with what it was given where others went before it"
# caught_by = ["inaccurate", "too_slow"]
# note = "the order of a round is drawn; too slow where it was never late"

import os
import time

slow = simulate


def stood_ready_s():
    with open("/proc/self/stat") as file:
        started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def simulate(positions, velocities, masses, steps):
    if stood_ready_s() > 1.0:
        return {"positions": positions, "velocities": velocities}
    return slow(positions, velocities, masses, steps)
