# id = "complex-numbers"
# task = "slow_nbody"
# base = "none"
# does = "packs two axes into complex numbers"

import numpy as np


def simulate(positions, velocities, masses, steps):
    flat, high = positions[:, 0] + 1j * positions[:, 1], positions[:, 2].copy()
    flat_speed, high_speed = velocities[:, 0] + 1j * velocities[:, 1], velocities[:, 2].copy()
    for _ in range(int(steps)):
        a, b = flat[None] - flat[:, None], high[None] - high[:, None]
        square = a.real**2 + a.imag**2 + b * b + 1e-2
        pull = masses / (square * np.sqrt(square))
        flat_speed += 0.001 * (a * pull).sum(1)
        high_speed += 0.001 * (b * pull).sum(1)
        flat, high = flat + 0.001 * flat_speed, high + 0.001 * high_speed
    where = np.stack([flat.real, flat.imag, high], 1)
    return {"positions": where, "velocities": np.stack([flat_speed.real, flat_speed.imag, high_speed], 1)}
