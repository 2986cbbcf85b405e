"""Slots side by side: each grades its own share in its own rounds, and they do it at the same time."""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from runner.budget.clock import SystemClock
from runner.faults import InfrastructureFault, Interrupted
from runner.grading.context import Candidate, GradingContext, Slot
from runner.grading.grade import grade_candidates, grading_session
from runner.grading.sample import SampleResult
from runner.grading.side_by_side import contexts_in_slots, deal, grade_side_by_side
from runner.grading.standing import Graded
from runner.job.calibration import sample_side_by_side
from runner.job.setup import build_context, build_rules, build_spec, load_task
from runner.records.grading import Certificate, Grading, GradingStep
from runner.records.outcome import Outcome, OutcomeKind
from runner.records.run import GradingConfig
from runner.sandbox.core_sets import CoreSet
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings
from runner.tasks.problem import load_problem
from runner.tasks.task import Task
from tests.fakes.paper import RULES

PASSED = Grading(outcome=Outcome(OutcomeKind.PASSED, "it holds"))
SLOTS = tuple(
    Slot(
        CoreSet(str(cpu), f"{cpu - 1}-{cpu}", 2),
        Certificate(id=f"slot-{number}", variance=1e-3, df=6, sentinel_log_mean=0.0, sentinel_log_sd=0.1),
    )
    for number, cpu in enumerate((7, 5, 3), 1)
)


