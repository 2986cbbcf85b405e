"""Gradings on paper: the real rounds and verdicts, with containers that are only said to be there."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runner.budget.clock import SystemClock
from runner.grading import sampling, session
from runner.grading.calibration.host_load import HostLoad
from runner.grading.checks.check_all import Checked
from runner.grading.context import GradingContext
from runner.grading.sample import SampleResult, SampleSpec
from runner.grading.schedule import ScheduledSample, containers_of
from runner.grading.shared_container import SharedContainers
from runner.grading.warm_pool import WarmSandbox
from runner.records.grading import Ending, GradingStep, Rules, Sample
from runner.sandbox.cgroup import ResourceUsage
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
    others_s: Callable[[int], float] = lambda number: 0.0  # what the CPU worked for others meanwhile
    ends: Callable[[int], Ending] = lambda number: Ending.ANSWERED
    busy_s: float = 0.0
    learnt: list[Sequence[Sample]] = field(default_factory=list)
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
        if (ending := self.ends(self.count)) is not Ending.ANSWERED:
            return SampleResult(ending, 0.01, detail="it ended")
        others_s, own_s = self.others_s(self.count), self.seconds(self.count, side)
        self.busy_s += own_s + others_s
        return SampleResult(Ending.ANSWERED, own_s + others_s, answer, used=ResourceUsage(cpu_s=own_s))

    @contextlib.contextmanager
    def warm_pool(
        self,
        context: GradingContext,
        samples: Sequence[ScheduledSample],
        specs: Sequence[SampleSpec],
        containers: SharedContainers,
    ) -> Iterator[list[WarmSandbox]]:
        assert len(samples) == len(specs) and containers_of(samples) <= context.warm_max
        self.warmed.append(len(samples))
        sandbox: Any = SimpleNamespace(pin=lambda cpu: None, enforced={}, dying_cpu_s=0.0)
        yield [WarmSandbox(sandbox, lambda: None) for _ in samples]

    def context(self) -> GradingContext:
        unused: Any = SimpleNamespace(
            check_frozen=lambda since_s: True,
            cpus_for=lambda spec, cpuset: cpuset,
            memory_bytes=2**29,
            engine=SimpleNamespace(is_local=True),
        )
        return GradingContext(
            fleet=unused, task=self.task, problem=load_problem(self.task), scale="small", spec=unused, measure_cpu="0",
            warmup_cpus="0", memory_bytes=2**35, rules=RULES, clock=SystemClock(), report_step=self.steps.append,
            run_sample=self.run_sample, learn_noise=self.learnt.append,
        )  # fmt: skip

    def put_in_place(self, monkeypatch: pytest.MonkeyPatch, checked: dict[int, Checked] | None = None) -> None:
        """Have gradings use it in place of an engine.

        Args:
            checked: what the checks say of each run; None: nothing remarkable.
        """
        monkeypatch.setattr(sampling, "host_load", lambda cpu: HostLoad(None, None, None, self.busy_s))
        monkeypatch.setattr(sampling, "warm_pool", self.warm_pool)
        monkeypatch.setattr(
            session,
            "check_all",
            lambda fleet, spec, scale, contents, **_: checked or dict.fromkeys(contents, UNREMARKABLE),
        )


def steady(number: int, side: str) -> float:
    return (BASELINE_S if side == "baseline" else ORACLE_S) * (1.0 + 0.01 * (number % 3))
