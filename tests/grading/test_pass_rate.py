"""The pass rate, and what the noise of measuring could have made of it."""

from runner.grading.hiccups import counted_samples
from runner.grading.measurement import log_ratios, summarize_times
from runner.grading.pass_rate import pass_rate_interval
from runner.grading.schedule import REPEATS
from runner.records.grading import Ending, Sample
from runner.records.run import Run
from tests.builders import RULES, make_grading, make_run, make_ungraded


def run(number: int, ratios: list[float], passed: bool) -> Run:
    """A run with such a ratio in each round."""
    samples = []
    for at, ratio in enumerate(ratios, 1):
        samples.append(Sample(side="baseline", run=0, round=at, position=0, ending="answered", seconds=10.0))
        samples.append(
            Sample(side="candidate", run=number, round=at, position=1, ending="answered", seconds=10.0 / ratio)
        )
    measured = summarize_times(samples, number, RULES, list(range(len(ratios))))
    return make_run(number, make_grading("passed" if passed else "too_slow", measurement=measured))


def test_far_from_the_target_noise_changes_nothing() -> None:
    runs = [run(1, [50.0, 60.0, 55.0], True), run(2, [10.0, 11.0, 9.0], False)]
    assert pass_rate_interval(runs) == (0.5, 0.5)


def test_near_the_target_the_rate_could_have_come_out_otherwise() -> None:
    runs = [run(1, [30.0, 36.0, 34.0], True), run(2, [10.0, 11.0, 9.0], False)]
    assert pass_rate_interval(runs) == (0.0, 0.5)


def test_what_does_not_rest_on_speed_stays_and_what_does_not_count_is_left_out() -> None:
    fixed = make_ungraded(3, "missing_component")
    assert pass_rate_interval([fixed]) == (0.0, 0.0)
    assert pass_rate_interval([make_ungraded(4, "infrastructure")]) is None
    assert pass_rate_interval([run(1, [50.0, 60.0], True), fixed, make_ungraded(4, "infrastructure")]) == (0.5, 0.5)


def test_runs_that_share_rounds_move_together() -> None:
    ratios = [20.0, 20.0, 70.0]
    low, high = pass_rate_interval([run(1, ratios, True), run(2, ratios, True)]) or (None, None)
    assert (low, high) == (0.0, 1.0)


def test_a_sample_that_its_repeats_excuse_counts_as_little_here_as_in_the_verdict() -> None:
    """A hiccup of 0.3 s in a file of 5 ms, and sixteen repeats that took no longer than the others."""
    samples = []
    for number in (1, 2, 3):
        samples.append(Sample(side="baseline", run=0, round=number, position=0, ending=Ending.ANSWERED, seconds=0.25))
        for position in (1, 2, 3):
            seconds = 0.3 if (number, position) == (2, 2) else 0.005
            samples.append(
                Sample(
                    side="candidate", run=1, round=number, position=position, ending=Ending.ANSWERED, seconds=seconds
                )
            )
    samples += [
        Sample(side="repeat", run=1, round=2, position=4 + place, ending=Ending.ANSWERED, seconds=0.005)
        for place in range(REPEATS)
    ]
    target = 0.9 * summarize_times(samples, 1, RULES, [1, 2, 3]).speedup.estimate  # type: ignore[union-attr]
    for value in log_ratios(samples, 1, target):
        assert value > 0.0
    assert len(counted_samples(samples, 1)) == len(samples) - 3 - 1
