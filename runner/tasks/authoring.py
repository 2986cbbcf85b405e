"""What a problem.py is written with: the types of its functions, and helpers for what most of them do. Needs numpy alone."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Case(NamedTuple):
    """One data set.

    Attributes:
        inputs: what a container gets, by the names of `[inputs]`; dtypes and shapes as declared there.
        hidden: what stays on the host, such as the labels of the test items; the first axis of each array is the items.
    """

    inputs: Mapping[str, NDArray[Any]]
    hidden: Mapping[str, NDArray[Any]]


class Question(NamedTuple):
    """One data set of a task whose submission is the answer itself (`[call] kind = "answer"`).

    Attributes:
        files: what the agent finds in its workspace, by name.
        hidden: what stays on the host, such as the labels that are to be predicted; the first axis is the items.
    """

    files: Mapping[str, bytes]
    hidden: Mapping[str, NDArray[Any]]


class Cases(NamedTuple):
    """One data set of a task whose submission is a program (`[call] kind = "program"`): at least one case.

    Attributes:
        stdin: what the program gets in each case.
        expected: what is right in each case; it stays on the host. For a `judge` of the task's own, whatever that needs.
    """

    stdin: list[bytes]
    expected: list[bytes]


class BadAnswer(Exception):
    """Raised by a function of problem.py where the answer has not the form that is asked for; the text says why."""


# What came back, by the names of `[answer]`; dtypes, shapes and ranges as declared there.
Answer = Mapping[str, NDArray[Any]]
# The numbers of a scale, by name.
Sizes = Mapping[str, int]
# (n_items,): item i of a rearranged case is item order[i] of the case.
Order = NDArray[np.int64]
# (n_items,): one quality value an item; higher is better.
Qualities = NDArray[np.float64]


def generators(seed: int, count: int) -> list[np.random.Generator]:
    """Random generators that follow from a seed and are independent of each other: one for each thing that is drawn.

    So what is drawn for one thing stays the same when more is drawn for another (`numpy.random.SeedSequence.spawn`).
    """
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(count)]


def items_equal(answer: NDArray[np.generic], expected: NDArray[np.generic]) -> Qualities:
    """(n_items,): 1.0 for each item, along the first axis, whose values are exactly the expected ones; else 0.0."""
    right = np.asarray(np.asarray(answer) == np.asarray(expected))
    return np.asarray(right.reshape(len(right), -1).all(axis=1), dtype=np.float64)


def items_close(answer: NDArray[np.generic], expected: NDArray[np.generic], relative: float) -> Qualities:
    """(n_items,): 1.0 for each item, along the first axis, whose largest error is small; else 0.0.

    Args:
        relative: the largest error that is accepted, as a share of 1 + the item's largest expected value; so it is absolute
            for values near zero.
    """
    wanted = np.asarray(expected, dtype=np.float64).reshape(len(expected), -1)
    error = np.abs(np.asarray(answer, dtype=np.float64).reshape(wanted.shape) - wanted).max(axis=1)
    return np.asarray(error <= relative * (1.0 + np.abs(wanted).max(axis=1)), dtype=np.float64)
