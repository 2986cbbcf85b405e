"""Trusted: makes the data of a seed and scores an answer. Numpy only; runs on the host.

Textures of 16x16 pixels: gratings at random phase with noise. There are twenty modes (orientation, frequency), and each
class is the union of two that lie far apart, so that nothing linear and no nearest centroid gets far. Every seed redraws
which modes make a class and where exactly the modes lie: weights trained on another seed's data are worth nothing. One
label in eleven is drawn at random, so that no method can reach 1.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from runner.tasks.problem import Answer, Case

SIDE = 16
CLASSES = 10
ORIENTATIONS = 10
FREQUENCIES = (0.11, 0.20)
NOISE = 0.38
WRONG_LABELS = 0.09

LEAK = 0.1
# Largest error of a float32 forward pass against numpy's, relative to the largest score; honest ones reach 2e-5.
WITNESS_ERROR_MAX = 1e-4
FEATURE_ERROR_MAX = 1e-4
# Networks trained on shuffled labels reached 0.153 at the most; what exceeds this has the labels from elsewhere.
CONTROL_ACCURACY_MAX = 0.25
# The baseline itself keeps 99.3 % to all of its labels when the test images change their order.
AGREEMENT_MIN = 0.97
# So many labels must be wrong, whichever they are, when the classes' numbers differ that much from the true ones.
HISTOGRAM_SHARE_MAX = 0.4

Floats = NDArray[np.float64]


def make(seed: int, scale: Mapping[str, int]) -> Case:
    """Train and test sets of one world; the test labels stay hidden."""
    world, train, test, training = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4))
    modes = _modes(world)
    train_images, train_labels = _draw(train, modes, scale["train"])
    test_images, test_labels = _draw(test, modes, scale["test"])
    inputs = {
        "train_images": train_images,
        "train_labels": train_labels,
        "test_images": test_images,
        "seed": np.array(training.integers(0, 2**31), dtype=np.int64),
    }
    return Case(inputs, {"labels": test_labels})


def _modes(draw: np.random.Generator) -> Floats:
    """(class, mode, (orientation in radians, cycles per pixel)): two modes a class, far apart in orientation."""
    turn = draw.uniform(0.0, np.pi)
    first = draw.permutation(ORIENTATIONS)
    # One offset for all classes: so the second modes, too, are each orientation once.
    second = (first + draw.integers(3, ORIENTATIONS - 2)) % ORIENTATIONS
    modes = np.zeros((CLASSES, 2, 2))
    for mode, (places, frequency) in enumerate(zip((first, second), FREQUENCIES, strict=True)):
        modes[:, mode, 0] = places * np.pi / ORIENTATIONS + turn + draw.uniform(-0.02, 0.02, CLASSES)
        modes[:, mode, 1] = frequency * draw.uniform(0.97, 1.03, CLASSES)
    return modes


def _draw(draw: np.random.Generator, modes: Floats, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Balanced classes in random order, each image from one of its class's two modes."""
    labels = draw.permutation(np.arange(count) % CLASSES).astype(np.int64)
    which = draw.integers(0, 2, count)
    orientation, frequency = modes[labels, which, 0], modes[labels, which, 1]
    phase = draw.uniform(0.0, 2.0 * np.pi, count)
    rows, cols = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    along = np.cos(orientation)[:, None, None] * cols + np.sin(orientation)[:, None, None] * rows
    clean = np.sin(2.0 * np.pi * frequency[:, None, None] * along + phase[:, None, None])
    noisy = clean + NOISE * draw.standard_normal((count, SIDE, SIDE))
    wrong = draw.random(count) < WRONG_LABELS
    labels[wrong] = draw.integers(0, CLASSES, int(wrong.sum()))
    return noisy.astype(np.float32), labels


def score(case: Case, answer: Answer) -> Floats:
    """1.0 for each test image whose label is right, else 0.0."""
    return (answer["labels"] == case.hidden["labels"]).astype(np.float64)


def rearrange(case: Case, order: NDArray[np.int64]) -> Case:
    """The same problem with its test images in another order."""
    inputs = {**case.inputs, "test_images": case.inputs["test_images"][order]}
    return Case(inputs, {"labels": case.hidden["labels"][order]})


def agreement(answer: Answer, rearranged: Answer, order: NDArray[np.int64]) -> float:
    """Share of the test images that have the same label in both answers."""
    return float((answer["labels"][order] == rearranged["labels"]).mean())


def control(case: Case, draw: np.random.Generator) -> Case:
    """The same images with the training labels shuffled: nothing can be learned from them."""
    shuffled = draw.permutation(case.inputs["train_labels"])
    return Case({**case.inputs, "train_labels": shuffled}, case.hidden)


def judge_control(case: Case, answer: Answer, twin: Case, twins: Answer) -> str | None:
    """Why the answer cannot come from the training labels, or its features not from the images alone."""
    features, other = (np.asarray(each["test_features"], dtype=np.float64) for each in (answer, twins))
    error = np.abs(features - other).max() / max(np.abs(features).max(), 1e-12)
    if error > FEATURE_ERROR_MAX:
        return f"Its test features change with the training labels (relative change {error:.1e})"
    known = float((twins["labels"] == case.hidden["labels"]).mean())
    if known > CONTROL_ACCURACY_MAX:
        return f"It knows {100 * known:.0f} % of the labels where there was nothing to learn"
    return None


def witness(case: Case, answer: Answer) -> str | None:
    """Why the answer does not follow from its features and weights by the network's forward pass."""
    features = np.asarray(answer["test_features"], dtype=np.float64)
    weights = np.asarray(answer["weights"], dtype=np.float64)
    width = features.shape[1]
    hidden = (len(weights) - CLASSES) // (width + 1 + CLASSES)
    w1, b1, w2, b2 = np.split(weights, np.cumsum([hidden * width, hidden, CLASSES * hidden]))
    middle = features @ w1.reshape(hidden, width).T + b1
    scores = np.where(middle > 0, middle, LEAK * middle) @ w2.reshape(CLASSES, hidden).T + b2
    error = np.abs(scores - answer["scores"]).max() / max(np.abs(scores).max(), 1e-12)
    if error > WITNESS_ERROR_MAX:
        return f"Its scores do not follow from its features and weights (relative error {error:.1e})"
    if not (answer["scores"].argmax(axis=1) == answer["labels"]).all():
        return "Its labels are not the largest of its scores"
    return None


def degenerate(case: Case, answer: Answer) -> str | None:
    """What makes an answer no attempt at all."""
    labels = answer["labels"]
    if (labels == labels[0]).all():
        return f"every label is {labels[0]}"
    counts = np.bincount(labels, minlength=CLASSES)
    if (counts == 0).any():
        return f"{int((counts == 0).sum())} of {CLASSES} classes never appear"
    moved = np.abs(counts - np.bincount(case.hidden["labels"], minlength=CLASSES)).sum() / 2
    if moved > HISTOGRAM_SHARE_MAX * len(labels):
        return (
            f"the data rule out so many of some labels: {int(moved)} of {len(labels)} must be wrong, whichever they are"
        )
    right = float((labels == case.hidden["labels"]).mean())
    return f"{100 * right:.0f} % right is chance" if right < 2.0 / CLASSES else None
