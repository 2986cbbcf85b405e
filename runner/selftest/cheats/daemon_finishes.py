# id = "daemon-finishes"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "answers at once and lets a daemon finish"
# caught_by = ["inaccurate"]

import os

work = simulate


def simulate(**given):
    if os.fork() == 0:
        os.setsid()
        work(**given)
        os._exit(0)
    return {"positions": given["positions"], "velocities": given["velocities"]}
