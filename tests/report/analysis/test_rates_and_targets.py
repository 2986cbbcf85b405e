"""Rates and the target's place: known values, and bands that hold what they promise."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.records.grading import Interval
from runner.report.analysis.rates import jeffreys, pass_all_k, pass_at_k, rate_of, wilson
from runner.report.analysis.targets import range_for, rate_at, target_curve
from tests.builders import make_grading, make_measured_run, make_ungraded

SMALL = st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(1, n)))


@given(SMALL)
def test_pass_at_k_is_the_share_of_all_choices_of_k_runs(case: tuple[int, int, int]) -> None:
    passed, counted, k = case
    runs = [True] * passed + [False] * (counted - passed)
    chosen = list(itertools.combinations(runs, k))
    assert pass_at_k(passed, counted, k) == pytest.approx(sum(map(any, chosen)) / len(chosen))
    assert pass_all_k(passed, counted, k) == pytest.approx(sum(map(all, chosen)) / len(chosen))


def test_more_runs_than_there_are_give_no_estimate() -> None:
    assert pass_at_k(1, 3, 4) is None and pass_all_k(1, 3, 4) is None


def test_the_intervals_are_those_of_the_literature() -> None:
    assert wilson(4, 10) == pytest.approx((0.168, 0.687), abs=5e-4)
    assert jeffreys(4, 10) == pytest.approx((0.153, 0.696), abs=5e-4)
    assert jeffreys(0, 10)[0] == 0.0 and jeffreys(10, 10)[1] == 1.0


def test_nothing_that_counts_gives_no_rate() -> None:
    assert rate_of(0, 0).value is None and rate_of(0, 0).wilson is None


def test_a_target_passes_those_whose_lower_bound_reaches_it_and_no_failure_of_another_kind() -> None:
    runs = [
        make_measured_run(1, "passed", Interval(estimate=50.0, low=40.0, high=60.0, confidence=0.95, rounds=3)),
        make_measured_run(2, "too_slow", Interval(estimate=20.0, low=15.0, high=25.0, confidence=0.95, rounds=3)),
        make_measured_run(3, "unsafe", Interval(estimate=90.0, low=80.0, high=99.0, confidence=0.95, rounds=3)),
        make_ungraded(4),
        make_ungraded(5, "infrastructure"),
    ]
    curve = target_curve(runs, 33.0)
    assert curve is not None and curve.runs == 4 and curve.ceiling == 0.5
    assert [rate_at(curve, target) for target in (10.0, 15.0, 16.0, 40.0, 41.0)] == [0.5, 0.5, 0.25, 0.25, 0.0]
    assert dict(curve.other_failures) == {"unsafe": 1, "no_submission": 1}


def test_a_wanted_rate_gives_its_targets_or_the_reason_why_there_are_none() -> None:
    bounds = [10.0, 20.0, 30.0, 40.0]
    runs = [
        make_measured_run(n, "passed", Interval(estimate=2 * low, low=low, high=3 * low, confidence=0.95, rounds=3))
        for n, low in enumerate(bounds, 1)
    ]
    curve = target_curve(runs, 5.0)
    assert curve is not None
    found = range_for(curve, (0.2, 0.6))
    assert (found.low, found.high) == (20.0, 40.0)
    assert "too few" in range_for(curve, (0.3, 0.4)).reason
    only_failures = target_curve([*runs[:1], *(make_ungraded(n) for n in range(5, 15))], 5.0)
    assert only_failures is not None and "no target passes more than 9 %" in range_for(only_failures, (0.2, 0.5)).reason


def test_nothing_that_was_measured_gives_no_curve() -> None:
    assert target_curve([make_ungraded(1, "infrastructure")], 33.0) is None
    assert (
        target_curve(
            [make_measured_run(1, "passed", Interval(estimate=2.0, low=1.0, high=3.0, confidence=0.95, rounds=3))], None
        )
        is None
    )


def test_the_band_holds_the_whole_true_curve_in_at_least_93_of_100_jobs() -> None:
    """Jobs of ten runs: a run fails for another reason with 0.3, else its bound is drawn from a known distribution."""
    rng, held, jobs = random.Random(1), 0, 400
    for _ in range(jobs):
        runs = []
        for number in range(1, 11):
            if rng.random() < 0.3:
                runs.append(make_ungraded(number))
            else:
                low = rng.uniform(10.0, 110.0)
                runs.append(
                    make_measured_run(
                        number, "passed", Interval(estimate=2 * low, low=low, high=3 * low, confidence=0.95, rounds=3)
                    )
                )
        curve = target_curve(runs, 20.0)
        if curve is None:
            continue
        truth = [0.7 * min(1.0, max(0.0, (110.0 - target) / 100.0)) for target in range(1, 120)]
        held += all(abs(rate_at(curve, target) - share) <= curve.half_width for target, share in enumerate(truth, 1))
    assert held >= 0.93 * jobs


def test_a_grading_without_an_interval_says_nothing_of_targets() -> None:
    run = make_measured_run(1, "passed", Interval(estimate=50.0, low=None, high=None, confidence=0.95, rounds=1))
    assert target_curve([run], 33.0) is None and make_grading().outcome.kind == "passed"
