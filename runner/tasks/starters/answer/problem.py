"""Trusted, and run on the host: makes the files that the agent finds, and says how good an answer is."""

import numpy as np

from runner.tasks import Answer, Qualities, Question, Sizes, generators, items_equal

RADIUS_SQUARED = 0.5  # chosen: in a square of side 2 this is 39 % of the points


def make(seed: int, sizes: Sizes) -> Question:
    """The data of a seed; they must depend on it alone."""
    known, asked = (draw.uniform(-1.0, 1.0, (count, 2)) for draw, count in zip(generators(seed, 2), sizes.values()))
    files = {"known.csv": _csv(known, labelled=True), "asked.csv": _csv(asked, labelled=False)}
    # What is right stays on the host: no container ever sees it.
    return Question(files, {"inside": _inside(asked)})


def _inside(points: np.ndarray) -> np.ndarray:
    return np.asarray(np.square(points).sum(axis=1) < RADIUS_SQUARED, dtype=np.int64)


def _csv(points: np.ndarray, *, labelled: bool) -> bytes:
    lines = ["x,y,inside" if labelled else "x,y"]
    for (x, y), inside in zip(points, _inside(points)):
        lines.append(f"{x:.5f},{y:.5f}" + (f",{inside}" if labelled else ""))
    return ("\n".join(lines) + "\n").encode()


def score(question: Question, answer: Answer) -> Qualities:
    """(n_asked,): 1.0 for each point that is told right."""
    return items_equal(answer["inside"], question.hidden["inside"])