class PaperFleet:
    """Threads without sandboxes; whether they were stopped."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.engine = SimpleNamespace(is_local=True)

    threads = Fleet.threads

    def stop(self) -> None:
        self.stopped.set()


@pytest.fixture
def context() -> GradingContext:
    task = load_task(Settings(), "slow_nbody")
    fleet: Any = PaperFleet()
    unused: Any = SimpleNamespace(memory_bytes=2**29)
    return GradingContext(
        fleet=fleet, task=task, problem=load_problem(task), scale="small", spec=unused, measure_cpu="", warmup_cpus="0-7",
        memory_bytes=2**36, rules=RULES, clock=SystemClock(), report_step=lambda step: None, slots=SLOTS,
    )  # fmt: skip


def in_slots(context: GradingContext) -> tuple[GradingContext, ...]:
    return contexts_in_slots(context, [lambda: None] * len(context.slots))


def files(*runs: int, owner: int = 0) -> list[Candidate]:
    return [Candidate(run, b"x%d" % run, owner=owner) for run in runs]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("runs", [1, 2, 5, 12])
def test_every_candidate_is_dealt_once_evenly_and_beside_the_files_of_its_run(runs: int, count: int) -> None:
    candidates = [
        *files(*range(1, runs + 1)),
        *(Candidate(100 + number, b"s", owner=1 + number % runs) for number in range(runs)),
    ]
    shares = deal(candidates, count)
    dealt = [candidate for share in shares for candidate in share]
    assert sorted(dealt, key=lambda c: c.run) == sorted(candidates, key=lambda c: c.run)
    sizes = [len(share) for share in shares]
    assert len(shares) == min(count, runs) and max(sizes) - min(sizes) <= 2
    owners = [{candidate.owner or candidate.run for candidate in share} for share in shares]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(owners, 2))


def test_a_slot_has_its_own_cpus_certificate_part_of_the_memory_and_problem(context: GradingContext) -> None:
    found = in_slots(context)
    assert [one.measure_cpu for one in found] == ["7", "5", "3"]
    assert [one.warmup_cpus for one in found] == ["6-7", "4-5", "2-3"]
    assert [one.rules.certificate.id for one in found if one.rules.certificate] == ["slot-1", "slot-2", "slot-3"]
    assert {one.memory_bytes for one in found} == {2**36 // 3} and {one.warm_at_once for one in found} == {2}
    assert len({id(one.problem.make) for one in found}) == 3
    assert all(one.learn_noise is None and one.slots == () for one in found)


def test_the_slots_grade_at_the_same_time(context: GradingContext) -> None:
    together = threading.Barrier(3)

    def grade(slot: GradingContext, share: Sequence[Candidate]) -> Iterator[Graded]:
        together.wait(60)
        yield from (Graded(candidate.run, PASSED) for candidate in share)

    graded = list(grade_side_by_side(in_slots(context), files(*range(1, 8)), grade))
    assert sorted(one.run for one in graded) == list(range(1, 8))


def failing_in(cpu: str, error: BaseException) -> Callable[..., Iterator[Graded]]:
    def grade(slot: GradingContext, share: Sequence[Candidate]) -> Iterator[Graded]:
        if slot.measure_cpu == cpu:
            raise error
        yield from (Graded(candidate.run, PASSED) for candidate in share)

    return grade


@pytest.mark.parametrize(
    "error", [InfrastructureFault(cause="the disk is full", hint="make room"), Interrupted(), ValueError("x")]
)
def test_a_fault_in_one_slot_leaves_the_others_their_verdicts(context: GradingContext, error: BaseException) -> None:
    graded: list[Graded] = []
    with pytest.raises(type(error)):
        for one in grade_side_by_side(in_slots(context), files(1, 2, 3), failing_in("5", error)):
            graded.append(one)
    assert sorted(one.run for one in graded) == [1, 3]


def test_that_we_are_stopping_is_said_before_a_mistake_and_a_mistake_before_a_host_fault(
    context: GradingContext,
) -> None:
    errors = {"7": InfrastructureFault(cause="c", hint="h"), "5": ValueError("a mistake"), "3": Interrupted()}

    def grade(slot: GradingContext, share: Sequence[Candidate]) -> Iterator[Graded]:
        yield from failing_in(slot.measure_cpu, errors[slot.measure_cpu])(slot, share)

    with pytest.raises(Interrupted):
        list(grade_side_by_side(in_slots(context), files(1, 2, 3), grade))
    del errors["3"]
    with pytest.raises(ValueError, match="a mistake"):
        list(grade_side_by_side(in_slots(context)[:2], files(1, 2), grade))


def test_when_nobody_takes_the_verdicts_any_more_the_slots_are_ended(context: GradingContext) -> None:
    fleet: Any = context.fleet

    def grade(slot: GradingContext, share: Sequence[Candidate]) -> Iterator[Graded]:
        yield Graded(share[0].run, PASSED)
        assert fleet.stopped.wait(60), "as a sample that takes minutes"
        raise Interrupted

    found = grade_side_by_side(in_slots(context), files(1, 2), grade)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert fleet.stopped.is_set()


def test_one_submission_is_measured_as_if_there_were_no_slots(
    context: GradingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[str] = []

    def grade(slot: GradingContext, share: Sequence[Candidate]) -> Iterator[Graded]:
        where.append(slot.measure_cpu)
        yield from (Graded(candidate.run, PASSED) for candidate in share)

    monkeypatch.setattr("runner.grading.grade.grade", grade)
    session = replace(context, measure_cpu="7", in_slots=in_slots(context))
    assert [one.run for one in grade_candidates(session, files(1))] == [1] and where == ["7"]
    assert sorted(one.run for one in grade_candidates(session, files(1, 2))) == [1, 2] and sorted(where[1:]) == [
        "5",
        "7",
    ]


# On the engine, with core sets that this machine does not have: what is seen is where and when, not how long


@pytest.fixture
def pretended(
    engine: Engine, measuring_cpu: str, fleet: Fleet, nbody: Task
) -> tuple[GradingContext, list[GradingStep]]:
    cpus = f"0-{measuring_cpu}"
    slots = (Slot(CoreSet(measuring_cpu, cpus, 2)), Slot(CoreSet("0", cpus, 2)))
    spec, image = build_spec(engine, nbody, Settings(), print)
    rules = build_rules(engine, nbody, "small", image, GradingConfig(rounds_max=1))
    steps: list[GradingStep] = []
    context = build_context(fleet, nbody, "small", spec, replace(rules, data_sets=1), SystemClock(), steps.append)
    return replace(context, slots=slots), steps


def test_the_rounds_of_two_slots_overlap_and_none_has_samples_of_both(
    pretended: tuple[GradingContext, list[GradingStep]], nbody: Task, measuring_cpu: str
) -> None:
    context, steps = pretended
    oracle = nbody.oracle or b""
    with grading_session(context) as session:
        graded = list(grade_candidates(session, [Candidate(run, oracle + b"# %d" % run) for run in (1, 2, 3, 4)]))
    measured = {one.run: one.grading.measurement for one in graded}
    where = {run: {sample.cpuset for sample in found.samples} for run, found in measured.items() if found is not None}
    assert sorted(map(tuple, where.values())) == sorted([("0",), ("0",), (measuring_cpu,), (measuring_cpu,)])
    assert all({"baseline", "candidate"} <= {s.side for s in found.samples} for found in measured.values() if found)
    seeds = {run: found.seeds for run, found in measured.items() if found is not None}
    assert len({*seeds.values()}) == 2, "two rounds, each with data of its own"
    spans = [[number for number, step in enumerate(steps) if step.text.startswith(f"slot {slot}:")] for slot in (1, 2)]
    assert max(span[0] for span in spans) < min(span[-1] for span in spans)


def test_a_slot_that_has_its_rounds_measures_on_until_the_others_have_theirs(
    pretended: tuple[GradingContext, list[GradingStep]], nbody: Task
) -> None:
    context, _ = pretended
    slow_cpu, rounds_of = context.slots[1].cores.measure, {"": 0}
    others, run_sample, asked = threading.Event(), context.run_sample, threading.Lock()

    def slow_in_one(sandbox: Any, spec: Any, source: bytes, cutoff_s: float | None = None) -> SampleResult:
        cpuset = sandbox.place.cpuset
        with asked:
            rounds_of[cpuset] = rounds_of.get(cpuset, 0) + (source == nbody.baseline)
        if cpuset != slow_cpu and rounds_of[cpuset] > 1:
            others.set()
        if cpuset == slow_cpu:
            assert others.wait(120), "the other slot went on"
        return run_sample(sandbox, spec, source, cutoff_s)

    found = sample_side_by_side(
        replace(context, run_sample=slow_in_one), [Candidate(1, nbody.oracle or b"", samples=1)], rounds=1
    )
    assert [{sample.round for sample in samples} for samples in found] == [{1}, {1}]
    assert rounds_of[context.slots[0].cores.measure] > rounds_of[slow_cpu] == 1


def test_all_locks_of_a_plan_are_held_and_let_go(
    engine: Engine, pretended: tuple[GradingContext, list[GradingStep]], measuring_cpu: str
) -> None:
    context, _ = pretended

    def held() -> set[str]:
        found = engine.client.api.containers(filters={"label": "runner=slot"})
        return {name for entry in found for name in entry["Names"]}

    names = {f"/runner-slot-cpu{cpu}" for cpu in ("0", measuring_cpu)}
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(grading_session(context))
        assert names <= held()
        for one in session.in_slots:
            one.check_slot()
    assert not names & held()
