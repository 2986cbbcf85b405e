"""Each pair once: half the work, and still a loop."""

import numpy as np


def count_neighbours(points, radius):
    counts = np.zeros(len(points), dtype=np.int64)
    for i in range(len(points)):
        for j in range(i):
            dx = points[i][0] - points[j][0]
            dy = points[i][1] - points[j][1]
            if dx * dx + dy * dy <= radius * radius:
                counts[i] += 1
                counts[j] += 1
    return {"counts": counts}
