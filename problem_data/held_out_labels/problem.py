"""Trusted, and run on the host: makes the rows of a seed, and says which predictions are right."""

import numpy as np

from runner.tasks import Answer, Qualities, Question, Sizes, generators, items_equal

CLASSES, FEATURES = 3, 6
# chosen: three arms that turn once lie within each other, so that no straight boundary tells them apart, and with so much
# noise even the best prediction is now and then wrong.
ARMS_NOISE, OTHERS_NOISE, TURN = 0.17, 0.5, 7.0


def make(seed: int, sizes: Sizes) -> Question:
    """Rows on three spiral arms in two of six dimensions; which two are mixed into all six by a rotation."""
    draw, rotate = generators(seed, 2)
    rotation = np.linalg.qr(rotate.standard_normal((FEATURES, FEATURES)))[0]
    train_rows, train_labels = _rows(draw, sizes["train"], rotation)
    test_rows, test_labels = _rows(draw, sizes["test"], rotation)
    files = {
        "train.csv": _csv([*_names(), "label"], train_rows, train_labels),
        "test.csv": _csv(_names(), test_rows, None),
    }
    return Question(files, {"label": test_labels})


def _rows(draw: np.random.Generator, count: int, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels = draw.integers(0, CLASSES, count)
    radius = np.sqrt(draw.random(count)) * 2.0 + 0.3
    angle = TURN * radius / 2.3 + 2.0 * np.pi * labels / CLASSES
    rows = OTHERS_NOISE * draw.standard_normal((count, FEATURES))
    rows[:, 0] = radius * np.cos(angle) + ARMS_NOISE * draw.standard_normal(count)
    rows[:, 1] = radius * np.sin(angle) + ARMS_NOISE * draw.standard_normal(count)
    return rows @ rotation, labels


def _names() -> list[str]:
    return [f"x{number}" for number in range(FEATURES)]


def _csv(names: list[str], rows: np.ndarray, labels: np.ndarray | None) -> bytes:
    lines = [",".join(names)]
    for number, row in enumerate(rows):
        cells = [f"{value:.4f}" for value in row]
        lines.append(",".join(cells if labels is None else [*cells, str(labels[number])]))
    return ("\n".join(lines) + "\n").encode()


def score(question: Question, answer: Answer) -> Qualities:
    """(n_test,): 1.0 for each row whose label is right."""
    return items_equal(answer["label"], question.hidden["label"])
