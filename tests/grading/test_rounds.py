"""Rounds on the real path: their order, their data, and what happens when the host fails in the middle."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from runner.clock import SystemClock
from runner.faults import InfrastructureFault
from runner.grading import rounds
from runner.grading.data import generate_round
from runner.grading.rounds import SAMPLES_PER_ROUND, Candidate, Graded, GradingContext, grade
from runner.job.setup import GradingOptions, build_context, build_rules, build_spec, load_task
from runner.records.grading import Sample
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import measurement_cpu
from runner.settings import Settings
from runner.tasks.problem import load_problem
from runner.tasks.task import Task

MakeBench = Callable[..., GradingContext]


@pytest.fixture
def make_bench(engine: Engine, fleet: Fleet, nbody: Task) -> MakeBench:
    def make(said: list[str] | None = None, **options: Any) -> GradingContext:
        spec, image = build_spec(engine, nbody, "", print)
        rules = build_rules(engine, nbody, "small", image, GradingOptions(**options))
        say = (said if said is not None else []).append
        return build_context(fleet, nbody, "small", spec, rules, SystemClock(), say).on(measurement_cpu(engine))

    return make


def sides(samples: Sequence[Sample], number: int) -> list[tuple[str, int]]:
    return [(s.side, s.run) for s in sorted(samples, key=lambda s: s.position) if s.round == number]


def test_a_round_opens_with_the_sentinel_interleaves_its_candidates_and_turns_around(
    make_bench: MakeBench, nbody: Task
) -> None:
    taken = rounds.sample_rounds(make_bench(), [Candidate(n, nbody.oracle or b"") for n in (1, 2)], 2)
    first, second = sides(taken, 1), sides(taken, 2)
    assert first[:2] == [("sentinel", 0), ("baseline", 0)] and second[0] == ("sentinel", 0)
    theirs = [run for side, run in first if side == "candidate"]
    assert theirs == [1, 2] * SAMPLES_PER_ROUND
    assert [run for side, run in second if side == "candidate"] == theirs[::-1]
    assert second.index(("baseline", 0)) == len(second) // 2


def test_a_host_fault_takes_the_whole_round_again_and_says_so(
    make_bench: MakeBench, nbody: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, real = itertools.count(1), rounds.run_sample

    def fails_once(*given: Any) -> Any:
        if next(calls) == 4:
            raise InfrastructureFault(cause="the engine hiccuped", hint="none")
        return real(*given)

    monkeypatch.setattr(rounds, "run_sample", fails_once)
    said: list[str] = []
    (graded,) = grade(make_bench(said), [Candidate(1, nbody.oracle or b"")])
    assert graded.verdict.name == "passed"
    assert any("round 1 was taken again after a host fault: the engine hiccuped" in note for note in graded.notes)
    assert graded.measurement is not None and len(sides(graded.measurement.samples, 1)) == 2 + SAMPLES_PER_ROUND
    assert any("taken again" in step for step in said)


def test_a_host_that_fails_again_scores_nobody(
    make_bench: MakeBench, nbody: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: Any) -> Any:
        raise InfrastructureFault(cause="the engine is gone", hint="none")

    monkeypatch.setattr(rounds, "run_sample", fails)
    with pytest.raises(InfrastructureFault, match="the engine is gone"):
        list(grade(make_bench(), [Candidate(1, nbody.oracle or b"")]))


def test_samples_hold_the_kernels_account(make_bench: MakeBench, nbody: Task) -> None:
    (graded,) = grade(make_bench(), [Candidate(1, nbody.oracle or b"")])
    assert graded.measurement is not None
    for sample in graded.measurement.samples:
        assert sample.cpu_s is not None and 0 < sample.cpu_s < 10 * sample.seconds + 1
        assert sample.memory_peak_bytes is not None and 2**20 < sample.memory_peak_bytes < 2**29
        assert sample.load is not None and sample.steal_s is not None


def test_a_seed_gives_the_data_of_all_samples_again_each_in_an_order_of_its_own(nbody: Task) -> None:
    problem = load_problem(nbody)
    one, same = (generate_round(problem, nbody, "small", 2**100, SAMPLES_PER_ROUND) for _ in range(2))
    assert [form.inputs for form in one.forms] == [form.inputs for form in same.forms]
    assert len({form.inputs for form in one.forms}) == SAMPLES_PER_ROUND
    masses = one.plain.case.inputs["masses"]
    for form in one.forms[1:]:
        assert form.order is not None
        assert (masses[form.order] == form.case.inputs["masses"]).all()
        assert (form.plain(form.case.inputs["masses"]) == masses).all()  # type: ignore[arg-type]


def test_a_control_holds_the_same_images_with_shuffled_labels() -> None:
    task = load_task(Settings(), "slow_ml_training_complex")
    data = generate_round(load_problem(task), task, "small", 5, 1)
    assert data.control is not None
    plain, twin = data.plain.case.inputs, data.control.case.inputs
    for name in ("train_images", "test_images"):
        assert (plain[name] == twin[name]).all()
    assert (plain["train_labels"] != twin["train_labels"]).any()
    assert sorted(plain["train_labels"].tolist()) == sorted(twin["train_labels"].tolist())


def decided(graded: Sequence[Graded]) -> list[str]:
    return [entry.verdict.name for entry in graded]


def test_strictness_reaches_the_verdict(make_bench: MakeBench, nbody: Task) -> None:
    warned = b"try:\n    open('x')\nexcept OSError:\n    pass\n" + (nbody.oracle or b"")
    assert decided(list(grade(make_bench(), [Candidate(1, warned)]))) == ["passed"]
    assert decided(list(grade(make_bench(strict=True), [Candidate(1, warned)]))) == ["unsafe"]
