"""Answers are bytes of a size that the host declared; whatever else comes is a bad answer, never an error of ours."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.sample import parse
from runner.tasks.task import Array

DECLARED = (Array("labels", "int64", (4,), 0, 9), Array("scores", "float32", (4, 2)), Array("flag", "bool", ()))
SIZE = sum(array.nbytes for array in DECLARED)


def packed(labels: list[int], score: float = 0.5) -> bytes:
    return np.array(labels, "<i8").tobytes() + np.full(8, score, "<f4").tobytes() + b"\1"


def test_what_was_packed_comes_out() -> None:
    answer = parse(packed([0, 1, 2, 9]), DECLARED)
    assert isinstance(answer, dict)
    assert answer["labels"].tolist() == [0, 1, 2, 9] and answer["scores"].shape == (4, 2) and bool(answer["flag"])


@given(st.binary(max_size=2 * SIZE))
def test_any_bytes_are_arrays_as_declared_or_a_reason(body: bytes) -> None:
    answer = parse(body, DECLARED)
    if isinstance(answer, str):
        return
    assert len(body) == SIZE
    assert [(array.name, array.shape) for array in DECLARED] == [(k, v.shape) for k, v in answer.items()]
    assert np.isfinite(answer["scores"]).all() and answer["labels"].min() >= 0 and answer["labels"].max() <= 9


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (packed([0, 1, 2, 3])[:-1], "the answer has 64 bytes, 65 were expected"),
        (packed([0, 1, 2, 3]) + b"\0", "the answer has 66 bytes"),
        (b"", "the answer has 0 bytes"),
        (packed([0, 1, 2, 10]), r"labels lies in \[0, 10\]"),
        (packed([-1, 1, 2, 3]), r"labels lies in \[-1, 3\]"),
        (packed([0, 1, 2, 3], np.nan), "not finite"),
        (packed([0, 1, 2, 3], np.inf), "not finite"),
        (packed([0, 1, 2, 3])[:-1] + b"\2", "flag holds bytes that are neither true nor false"),
        (packed([0, 1, 2, 3])[:-1] + b"\xff", "neither true nor false"),
    ],
)
def test_the_reason_says_what_is_wrong(body: bytes, words: str) -> None:
    answer = parse(body, DECLARED)
    assert isinstance(answer, str)
    assert re.search(words, answer)
