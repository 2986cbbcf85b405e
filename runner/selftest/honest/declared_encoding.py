# id = "declared-encoding"  # coding: iso-8859-15
# task = "slow_nbody"
# base = "none"
# does = "declares an encoding other than UTF-8, ends its lines with CR LF, and parts its sections with form feeds"


import numpy as np


def simulate(positions, velocities, masses, steps):
    where, speed = positions.copy(), velocities.copy()
    for _ in range(int(steps)):
        apart = where[None] - where[:, None]
        square = (apart * apart).sum(axis=2) + 1e-2
        speed += 0.001 * (apart * (masses / (square * np.sqrt(square)))[:, :, None]).sum(axis=1)
        where += 0.001 * speed
    return {"positions": where, "velocities": speed}
