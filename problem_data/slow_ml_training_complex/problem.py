"""Trusted: makes the data of a seed and scores an answer. Numpy only; runs on the host.

Textures of 16x16 pixels: gratings at random phase with noise. There are twenty modes (orientation, frequency), and each
class is the union of two that lie far apart, so that nothing linear and no nearest centroid gets far. Every seed redraws
which modes make a class and where exactly the modes lie: weights trained on another seed's data are worth nothing. One
label in eleven is drawn at random, so that no method can reach 1.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from runner.grading.case import Answer, Case

SIDE = 16
CLASSES = 10
ORIENTATIONS = 10
FREQUENCIES = (0.11, 0.20)
NOISE = 0.38
WRONG_LABELS = 0.09

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
