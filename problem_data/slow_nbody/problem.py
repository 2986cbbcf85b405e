"""Trusted: makes the data of a seed and scores an answer. Numpy only; runs on the host."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from runner.tasks import Answer, Case

# As in the baseline: what is right is what these give.
SOFTENING = 1e-2
DT = 0.001
# chosen: at the full scale float64 in another order of summation is off by 2e-14 at the most, float32 by 2e-5.
RELATIVE_ERROR_MAX = 1e-6


def make(seed: int, sizes: Mapping[str, int]) -> Case:
    """Bodies at random; where they end up stays hidden."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    positions = rng.standard_normal((sizes["bodies"], 3))
    velocities = 0.1 * rng.standard_normal((sizes["bodies"], 3))
    masses = rng.uniform(0.5, 1.5, sizes["bodies"])
    steps = np.array(sizes["steps"], dtype=np.int64)
    inputs = {"positions": positions, "velocities": velocities, "masses": masses, "steps": steps}
    end_positions, end_velocities = _simulate(positions, velocities, masses, int(steps))
    return Case(inputs, {"positions": end_positions, "velocities": end_velocities})


def _simulate(
    positions: NDArray[np.float64], velocities: NDArray[np.float64], masses: NDArray[np.float64], steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    positions, velocities = positions.copy(), velocities.copy()
    for _ in range(steps):
        delta = positions[None, :, :] - positions[:, None, :]
        pull = masses[None, :] / (np.sum(delta**2, axis=2) + SOFTENING) ** 1.5
        velocities += DT * np.einsum("ij,ijk->ik", pull, delta)
        positions += DT * velocities
    return positions, velocities


def rearrange(case: Case, order: NDArray[np.int64]) -> Case:
    """The same bodies in another order."""
    inputs = {name: array if name == "steps" else array[order] for name, array in case.inputs.items()}
    return Case(inputs, {name: array[order] for name, array in case.hidden.items()})


def agreement(answer: Answer, rearranged: Answer, order: NDArray[np.int64]) -> float:
    """Share of the bodies that end at the same place in both answers."""
    first, second = (np.asarray(arrays["positions"], dtype=np.float64) for arrays in (answer, rearranged))
    return float(np.isclose(first[order], second, rtol=1e-5, atol=1e-6).all(axis=1).mean())


def score(case: Case, answer: Answer) -> NDArray[np.float64]:
    """(n_bodies,): 1.0 for each body that is where it must be, as fast as it must be; 0.0 for the others."""
    right = np.ones(len(case.hidden["positions"]), dtype=bool)
    for name in ("positions", "velocities"):
        expected = case.hidden[name].astype(np.float64)
        error = np.abs(np.asarray(answer[name], dtype=np.float64) - expected).max(axis=1)
        right &= error <= RELATIVE_ERROR_MAX * (1.0 + np.abs(expected).max(axis=1))
    return right.astype(np.float64)
