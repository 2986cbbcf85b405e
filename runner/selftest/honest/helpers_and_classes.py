# id = "helpers-and-classes"
# task = "slow_nbody"
# base = "none"
# does = "is written with classes, dataclasses and functools"

from dataclasses import dataclass
from functools import reduce

import numpy as np


@dataclass
class Bodies:
    where: np.ndarray
    speed: np.ndarray
    masses: np.ndarray

    def step(self, dt):
        apart = self.where[:, None, :] - self.where[:, :, None]
        square = np.einsum("kij,kij->ij", apart, apart) + 1e-2
        self.speed += dt * np.einsum("kij,ij->ki", apart, self.masses / (square * np.sqrt(square)))
        self.where += dt * self.speed
        return self


def simulate(positions, velocities, masses, steps):
    start = Bodies(positions.T.copy(), velocities.T.copy(), masses)
    end = reduce(lambda bodies, _: bodies.step(0.001), range(int(steps)), start)
    return {"positions": end.where.T.copy(), "velocities": end.speed.T.copy()}
