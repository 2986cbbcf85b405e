"""The loops, tidied: names looked up once, and each square root taken once."""

from math import sqrt

import numpy as np


def simulate(positions, velocities, masses, steps):
    where, speed, weights = positions.tolist(), velocities.tolist(), masses.tolist()
    count = len(weights)
    for _ in range(int(steps)):
        felt = []
        for i in range(count):
            x, y, z = where[i]
            ax = ay = az = 0.0
            for j in range(count):
                if i == j:
                    continue
                other = where[j]
                dx, dy, dz = other[0] - x, other[1] - y, other[2] - z
                square = dx * dx + dy * dy + dz * dz + 1e-2
                pull = weights[j] / (square * sqrt(square))
                ax += dx * pull
                ay += dy * pull
                az += dz * pull
            felt.append((ax, ay, az))
        for i in range(count):
            for axis in range(3):
                speed[i][axis] += 0.001 * felt[i][axis]
                where[i][axis] += 0.001 * speed[i][axis]
    return {"positions": np.array(where), "velocities": np.array(speed)}
