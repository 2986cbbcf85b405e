"""How many other points lie within a radius of each point, in plain loops: correct, readable, and slow."""

import numpy as np


def count_neighbours(points, radius):
    counts = np.zeros(len(points), dtype=np.int64)
    for i in range(len(points)):
        for j in range(len(points)):
            if i == j:
                continue
            dx = points[i][0] - points[j][0]
            dy = points[i][1] - points[j][1]
            if dx * dx + dy * dy <= radius * radius:
                counts[i] += 1
    return {"counts": counts}
