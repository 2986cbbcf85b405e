"""The interval, simulated: how often it errs, over looks, on noise as a host makes it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.intervals import LOOKS, round_difference, speedup

seconds = st.floats(1e-4, 1e4)
rounds = st.lists(st.tuples(st.lists(seconds, min_size=1, max_size=3), st.lists(seconds, min_size=1, max_size=3)),
                  min_size=1, max_size=12)  # fmt: skip


@given(rounds)
def test_the_estimate_lies_within_its_bounds(times: list[tuple[list[float], list[float]]]) -> None:
    interval = speedup([round_difference(*pair) for pair in times], 0.95)
    if interval.low is not None and interval.high is not None:
        assert interval.low <= interval.estimate * (1 + 1e-9) and interval.estimate <= interval.high * (1 + 1e-9)
    else:
        assert len(times) == 1


@given(rounds, st.floats(0.01, 100.0))
def test_another_unit_of_time_changes_nothing(times: list[tuple[list[float], list[float]]], unit: float) -> None:
    plain = speedup([round_difference(*pair) for pair in times], 0.95)
    scaled = speedup(
        [round_difference([unit * t for t in base], [unit * t for t in mine]) for base, mine in times], 0.95
    )
    assert scaled.estimate == pytest.approx(plain.estimate, rel=1e-6)


def test_equal_rounds_give_their_ratio_exactly() -> None:
    interval = speedup([round_difference([6.0], [2.0])] * 3, 0.95)
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((3.0, 3.0, 3.0))


def test_a_single_round_gives_no_interval() -> None:
    assert speedup([math.log(50.0)], 0.95).low is None


def test_no_rounds_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one round"):
        speedup([], 0.95)


def false_pass_rate(correlation: float, trials: int = 4000) -> float:
    """Share of candidates exactly at the target that pass at any planned look; noise of one round to the next is
    correlated as on a host whose neighbours come and go."""
    draw = np.random.default_rng(np.random.SeedSequence([7, int(100 * correlation)]))
    passed = 0
    for _ in range(trials):
        noise = draw.standard_normal(max(LOOKS))
        for r in range(1, len(noise)):
            noise[r] = correlation * noise[r - 1] + math.sqrt(1 - correlation**2) * noise[r]
        for look in LOOKS:
            interval = speedup([0.05 * float(value) for value in noise[:look]], 0.95)
            assert interval.low is not None
            if interval.low >= 1.0:
                passed += 1
                break
            if interval.high is not None and interval.high < 1.0:
                break
    return passed / trials


@pytest.mark.slow
@pytest.mark.parametrize(("correlation", "bound"), [(0.0, 0.05), (0.1, 0.06)])
def test_looking_five_times_does_not_buy_a_pass(correlation: float, bound: float) -> None:
    rate = false_pass_rate(correlation)
    # Three standard errors of a share over 4000 trials.
    assert rate <= bound + 3 * math.sqrt(bound * (1 - bound) / 4000)
    assert rate > 0.005  # a rule that never errs would never decide either
