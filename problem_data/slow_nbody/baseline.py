"""Gravity among n bodies, step by step (symplectic Euler, softened), in plain loops."""

SOFTENING = 1e-2


def accelerations(positions, masses):
    """What each body feels from all others."""
    felt = []
    for i in range(len(masses)):
        ax = ay = az = 0.0
        for j in range(len(masses)):
            if i == j:
                continue
            dx = positions[j][0] - positions[i][0]
            dy = positions[j][1] - positions[i][1]
            dz = positions[j][2] - positions[i][2]
            distance = (dx * dx + dy * dy + dz * dz + SOFTENING) ** 0.5
            pull = masses[j] / distance**3
            ax += dx * pull
            ay += dy * pull
            az += dz * pull
        felt.append([ax, ay, az])
    return felt


def simulate(positions, velocities, masses, steps):
    """Positions and velocities after so many steps of 0.001."""
    import numpy as np

    where, speed, weights = positions.tolist(), velocities.tolist(), masses.tolist()
    for _ in range(steps):
        felt = accelerations(where, weights)
        for i in range(len(weights)):
            for axis in range(3):
                speed[i][axis] += 0.001 * felt[i][axis]
                where[i][axis] += 0.001 * speed[i][axis]
    return {"positions": np.array(where), "velocities": np.array(speed)}
