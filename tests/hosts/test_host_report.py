"""What a report says of hosts: each one's own seconds, and where two disagree about the same solution."""

import math
from dataclasses import replace

import pytest

from runner.records.grading import Ending, Interval, Sample
from runner.records.run import Run
from runner.report.hosts import disagreements, host_lines, summarize_hosts
from tests.builders import MEASUREMENT, make_grading, make_run


def run_on(
    host: str, number: int, baseline_s: float, oracle_s: float, resolution: float, seeds: tuple[int, ...]
) -> Run:
    def sample(side: str, round_number: int, seconds: float) -> Sample:
        return Sample(
            side=side, run=0, round=round_number, position=int(side == "baseline"), ending=Ending.ANSWERED,
            seconds=seconds,
        )  # type: ignore[arg-type]  # fmt: skip

    samples = tuple(
        each
        for index in range(1, len(seeds) + 1)
        for each in (sample("sentinel", index, oracle_s), sample("baseline", index, baseline_s))
    )
    speedup = Interval(estimate=5.0, low=4.0, high=6.0, confidence=0.95, rounds=len(seeds), resolution=resolution)
    grading = make_grading(measurement=replace(MEASUREMENT, samples=samples, seeds=seeds, speedup=speedup))
    return replace(make_run(number, grading), host=host)


def test_seconds_stay_with_their_host_and_shared_samples_count_once() -> None:
    runs = [
        run_on("a", 1, 10.0, 1.0, 1.1, (1, 2)),
        run_on("a", 2, 10.0, 1.0, 1.1, (1, 2, 3)),
        run_on("b", 3, 4.0, 0.4, 1.2, (9,)),
    ]
    a, b = summarize_hosts(runs)
    assert (a.baseline_s, b.baseline_s) == (10.0, 4.0) and (a.rounds, b.rounds) == (3, 1)
    assert a.oracle is not None and b.oracle is not None and math.isclose(a.oracle, b.oracle)
    assert disagreements([a, b]) == []


def test_hosts_that_disagree_about_the_solution_beyond_what_they_can_tell_are_named() -> None:
    near, far = (
        summarize_hosts([run_on("a", 1, 10.0, 1.0, 1.1, (1,)), run_on("b", 2, 10.0, s, 1.1, (2,))]) for s in (1.15, 1.4)
    )
    assert disagreements(near) == []
    (words,) = disagreements(far)
    assert words.startswith("a and b disagree about the task's own solution: 10.00x and 7.14x")


def test_a_job_of_one_machine_has_no_such_lines() -> None:
    assert list(host_lines([make_run()])) == []


def test_a_run_that_changed_its_host_says_so() -> None:
    run = replace(run_on("b", 4, 1.0, 1.0, 1.1, (1,)), lost_on=("a",))
    assert [line.plain for line in host_lines([run])][-1] == "  run 4: a was lost while it had it"


@pytest.mark.parametrize(
    ("rounds", "resolution"), [((-7, 1), 1.1), ((0, 1), 1.1), ((9, 1), 1.1), ((1, 1), -2.0), ((1, 1), 0.0)]
)
def test_what_a_host_cannot_have_measured_is_left_out_and_the_rest_is_told(
    rounds: tuple[int, ...], resolution: float
) -> None:
    def spoiled(run: Run) -> Run:
        assert run.grading is not None and run.grading.measurement is not None
        measured = run.grading.measurement
        samples = tuple(replace(one, round=rounds[number % 2]) for number, one in enumerate(measured.samples))
        return replace(run, grading=replace(run.grading, measurement=replace(measured, samples=samples)))

    runs = [spoiled(run_on(host, number, 10.0, 1.0, resolution, (number,))) for number, host in enumerate("ab", 1)]
    assert len(list(host_lines(runs))) >= 3
