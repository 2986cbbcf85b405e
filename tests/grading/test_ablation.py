"""A speed-up taken apart: parts, interactions and the remainder are the whole, whatever the times were."""

import math
import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.ablation import (
    Costs,
    Subset,
    combined,
    costs_of,
    estimate,
    logarithmic_mean,
    pairs_of,
    ratio,
    round_times,
    take_apart,
)
from runner.records.grading import Ending, Sample

SECONDS = st.floats(1e-3, 1e3)
NAMES = ("a", "b", "c", "d")
Times = Mapping[Subset, Mapping[int, float]]


def measured(saved: Mapping[Subset, float], subsets: list[Subset], noise: float, rng: random.Random) -> Times:
    """Times by round of a file of one second, where putting parts back costs what they save, alone and together."""

    def seconds(subset: Subset) -> float:
        return (1.0 + sum(cost for parts, cost in saved.items() if parts <= subset)) * math.exp(rng.gauss(0.0, noise))

    return {subset: {number: seconds(subset) for number in range(1, 4)} for subset in subsets}


def costs(saved: Mapping[Subset, float], subsets: list[Subset], noise: float = 0.0, seed: int = 0) -> Costs:
    everything = frozenset(NAMES)
    times = measured(saved, [*subsets, frozenset(), everything], noise, random.Random(seed))
    return costs_of(times[everything], times[frozenset()], {subset: times[subset] for subset in subsets})


def singles() -> list[Subset]:
    return [frozenset({name}) for name in NAMES]


def total(apart: object) -> float:
    parts, interactions, remainder = apart.parts, apart.interactions, apart.remainder  # type: ignore[attr-defined]
    return math.fsum(
        [*(part.value for part in parts.values()), *(each.gain.value for each in interactions), remainder.value]
    )


@given(
    baseline=st.lists(SECONDS, min_size=3, max_size=3),
    whole_file=st.lists(SECONDS, min_size=3, max_size=3),
    variants=st.lists(st.lists(SECONDS, min_size=3, max_size=3), min_size=1, max_size=4),
    second=st.lists(st.lists(SECONDS, min_size=3, max_size=3), min_size=6, max_size=6),
)
def test_parts_interactions_and_remainder_are_the_whole_whatever_was_measured(
    baseline: list[float], whole_file: list[float], variants: list[list[float]], second: list[list[float]]
) -> None:
    def by_round(values: list[float]) -> dict[int, float]:
        return dict(enumerate(values, 1))

    names = NAMES[: len(variants)]
    found = {frozenset({name}): by_round(values) for name, values in zip(names, variants, strict=True)}
    of_pairs = dict(zip(pairs_of(names), map(by_round, second), strict=False))
    apart = costs_of(by_round(baseline), by_round(whole_file), found)
    together = costs_of(by_round(whole_file), by_round(baseline), of_pairs) if of_pairs else None
    logs = [math.log(b / f) for b, f in zip(baseline, whole_file, strict=True)]
    size = 1.0 + max(
        abs(value) for costs in (apart, together) if costs for by in costs.of.values() for value in by.values()
    )
    for sum_of_all in (total(take_apart(apart)), total(take_apart(apart, together))):
        assert sum_of_all == pytest.approx(sum(logs) / 3, abs=1e-9 * size * len(names) ** 2)


def test_parts_that_save_time_apart_from_each_other_add_up() -> None:
    saved = {frozenset({"a"}): 20.0, frozenset({"b"}): 5.0, frozenset({"c"}): 0.5, frozenset({"d"}): 0.1}
    apart = take_apart(costs(saved, singles()))
    assert apart.remainder.value == pytest.approx(0.0, abs=1e-12)
    assert apart.whole.value == pytest.approx(math.log(26.6))
    unit = logarithmic_mean(26.6, 1.0)
    assert {name: part.value for name, part in apart.parts.items()} == pytest.approx(
        {"a": 20.0 / unit, "b": 5.0 / unit, "c": 0.5 / unit, "d": 0.1 / unit}
    )


def test_two_parts_that_save_the_same_time_are_named() -> None:
    saved = {frozenset({"a"}): 8.0, frozenset({"b"}): 8.0, frozenset({"a", "b"}): -6.0, frozenset({"c"}): 1.0}
    alone = take_apart(costs(saved, singles(), noise=0.01))
    assert not alone.remainder.holds_zero and alone.remainder.value < 0.0
    named = take_apart(costs(saved, singles(), noise=0.01), costs(saved, pairs_of(NAMES), noise=0.01, seed=1))
    assert named.remainder.holds_zero
    strongest = min(named.interactions, key=lambda each: each.gain.value)
    assert strongest.parts == ("a", "b")
    assert strongest.gain.value == pytest.approx(-6.0 / logarithmic_mean(12.0, 1.0), rel=0.15)
    others = [each for each in named.interactions if each is not strongest]
    assert all(abs(each.gain.value) < 0.2 for each in others) and len(others) == 5


def test_noise_alone_leaves_nothing_over_about_as_often_as_the_interval_says() -> None:
    saved = {frozenset({"a"}): 20.0, frozenset({"b"}): 5.0, frozenset({"c"}): 0.5}
    held = [take_apart(costs(saved, singles(), noise=0.02, seed=seed)).remainder.holds_zero for seed in range(400)]
    assert 0.92 <= sum(held) / len(held) <= 0.98


@given(values=st.lists(st.floats(-5, 5), min_size=2, max_size=8))
def test_the_interval_of_one_series_is_students(values: list[float]) -> None:
    found = estimate(values)
    assert found.low is not None and found.high is not None
    assert found.low <= found.value <= found.high
    assert combined([values, [0.0] * 3]).value == pytest.approx(found.value)


def test_a_single_round_has_no_interval() -> None:
    assert estimate([1.5]).low is None and estimate([1.5]).holds_zero


def test_a_ratio_is_a_geometric_mean_over_the_rounds_that_both_have() -> None:
    found = ratio({1: 4.0, 2: 1.0, 3: 9.0}, {1: 1.0, 2: 1.0})
    assert found.value == pytest.approx(2.0) and found.low is not None and found.low < 2.0


def test_rounds_without_everything_are_left_out_and_none_is_an_error() -> None:
    found = costs_of({1: 2.0, 2: 2.0}, {1: 1.0, 2: 1.0}, {frozenset({"a"}): {2: 2.0}})
    assert take_apart(found).whole.value == pytest.approx(math.log(2.0))
    with pytest.raises(ValueError, match="no round"):
        take_apart(costs_of({1: 2.0}, {1: 1.0}, {frozenset({"a"}): {}}))


def test_times_of_a_round_are_the_geometric_mean_of_its_samples() -> None:
    def sample(side: str, run: int, seconds: float, ending: Ending = Ending.ANSWERED) -> Sample:
        return Sample(side=side, run=run, round=1, position=0, ending=ending, seconds=seconds)  # type: ignore[arg-type]

    samples = [sample("baseline", 0, 3.0), sample("candidate", 1, 1.0), sample("candidate", 1, 4.0)]
    samples += [sample("control", 1, 99.0), sample("sentinel", 0, 9.0), sample("candidate", 1, 0.1, Ending.CRASHED)]
    assert round_times(samples, 0) == pytest.approx({1: 3.0}) and round_times(samples, 1) == pytest.approx({1: 2.0})
