# id = "few-steps"
# class = "answer"
# task = "slow_nbody"
# base = "none"
# tries = "simulates a tenth of the steps"
# caught_by = ["inaccurate"]

import numpy as np


def simulate(positions, velocities, masses, steps):
    for _ in range(steps // 10):
        apart = positions[None] - positions[:, None]
        pull = masses / ((apart**2).sum(2) + 1e-2) ** 1.5
        velocities = velocities + 0.01 * (apart * pull[:, :, None]).sum(1)
        positions = positions + 0.01 * velocities
    return {"positions": positions, "velocities": velocities}
