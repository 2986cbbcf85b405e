# id = "cached-tables"
# task = "slow_nbody"
# base = "solution"
# does = "keeps what depends on the number of bodies alone in a cache of functools"

import functools


@functools.lru_cache(maxsize=None)
def room(count):
    return np.empty((3, count, count)), np.empty((count, count))


def simulate(positions, velocities, masses, steps):
    where, speed = positions.T.copy(), velocities.T.copy()
    apart, square = room(len(masses))
    for _ in range(steps):
        np.subtract(where[:, None, :], where[:, :, None], out=apart)
        np.einsum("kij,kij->ij", apart, apart, out=square)
        pull = masses / (square + SOFTENING) ** 1.5
        speed += DT * np.einsum("kij,ij->ki", apart, pull)
        where += DT * speed
    return {"positions": where.T.copy(), "velocities": speed.T.copy()}
