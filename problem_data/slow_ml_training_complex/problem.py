"""Trusted: makes the data of a seed and scores an answer. Numpy only; runs on the host.

Textures of 16x16 pixels: gratings at random phase with noise. There are twenty modes (orientation, frequency), and each
class is the union of two that lie far apart, so that nothing linear and no nearest centroid gets far. Every seed redraws
which modes make a class and where exactly the modes lie: weights trained on another seed's data are worth nothing. One
label in eleven is drawn at random, so that no method can reach 1.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from runner.tasks import Answer, Case

SIDE = 16
CLASSES = 10
ORIENTATIONS = 10
FREQUENCIES = (0.11, 0.20)
NOISE = 0.38
WRONG_LABELS = 0.09

LEAK = 0.1
# Slack of a label and of a score, in median gaps between an item's two best scores. The gap is of what the host computed
# itself, and a median: no single number of a submission can stretch it. Honest float32 passes stay under 0.001, reduced
# matrix precision under 0.02.
GAP_SLACK = 0.05
# Slack of a feature: relative to itself, and to the median deviation in its own column. Honest files repeat theirs exactly.
FEATURE_SLACK, COLUMN_SLACK = 1e-3, 1e-4
# Networks trained on shuffled labels reached 0.153 at the most; what exceeds this has the labels from elsewhere.
CONTROL_ACCURACY_MAX = 0.25
# The baseline itself keeps 99.3 % to all of its labels when the test images change their order.
AGREEMENT_MIN = 0.97
# So many labels must be wrong, whichever they are, when the classes' numbers differ that much from the true ones.
HISTOGRAM_SHARE_MAX = 0.4

Floats = NDArray[np.float64]


def make(seed: int, sizes: Mapping[str, int]) -> Case:
    """Train and test sets of one world; the test labels stay hidden."""
    world, train, test, training = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4))
    modes = _modes(world)
    train_images, train_labels = _draw_images(train, modes, sizes["train"])
    test_images, test_labels = _draw_images(test, modes, sizes["test"])
    inputs = {
        "train_images": train_images,
        "train_labels": train_labels,
        "test_images": test_images,
        "seed": np.array(training.integers(0, 2**31), dtype=np.int64),
    }
    return Case(inputs, {"labels": test_labels})


def _modes(rng: np.random.Generator) -> Floats:
    """(class, mode, (orientation in radians, cycles per pixel)): two modes a class, far apart in orientation."""
    rotation = rng.uniform(0.0, np.pi)
    first = rng.permutation(ORIENTATIONS)
    # One offset for all classes: so the second modes, too, are each orientation once.
    second = (first + rng.integers(3, ORIENTATIONS - 2)) % ORIENTATIONS
    modes = np.zeros((CLASSES, 2, 2))
    for mode, (places, frequency) in enumerate(zip((first, second), FREQUENCIES, strict=True)):
        modes[:, mode, 0] = places * np.pi / ORIENTATIONS + rotation + rng.uniform(-0.02, 0.02, CLASSES)
        modes[:, mode, 1] = frequency * rng.uniform(0.97, 1.03, CLASSES)
    return modes


def _draw_images(rng: np.random.Generator, modes: Floats, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Balanced classes in random order, each image from one of its class's two modes."""
    labels = rng.permutation(np.arange(count) % CLASSES).astype(np.int64)
    which = rng.integers(0, 2, count)
    orientation, frequency = modes[labels, which, 0], modes[labels, which, 1]
    phase = rng.uniform(0.0, 2.0 * np.pi, count)
    rows, cols = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    along = np.cos(orientation)[:, None, None] * cols + np.sin(orientation)[:, None, None] * rows
    clean = np.sin(2.0 * np.pi * frequency[:, None, None] * along + phase[:, None, None])
    noisy = clean + NOISE * rng.standard_normal((count, SIDE, SIDE))
    wrong = rng.random(count) < WRONG_LABELS
    labels[wrong] = rng.integers(0, CLASSES, int(wrong.sum()))
    return noisy.astype(np.float32), labels


