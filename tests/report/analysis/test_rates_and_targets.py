"""Rates and the target's place: known values, and bands that hold what they promise."""

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.records.grading import Grading, Interval, Quality
from runner.records.outcome import OutcomeKind
from runner.report.analysis.rates import jeffreys, pass_all_k, pass_at_k, rate_of, wilson
from runner.report.analysis.targets import highest_target, range_for, rate_at, target_curve
from tests.builders import MEASUREMENT, make_grading, make_measured_run, make_run, make_ungraded

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


def graded(
    kind: str, low: float, *, audit: float | None = None, total: float | None = None, accurate: bool = True
) -> Grading:
    """With bounds of a speed-up as given; `accurate`: that its quality is told to reach the bar."""
    bounds = Interval(estimate=2 * low, low=low, high=3 * low, confidence=0.95, rounds=3)
    audited = None if audit is None else replace(bounds, low=audit)
    quality = Quality(name="Accuracy", baseline=0.9, candidate=0.9, bar=0.8, tolerance=0.1, low=-0.05, high=0.05)
    return make_grading(
        kind,
        measurement=replace(MEASUREMENT, speedup=bounds, audit=audited, total_ratio=total, median_ratio=None),
        quality=quality if accurate else replace(quality, low=-0.2),
    )


@pytest.mark.parametrize(
    ("grading", "highest"),
    [
        (graded("passed", 40.0), 40.0),
        (graded("passed", 40.0, audit=36.0), 36.0),
        (graded("passed", 40.0, audit=50.0), 40.0),
        (graded("passed", 40.0, total=37.0), 37.0),
        (graded("passed", 32.9), 33.0),
        (graded("too_slow", 20.0), 20.0),
        (graded("unstable", 20.0), 20.0),
        (graded("unstable", 40.0), 0.0),
        (graded("too_slow", 33.0), 0.0),
        (graded("unstable", 40.0, audit=30.0), 30.0),
        (graded("inconclusive", 20.0), 20.0),
        (graded("inconclusive", 40.0), None),
        (graded("inconclusive", 20.0, accurate=False), None),
        (graded("inaccurate", 40.0), 0.0),
        (graded("infrastructure", 40.0), None),
    ],
)
def test_a_run_passes_up_to_the_lowest_of_its_bounds_and_where_it_was_judged_as_it_was_judged(
    grading: Grading, highest: float | None
) -> None:
    assert highest_target(make_run(1, grading), 33.0) == highest


KINDS = st.sampled_from([kind.value for kind in OutcomeKind])
BOUND = st.floats(1.0, 100.0)


@given(st.lists(st.tuples(KINDS, BOUND, st.none() | BOUND, st.booleans()), max_size=12), BOUND)
def test_at_the_target_that_was_asked_for_the_curve_is_the_share_that_passed(
    cases: list[tuple[str, float, float | None, bool]], target: float
) -> None:
    gradings = [graded(kind, low, audit=audit, accurate=accurate) for kind, low, audit, accurate in cases]
    runs = [make_run(number, grading) for number, grading in enumerate(gradings, 1)]
    curve = target_curve(runs, target)
    passed = sum(run.outcome.kind is OutcomeKind.PASSED for run in runs)
    assert passed == (0 if curve is None else round(rate_at(curve, target) * curve.runs))


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


@pytest.mark.parametrize(
    ("want", "low", "words"),
    [
        ((0.0, 0.1), 40.0, "any target over 40.0x"),
        ((0.0, 0.5), 20.0, "any target over 20.0x"),
        ((0.0, 1.0), 0.0, "any target over 0.0x"),
    ],
)
def test_where_no_pass_is_wanted_too_no_target_is_too_high(want: tuple[float, float], low: float, words: str) -> None:
    runs = [make_run(n, graded("passed", bound)) for n, bound in enumerate((10.0, 20.0, 30.0, 40.0), 1)]
    curve = target_curve(runs, 5.0)
    assert curve is not None
    found = range_for(curve, want)
    assert (found.low, found.high, found.reason) == (low, None, words)


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
                kind = "passed" if low >= 20.0 else "too_slow"
                bounds = Interval(estimate=2 * low, low=low, high=3 * low, confidence=0.95, rounds=3)
                runs.append(make_measured_run(number, kind, bounds))
        curve = target_curve(runs, 20.0)
        if curve is None:
            continue
        truth = [0.7 * min(1.0, max(0.0, (110.0 - target) / 100.0)) for target in range(1, 120)]
        held += all(abs(rate_at(curve, target) - share) <= curve.half_width for target, share in enumerate(truth, 1))
    assert held >= 0.93 * jobs


def test_a_grading_without_an_interval_says_nothing_of_targets() -> None:
    run = make_measured_run(1, "passed", Interval(estimate=50.0, low=None, high=None, confidence=0.95, rounds=1))
    assert target_curve([run], 33.0) is None and make_grading().outcome.kind == "passed"
