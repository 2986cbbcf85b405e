"""The quality in an audit, where the baseline did not answer: held to the baseline's on the other data sets."""

from collections.abc import Sequence

import numpy as np
import pytest

from runner.grading.doubt import wrong_data_set
from runner.grading.measurement import summarize_quality
from runner.grading.scoring import audited
from runner.records.grading import QualityRound, Rules

RULES = Rules(
    target=33.0,
    confidence=0.95,
    quality="Accuracy",
    tolerance=0.02,
    minimum=None,
    rounds_max=12,
    seconds_max=3600.0,
    edition=2,
    data_sets=12,
)


def items(accuracy: float, count: int = 400) -> np.ndarray:
    right = round(accuracy * count)
    return np.array([1.0] * right + [0.0] * (count - right))


def known(*baselines: float) -> list[QualityRound]:
    return [
        QualityRound(round=n, baseline=value, candidate=value, difference=0.0, variance=0.0)
        for n, value in enumerate(baselines, 1)
    ]


@pytest.mark.parametrize(
    ("accuracy", "baselines", "wrong"),
    [
        (0.917, (0.91, 0.92, 0.93), False),
        (0.892, (0.91, 0.92, 0.93), False),  # within what the baseline does from one data set to the next
        (0.70, (0.91, 0.92, 0.93), True),
        (0.10, (0.91, 0.92), True),
    ],
)
def test_garbage_in_an_audit_is_wrong_and_an_honest_spread_is_not(
    accuracy: float, baselines: Sequence[float], wrong: bool
) -> None:
    before = known(*baselines)
    rounds = [*before, audited(9, items(accuracy), before, 0.02)]
    assert (wrong_data_set(summarize_quality(rounds, RULES), RULES) is not None) is wrong


def test_an_audit_moves_neither_the_bounds_nor_the_means_of_the_compared_data_sets() -> None:
    before = known(0.9, 0.91)
    with_audit = summarize_quality([*before, audited(3, items(0.85), before, 0.02)], RULES)
    without = summarize_quality(before, RULES)
    assert (with_audit.low, with_audit.high, with_audit.candidate) == (without.low, without.high, without.candidate)
    assert with_audit.rounds[-1].baseline is None and with_audit.rounds[-1].difference == pytest.approx(-0.055)


COUNT = 40
# What each item's answer is off by, in honest files and in wrong ones.
FINE, WRONG = -0.001, -1.0


def is_wrong(errors: np.ndarray) -> bool:
    before = known(0.0, 0.0)
    rounds = [*before, audited(3, errors, before, RULES.tolerance or 0.0)]
    return wrong_data_set(summarize_quality(rounds, RULES), RULES) is not None


@pytest.mark.parametrize("size", [1.0, 10.0, 1e6, 1e100])
@pytest.mark.parametrize("beyond", [0, 1, 2, 5, 12, 20, 30, COUNT])
def test_a_wrong_answer_is_no_better_for_items_that_are_wrong_beyond_measure(beyond: int, size: float) -> None:
    errors = np.full(COUNT, WRONG)
    errors[:beyond] *= size
    assert is_wrong(errors)


def test_it_is_no_better_either_for_errors_each_of_which_is_beside_the_next_one_nothing() -> None:
    assert is_wrong(-(3.0 ** np.arange(COUNT)))


@pytest.mark.parametrize("size", [0.1, 1.0, 1e6, 1e100])
@pytest.mark.parametrize("beyond", [0, 1, 2, 3])
def test_a_few_items_that_are_off_among_right_ones_are_left_to_the_items_noise(beyond: int, size: float) -> None:
    errors = np.full(COUNT, FINE)
    errors[:beyond] = -size
    assert not is_wrong(errors)


def test_an_honest_file_of_noisy_items_is_hardly_ever_called_wrong() -> None:
    draw = np.random.default_rng(7)
    named = [is_wrong(draw.standard_t(2, COUNT)) for _ in range(1000)]
    assert sum(named) <= 4