def _host_scores(features: NDArray[np.generic], weights: NDArray[np.generic]) -> Floats:
    """(n_items, CLASSES): the network's forward pass, computed here in float64."""
    features, weights = np.asarray(features, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    width = features.shape[1]
    hidden = (len(weights) - CLASSES) // (width + 1 + CLASSES)
    w1, b1, w2, b2 = np.split(weights, np.cumsum([hidden * width, hidden, CLASSES * hidden]))
    middle = features @ w1.reshape(hidden, width).T + b1
    return np.where(middle > 0, middle, LEAK * middle) @ w2.reshape(CLASSES, hidden).T + b2


def _host_labels(answer: Answer) -> NDArray[np.int64]:
    """(n_items,): the largest of the scores that follow from the answer's features and weights, whatever it claims."""
    return _host_scores(answer["test_features"], answer["weights"]).argmax(axis=1)


def score(case: Case, answer: Answer) -> Floats:
    """(n_items,): 1.0 for each test image whose label, as the host computes it, is right; else 0.0."""
    return (_host_labels(answer) == case.hidden["labels"]).astype(np.float64)


def rearrange(case: Case, order: NDArray[np.int64]) -> Case:
    """The same problem with its test images in another order."""
    inputs = {**case.inputs, "test_images": case.inputs["test_images"][order]}
    return Case(inputs, {"labels": case.hidden["labels"][order]})


def agreement(answer: Answer, rearranged: Answer, order: NDArray[np.int64]) -> float:
    """Share of the test images that have the same label in both answers."""
    return float((_host_labels(answer)[order] == _host_labels(rearranged)).mean())


def control(case: Case, rng: np.random.Generator) -> Case:
    """The same images with the training labels shuffled: nothing can be learned from them."""
    shuffled = rng.permutation(case.inputs["train_labels"])
    return Case({**case.inputs, "train_labels": shuffled}, case.hidden)


def judge_control(case: Case, answer: Answer, control: Case, control_answer: Answer) -> str | None:
    """Why the answer cannot come from the training labels, or its features not from the images alone."""
    features, other = (np.asarray(arrays["test_features"], dtype=np.float64) for arrays in (answer, control_answer))
    deviation = np.median(np.abs(features - np.median(features, axis=0)), axis=0)
    allowed = FEATURE_SLACK * np.maximum(np.abs(features), np.abs(other)) + COLUMN_SLACK * deviation
    changed = int((np.abs(features - other) > allowed).sum())
    if changed:
        return f"Its test features change with the training labels ({changed} of {features.size})"
    same = float((_host_scores(other, answer["weights"]).argmax(axis=1) == _host_labels(answer)).mean())
    if same < AGREEMENT_MIN:
        return f"Its labels change with features that saw other training labels ({100 * (1 - same):.0f} %)"
    claimed = (control_answer["labels"], _host_labels(control_answer))
    known = max(float((labels == case.hidden["labels"]).mean()) for labels in claimed)
    if known > CONTROL_ACCURACY_MAX:
        return f"It knows {100 * known:.0f} % of the labels where there was nothing to learn"
    return None


def witness(case: Case, answer: Answer) -> str | None:
    """Why the answer does not follow from its features and weights by the network's forward pass."""
    scores = _host_scores(answer["test_features"], answer["weights"])
    best = np.sort(scores, axis=1)
    gap = float(np.median(best[:, -1] - best[:, -2]))
    if gap == 0.0:
        return "Its features and weights tell no class from another"
    error = float(np.abs(scores - answer["scores"]).max())
    if error > GAP_SLACK * gap:
        return (
            f"Its scores do not follow from its features and weights (error of {error / gap:.1e} gaps between classes)"
        )
    behind = best[:, -1] - scores[np.arange(len(scores)), answer["labels"]]
    wrong = int((behind > GAP_SLACK * gap).sum())
    if wrong:
        return f"Its labels are not the largest of its scores ({wrong} of {len(scores)})"
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
        return f"the counts of its labels differ from the data's: at least {int(moved)} of {len(labels)} must be wrong"
    right = float((labels == case.hidden["labels"]).mean())
    return f"{100 * right:.0f} % right is chance" if right < 2.0 / CLASSES else None
