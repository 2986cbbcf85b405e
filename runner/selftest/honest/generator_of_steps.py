# id = "generator-of-steps"
# task = "slow_nbody"
# base = "solution"
# does = "yields the state after each step from a generator, and keeps the last one"

import collections


def states(where, speed, masses):
    apart = np.empty((3, len(masses), len(masses)))
    while True:
        yield where, speed
        np.subtract(where[:, None, :], where[:, :, None], out=apart)
        square = np.einsum("kij,kij->ij", apart, apart) + SOFTENING
        speed += DT * np.einsum("kij,ij->ki", apart, masses / (square * np.sqrt(square)))
        where += DT * speed


def simulate(positions, velocities, masses, steps):
    walk = states(positions.T.copy(), velocities.T.copy(), masses)
    ((where, speed),) = collections.deque((next(walk) for _ in range(steps + 1)), maxlen=1)
    return {"positions": where.T.copy(), "velocities": speed.T.copy()}
