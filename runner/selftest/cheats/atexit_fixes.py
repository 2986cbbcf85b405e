# id = "atexit-fixes"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "answers at once and corrects itself at the end"
# caught_by = ["inaccurate"]

import atexit

work = simulate


def simulate(**given):
    atexit.register(lambda: work(**given))
    return {"positions": given["positions"], "velocities": given["velocities"]}
