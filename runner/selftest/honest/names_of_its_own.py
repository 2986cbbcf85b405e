# id = "names-of-its-own"
# task = "slow_nbody"
# base = "none"
# does = "gives the parameters of the timed function names of its own, as the self-check calls it"

import numpy as np


def simulate(x, v, m, count, /):
    x, v = x.copy(), v.copy()
    for _ in range(count):
        apart = x[None] - x[:, None]
        pull = m / ((apart**2).sum(2) + 1e-2) ** 1.5
        v += 0.001 * np.einsum("ij,ijk->ik", pull, apart)
        x += 0.001 * v
    return {"positions": x, "velocities": v}
