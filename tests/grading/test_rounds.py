"""Rounds on the real path: their order, their data, and what happens when the host fails in the middle."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runner.budget.clock import SystemClock
from runner.faults import InfrastructureFault
from runner.grading.context import Candidate, GradingContext
from runner.grading.data import generate_round
from runner.grading.measurement import measured_rounds
from runner.grading.recompute import recompute
from runner.grading.rounds import grade, sample_rounds
from runner.grading.sample import SampleResult, run_sample
from runner.grading.schedule import (
    CONTROL,
    REPEATS,
    SAMPLES_PER_ROUND,
    ScheduledSample,
    containers_of,
    schedule_audits,
    schedule_repeats,
    schedule_round,
)
from runner.grading.standing import Graded
from runner.job.setup import build_context, build_rules, build_spec, load_task
from runner.records.grading import GradingStep, Sample
from runner.records.run import GradingConfig
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings
from runner.tasks.problem import load_problem
from runner.tasks.task import Task
from tests.conftest import Slot

MakeContext = Callable[..., GradingContext]


@pytest.fixture
def make_context(engine: Engine, measuring_slot: Slot, fleet: Fleet, nbody: Task) -> Iterator[MakeContext]:
    with measuring_slot() as cpu:

        def make(steps: list[GradingStep] | None = None, **options: Any) -> GradingContext:
            spec, image = build_spec(engine, nbody, Settings(), print)
            rules = build_rules(engine, nbody, "small", image, GradingConfig(**options))
            report_step = (steps if steps is not None else []).append
            return build_context(fleet, nbody, "small", spec, rules, SystemClock(), report_step).with_cpu(cpu)

        yield make


def sides(samples: Sequence[Sample], number: int) -> list[tuple[str, int]]:
    return [(s.side, s.run) for s in sorted(samples, key=lambda s: s.position) if s.round == number]


def schedule(
    number: int,
    runs: Sequence[Candidate],
    once: Sequence[int] = (),
    seed: int | None = None,
    oracle: bytes | None = b"o",
    controlled: Sequence[int] = (1, 2, 3),
) -> list[ScheduledSample]:
    rng = None if seed is None else np.random.default_rng(seed)
    return schedule_round(
        number, runs, measured_once=once, baseline=b"b", oracle=oracle, controlled=controlled, control_rng=rng
    )


THREE = [Candidate(run, b"x%d" % run) for run in (1, 2, 3)]


def test_a_round_opens_with_the_sentinel_interleaves_its_candidates_and_turns_around() -> None:
    first, second, third = (schedule(number, THREE) for number in (1, 2, 3))
    assert [sample.side for sample in first[:2]] == ["sentinel", "baseline"]
    assert [sample.run for sample in first[2:]] == [1, 2, 3] * SAMPLES_PER_ROUND
    assert [sample.permutation for sample in first[2:]] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    candidates = [sample for sample in second if sample.side == "candidate"]
    assert candidates == first[2:][::-1]
    assert second[0].side == "sentinel" and second.index(first[1]) == len(second) // 2
    assert [sample for sample in third if sample.side == "candidate"] == first[2:]


def test_audits_have_no_baseline_and_are_warmed_together_behind_a_sentinel() -> None:
    batches = schedule_audits([THREE, THREE, THREE[:1]], b"o", warm_max=5)
    sides = [[[(sample.side, sample.run) for sample in samples] for samples in batch] for batch in batches]
    three = [("candidate", 1), ("candidate", 2), ("candidate", 3)]
    assert sides == [[[("sentinel", 0), *three]], [[("sentinel", 0), *three], [("candidate", 1)]]]
    assert schedule_audits([THREE, THREE], None, warm_max=9) == [[schedule_audits([THREE], None, 9)[0][0]] * 2]
    assert len(schedule_audits([THREE] * 3, b"o", warm_max=2)) == 3 and schedule_audits([], b"o", 5) == []


def test_audits_in_shared_containers_take_one_for_each_candidate() -> None:
    [batch] = schedule_audits([THREE, THREE, THREE[:1]], b"o", warm_max=4, shared=True)
    samples = [sample for data_set in batch for sample in data_set]
    assert [sample.side for sample in samples] == ["sentinel", *["candidate"] * 7]
    assert containers_of(samples) == 1 + 3
    assert containers_of([replace(sample, shared=False) for sample in samples]) == 8


def test_a_repeat_takes_each_candidate_as_often_as_it_needs() -> None:
    repeats = schedule_repeats({THREE[0]: 3, Candidate(4, b"y", samples=1): 2})
    assert [sample.run for sample in repeats] == [1, 4, 1, 4, 1] and {sample.side for sample in repeats} == {"repeat"}
    assert {sample.permutation for sample in repeats if sample.run == 4} == {0}
    assert [sample.permutation for sample in repeats if sample.run == 1] == [0, 1, 2]


def test_whoever_is_decided_already_is_measured_once_and_gets_no_control() -> None:
    round_1 = schedule(1, THREE, once=[2], seed=7)
    assert [(s.side, s.run) for s in round_1 if s.run == 2] == [("candidate", 2)]
    assert sorted(s.run for s in round_1 if s.side == "control") == [1, 3]
    assert all(s.permutation == CONTROL for s in round_1 if s.side == "control")


def test_controls_run_where_they_are_due_at_positions_that_follow_from_the_seed() -> None:
    assert schedule(1, THREE, seed=7) == schedule(1, THREE, seed=7)
    places = {tuple(i for i, s in enumerate(schedule(1, THREE, seed=n)) if s.side == "control") for n in range(9)}
    assert len(places) > 3
    again = schedule(2, THREE, seed=7, controlled=[3])
    assert [sample.run for sample in again if sample.side == "control"] == [3]


def test_a_candidate_that_asks_for_fewer_samples_gets_fewer_and_a_task_without_a_solution_has_no_sentinel() -> None:
    round_1 = schedule(1, [Candidate(1, b"x", samples=1)], oracle=None)
    assert [sample.side for sample in round_1] == ["baseline", "candidate"]


def test_the_samples_of_a_round_are_those_of_its_schedule(make_context: MakeContext, nbody: Task) -> None:
    samples = sample_rounds(make_context(), [Candidate(n, nbody.oracle or b"") for n in (1, 2)], 2)
    for number in (1, 2):
        expected = schedule(number, [Candidate(n, b"") for n in (1, 2)])
        assert sides(samples, number) == [(sample.side, sample.run) for sample in expected]


def test_a_host_fault_repeats_the_whole_round_and_says_so(make_context: MakeContext, nbody: Task) -> None:
    calls = itertools.count(1)

    def fails_once(*arguments: Any) -> SampleResult:
        if next(calls) == 4:
            raise InfrastructureFault(cause="the engine hiccuped", hint="none")
        return run_sample(*arguments)

    steps: list[GradingStep] = []
    (graded,) = grade(replace(make_context(steps), run_sample=fails_once), [Candidate(1, nbody.oracle or b"")])
    assert graded.grading.outcome.kind == "passed"
    assert graded.grading.preloaded == {"baseline": ("numpy",), "candidate": ("numpy",)}
    assert any("round 1: repeated after a host fault: the engine hiccuped" in note for note in graded.grading.notes)
    assert graded.grading.measurement is not None
    first_round = [side for side, _ in sides(graded.grading.measurement.samples, 1) if side != "repeat"]
    assert len(first_round) == 2 + SAMPLES_PER_ROUND
    assert any("repeated" in step.text for step in steps)


def test_a_host_that_fails_again_scores_nobody(make_context: MakeContext, nbody: Task) -> None:
    def fails(*arguments: Any) -> SampleResult:
        raise InfrastructureFault(cause="the engine is gone", hint="none")

    with pytest.raises(InfrastructureFault, match="the engine is gone"):
        list(grade(replace(make_context(), run_sample=fails), [Candidate(1, nbody.oracle or b"")]))


def test_a_file_about_to_pass_is_audited_on_further_data_without_the_baseline(
    make_context: MakeContext, nbody: Task
) -> None:
    steps: list[GradingStep] = []
    context = make_context(steps)
    context = replace(context, rules=replace(context.rules, data_sets=5))
    (graded,) = grade(context, [Candidate(1, nbody.oracle or b"")])
    measured = graded.grading.measurement
    assert graded.grading.outcome.kind == "passed" and measured is not None and measured.audit is not None
    assert len(set(measured.seeds)) >= 5
    rounds = measured_rounds(measured.samples)
    audits = range(rounds + 1, len(measured.seeds) + 1)
    plain = [[side for side, _ in sides(measured.samples, number) if side != "repeat"] for number in audits]
    assert plain == [["sentinel", "candidate"], *[["candidate"]] * (len(audits) - 1)]
    assert graded.grading.quality is not None
    assert [entry.baseline for entry in graded.grading.quality.rounds[rounds:]] == [None] * len(audits)
    assert max(step.round_number for step in steps) == rounds and any("audits on" in s.text for s in steps)
    assert recompute(graded.grading, 1) == graded.grading


def test_a_sample_that_the_host_held_up_is_repeated_and_not_held_against_the_file(
    make_context: MakeContext, nbody: Task
) -> None:
    calls = itertools.count(1)

    def holds_one_up(*arguments: Any) -> SampleResult:
        result = run_sample(*arguments)
        held_up_s = 0.2 if next(calls) == 4 else 0.0  # after sentinel, baseline and one of the candidate's
        # The host's own hiccups are kept out: a second one among the repeats would be another story.
        typical_s = 0.004 if arguments[2] == nbody.oracle else 0.06
        return replace(result, seconds=typical_s + held_up_s)

    (graded,) = grade(replace(make_context(), run_sample=holds_one_up), [Candidate(1, nbody.oracle or b"")])
    measured = graded.grading.measurement
    assert measured is not None and measured.slowest_over_median is not None
    assert sides(measured.samples, 1)[-REPEATS:] == [("repeat", 1)] * REPEATS
    assert graded.grading.outcome.kind == "passed", graded.grading.outcome
    assert recompute(graded.grading, 1) == graded.grading


def test_samples_hold_the_kernels_account(make_context: MakeContext, nbody: Task) -> None:
    samples = sample_rounds(make_context(), [Candidate(1, nbody.oracle or b"")], 1)
    assert len(samples) == 2 + SAMPLES_PER_ROUND
    for sample in samples:
        assert sample.cpu_s is not None and 0 < sample.cpu_s < 10 * sample.seconds + 1
        assert sample.memory_peak_bytes is not None and 2**20 < sample.memory_peak_bytes < 2**29
        assert sample.load is not None and sample.steal_s is not None


def test_a_seed_gives_the_same_data_again_and_each_sample_an_order_of_its_own(nbody: Task) -> None:
    problem = load_problem(nbody)
    once, again = (generate_round(problem, nbody, "small", 2**100, SAMPLES_PER_ROUND) for _ in range(2))
    assert [data.inputs for data in once.permutations] == [data.inputs for data in again.permutations]
    assert len({data.inputs for data in once.permutations}) == SAMPLES_PER_ROUND
    masses = once.identity.case.inputs["masses"]
    for data in once.permutations[1:]:
        assert data.order is not None
        assert (masses[data.order] == data.case.inputs["masses"]).all()
        assert (data.in_identity_order(data.case.inputs["masses"]) == masses).all()  # type: ignore[arg-type]


def test_a_control_holds_the_same_images_with_shuffled_labels() -> None:
    task = load_task(Settings(), "slow_ml_training_complex")
    data = generate_round(load_problem(task), task, "small", 5, 1)
    assert data.control is not None
    inputs, control = data.identity.case.inputs, data.control.case.inputs
    for name in ("train_images", "test_images"):
        assert (inputs[name] == control[name]).all()
    assert (inputs["train_labels"] != control["train_labels"]).any()
    assert sorted(inputs["train_labels"].tolist()) == sorted(control["train_labels"].tolist())


def decided(graded: Sequence[Graded]) -> list[str]:
    return [entry.grading.outcome.kind for entry in graded]


def test_strictness_reaches_the_verdict(make_context: MakeContext, nbody: Task) -> None:
    warned = b"try:\n    open('x')\nexcept OSError:\n    pass\n" + (nbody.oracle or b"")
    candidate = Candidate(1, warned, samples=2)  # with one, nothing is compared in another order
    assert decided(list(grade(make_context(), [candidate]))) == ["passed"]
    assert decided(list(grade(make_context(strict=True), [candidate]))) == ["unsafe"]


def test_no_container_is_warmed_for_a_candidate_that_has_failed(make_context: MakeContext, nbody: Task) -> None:
    steps: list[GradingStep] = []
    context = replace(make_context(steps), memory_bytes=0)
    assert context.warm_max == 2
    fails = (nbody.oracle or b"").replace(b"def simulate(", b"import math\nmath.no_such_name\ndef simulate(")
    (graded,) = grade(replace(context, source_checks=False), [Candidate(1, b"x = 1\n" + fails)])
    assert graded.grading.outcome.kind == "crashed"
    assert graded.grading.measurement is not None
    assert len([s for s in graded.grading.measurement.samples if s.run == 1]) <= 2
    warmed, repeated = (sum(word in step.text for step in steps) for word in ("warming", "was repeated"))
    assert 2 <= warmed <= 2 + repeated
