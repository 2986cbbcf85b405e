# id = "thread-fills-later"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "hands out arrays that a thread fills later"
# caught_by = ["unsafe:answers-change", "inaccurate"]

import threading

import numpy as np

work = simulate


def simulate(**given):
    answer = {"positions": np.zeros_like(given["positions"]), "velocities": np.zeros_like(given["velocities"])}

    def fill():
        for name, values in work(**given).items():
            answer[name][:] = values

    threading.Thread(target=fill, daemon=True).start()
    return answer
