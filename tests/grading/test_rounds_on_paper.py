"""What a session of rounds takes, in which order, and what becomes of it: with containers that are only said to be there."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runner.clock import SystemClock
from runner.faults import InfrastructureFault
from runner.grading import rounds
from runner.grading.checks.check_all import Checked
from runner.grading.context import Candidate, GradingContext
from runner.grading.measurement import measured_rounds
from runner.grading.recompute import recompute
from runner.grading.rounds import Graded, grade
from runner.grading.sample import SampleResult, SampleSpec
from runner.grading.schedule import REPEATS, SAMPLES_PER_AUDIT, SAMPLES_PER_ROUND, ScheduledSample
from runner.grading.warm_pool import WarmSandbox
from runner.job.setup import load_task
from runner.records.grading import Ending, GradingStep, Rules
from runner.settings import Settings
from runner.tasks.problem import load_problem
from runner.tasks.schema import DATA_SETS
from runner.tasks.task import Task

UNREMARKABLE = Checked((), ())
BASELINE_S, ORACLE_S = 0.04, 0.003
RULES = Rules(
    target=3.0,
    confidence=0.95,
    quality="Bodies",
    tolerance=0.01,
    minimum=None,
    rounds_max=12,
    seconds_max=3600.0,
    edition=2,
    data_sets=DATA_SETS,
)


@dataclass
class Paper:
    """A grading context whose samples take no time, and answer as the task's solution does."""

    task: Task
    seconds: Callable[[int, str], float]  # from the number of the sample and whose it is
    warmed: list[int] = field(default_factory=list)
    steps: list[GradingStep] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self.solution: dict[str, Any] = {}
        exec(self.task.oracle or b"", self.solution)

    def run_sample(self, sandbox: Any, spec: SampleSpec, source: bytes, cutoff_s: float | None = None) -> SampleResult:
        self.count += 1
        side = {self.task.baseline: "baseline", self.task.oracle: "sentinel"}.get(source, "candidate")
        inputs, offset = {}, 0
        for array in spec.layout:
            values = np.frombuffer(spec.inputs, dtype=array.dtype, count=int(np.prod(array.shape)), offset=offset)
            inputs[array.name], offset = values.reshape(array.shape), offset + values.nbytes
        inputs["steps"] = int(inputs["steps"])
        answer = self.solution[spec.task.file.call.entry](**inputs)
        return SampleResult(Ending.ANSWERED, self.seconds(self.count, side), answer)

    @contextlib.contextmanager
    def warm_pool(
        self, context: GradingContext, samples: Sequence[ScheduledSample], specs: Sequence[SampleSpec]
    ) -> Iterator[list[WarmSandbox]]:
        assert len(samples) == len(specs) <= context.warm_max
        self.warmed.append(len(samples))
        sandbox: Any = SimpleNamespace(pin=lambda cpu: None, enforced={}, dying_cpu_s=0.0)
        yield [WarmSandbox(sandbox, lambda: None) for _ in samples]

    def context(self) -> GradingContext:
        unused: Any = SimpleNamespace(check_frozen=lambda: None, memory_bytes=2**29)
        return GradingContext(
            fleet=unused, task=self.task, problem=load_problem(self.task), scale="small", spec=unused, measure_cpu="0",
            warmup_cpus="0", memory_bytes=2**34, rules=RULES, clock=SystemClock(), report_step=self.steps.append,
            run_sample=self.run_sample,
        )  # fmt: skip


@pytest.fixture
def graded_on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[Graded], Paper]]:
    def run(seconds: Callable[[int, str], float], candidates: int = 1) -> tuple[list[Graded], Paper]:
        paper = Paper(load_task(Settings(), "slow_nbody"), seconds)
        monkeypatch.setattr(rounds, "warm_pool", paper.warm_pool)
        monkeypatch.setattr(
            rounds, "check_all", lambda fleet, spec, scale, contents, **_: dict.fromkeys(contents, UNREMARKABLE)
        )
        files = [Candidate(run, (paper.task.oracle or b"") + b"# mine") for run in range(1, candidates + 1)]
        return list(grade(paper.context(), files)), paper

    return run


def steady(number: int, side: str) -> float:
    return (BASELINE_S if side == "baseline" else ORACLE_S) * (1.0 + 0.01 * (number % 3))


def sides_of(graded: Graded) -> list[list[str]]:
    assert graded.grading.measurement is not None
    samples, count = graded.grading.measurement.samples, len(graded.grading.measurement.seeds)
    return [[sample.side for sample in samples if sample.round == number] for number in range(1, count + 1)]


def test_a_file_about_to_pass_is_audited_on_further_data(graded_on: Callable[..., tuple[list[Graded], Paper]]) -> None:
    (one, two), paper = graded_on(steady, candidates=2)
    for graded in (one, two):
        assert graded.grading.outcome.kind == "passed", graded.grading.outcome
        audit = ["sentinel", *["candidate"] * SAMPLES_PER_AUDIT]
        assert sides_of(graded)[3:] == [audit] * (DATA_SETS - 3)
        assert graded.grading.measurement is not None and measured_rounds(graded.grading.measurement.samples) == 3
        assert len(set(graded.grading.measurement.seeds)) == DATA_SETS
        assert recompute(graded.grading, graded.run) == graded.grading
    assert sum(paper.warmed) == 3 * (2 + 2 * SAMPLES_PER_ROUND) + (DATA_SETS - 3) * (1 + 2 * SAMPLES_PER_AUDIT)
    said = {step.text.split(":")[0] for step in paper.steps[1:]}
    assert said == {*(f"round {n}" for n in (1, 2, 3)), *(f"audit on data set {n}" for n in range(4, DATA_SETS + 1))}


def test_a_sample_that_was_held_up_is_repeated_in_its_round(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    (graded,), _ = graded_on(lambda number, side: steady(number, side) + 0.2 * (number == 4))
    assert sides_of(graded)[0][-REPEATS:] == ["repeat"] * REPEATS
    assert graded.grading.outcome.kind == "passed", graded.grading.outcome
    assert recompute(graded.grading, 1) == graded.grading


def test_a_file_that_is_slow_in_its_audits_does_not_pass(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    before = 3 * (2 + SAMPLES_PER_ROUND) + 1 + SAMPLES_PER_AUDIT

    def slow(number: int, side: str) -> float:
        return steady(number, side) * (10.0 if side == "candidate" and number > before else 1.0)

    (graded,), _ = graded_on(slow)
    assert graded.grading.outcome.kind == "unstable", graded.grading.outcome
    assert recompute(graded.grading, 1) == graded.grading


def test_a_host_fault_in_an_audit_repeats_the_audit(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    def fails_once(number: int, side: str) -> float:
        if number == 3 * (2 + SAMPLES_PER_ROUND) + 5:
            raise InfrastructureFault(cause="the engine hiccuped", hint="none")
        return steady(number, side)

    (graded,), _ = graded_on(fails_once)
    assert graded.grading.outcome.kind == "passed"
    assert graded.grading.notes == ("audit on data set 5 was repeated after a host fault: the engine hiccuped",)
    assert [len(sides) for sides in sides_of(graded)[3:]] == [1 + SAMPLES_PER_AUDIT] * (DATA_SETS - 3)
    assert replace(graded.grading, notes=()) == replace(recompute(graded.grading, 1), notes=())
