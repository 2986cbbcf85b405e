"""Trusted, and run on the host: makes the data of a seed, and says how good an answer is."""

import numpy as np

from runner.tasks import Answer, Case, Order, Qualities, Sizes, generators, items_equal

# chosen: of some hundred points in the unit square each has about ten neighbours.
RADIUS = 0.1


def make(seed: int, sizes: Sizes) -> Case:
    """The data of a seed. They must depend on it alone: each round draws a new one, which nobody can know before."""
    (draw,) = generators(seed, 1)
    points = draw.random((sizes["points"], 2))
    inputs = {"points": points, "radius": np.array(RADIUS)}
    # What is right stays on the host: no container ever sees it.
    return Case(inputs, {"counts": _counts(points, RADIUS)})


def _counts(points: np.ndarray, radius: float) -> np.ndarray:
    apart = points[:, None, :] - points[None, :, :]
    return np.asarray((np.square(apart).sum(axis=2) <= radius * radius).sum(axis=1) - 1)


def score(case: Case, answer: Answer) -> Qualities:
    """(n_points,): 1.0 for each point whose count is right."""
    return items_equal(answer["counts"], case.hidden["counts"])


# Optional evidence against shortcuts: each sample of a submission gets the points in another order, and must say the same.


def rearrange(case: Case, order: Order) -> Case:
    """The same points in another order."""
    inputs = {**case.inputs, "points": case.inputs["points"][order]}
    return Case(inputs, {"counts": case.hidden["counts"][order]})


def agreement(answer: Answer, rearranged: Answer, order: Order) -> float:
    """Share of the points that have the same count in both answers."""
    return float(items_equal(answer["counts"][order], rearranged["counts"]).mean())
