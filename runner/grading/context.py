"""What a grading needs: the submissions, and where and by what rules they are graded."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from runner.budget.clock import Clock
from runner.grading.cases import run_sample_of_kind
from runner.grading.sample import SampleResult, SampleSpec
from runner.grading.schedule import SAMPLES_PER_ROUND
from runner.records.grading import Certificate, Finding, GradingStep, Rules, Sample
from runner.sandbox.container import Sandbox
from runner.sandbox.core_sets import CoreSet
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec
from runner.tasks.problem import Problem
from runner.tasks.task import Task

# What one warm, idle container is taken to hold. The flagship's peak at 280 to 320 MiB in a whole sample (torch and the
# data; `memory_peak_bytes` in results.json); the rest is room. Less risks the machine's memory, more warms fewer at a time.
WARM_BYTES = 512 * 1024 * 1024
# Share of the engine's memory that warm containers may fill; chosen, the rest is for the engine, frozen episodes and caches.
WARM_SHARE_MAX = 0.7
# Containers that start and import at one time: one for each CPU, and two on a single one, where the engine's part of a
# start overlaps with another's imports.
WARM_AT_ONCE = max(2, os.cpu_count() or 2)


class Sampler(Protocol):
    """Runs one sample in a warm sandbox; `runner.grading.cases.run_sample_of_kind`, and a double of it in tests."""

    def __call__(
        self, sandbox: Sandbox, spec: SampleSpec, source: bytes, cutoff_s: float | None = None, /
    ) -> SampleResult:
        """Send the file, take the time, check the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A submission that waits to be graded.

    Attributes:
        run: its number in the report, from 1.
        attempt: which grading of this submission it is, from 1.
        owner: the run whose file this is, where it has several; 0 for one that has no other.
        samples: how many of each round, 1 to SAMPLES_PER_ROUND.
    """

    run: int
    content: bytes = field(repr=False)
    attempt: int = 1
    owner: int = 0
    samples: int = SAMPLES_PER_ROUND


@dataclass(frozen=True, slots=True)
class Programs:
    """A task's own programs, built.

    Attributes:
        baseline, oracle: None where there is nothing to compare with.
        findings: what there is to say of every candidate that got so far.
    """

    baseline: bytes | None = field(repr=False)
    oracle: bytes | None = field(repr=False)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """One of several places of this machine where gradings measure at once.

    Attributes:
        cores: its CPUs, which no other has.
        certificate: of its noise while all of them measure; None while a calibration makes one.
    """

    cores: CoreSet
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class GradingContext:
    """Where and by what rules a grading happens.

    Attributes:
        measure_cpu: the CPU that samples run on, as a cpuset; empty until the measurement lock is held.
        warmup_cpus: the CPUs that containers warm up on, as a cpuset.
        memory_bytes: of the engine's machine; bounds how many containers are warm at one time.
        report_step: called with each step, for the progress display.
        source_checks: False switches the rules about texts off (to find out what the data alone catch).
        seeds: replay a grading's data, round by round; past the last one, fresh ones are drawn.
        run_sample: what runs one sample.
        check_slot: raises a fault where the measurement lock is no longer held.
        programs: the task's own, built, where it has programs; None: its files are used as they are.
        learn_noise: called with all samples of a grading in which none was held up, once everything is decided; None:
            nobody wants to know.
        refused: ids of certificates that gradings of this context had to do without: each is told of once.
        warm_at_once: containers that start and import at one time.
        slots: where several submissions are measured at once; empty: one after the other.
        in_slots: this context in each of the slots, while the locks are held.
    """

    fleet: Fleet
    task: Task
    problem: Problem
    scale: str
    spec: SandboxSpec
    measure_cpu: str
    warmup_cpus: str
    memory_bytes: int
    rules: Rules
    clock: Clock
    report_step: Callable[[GradingStep], None]
    source_checks: bool = True
    seeds: tuple[int, ...] = ()
    run_sample: Sampler = run_sample_of_kind
    programs: Programs | None = None
    check_slot: Callable[[], None] = lambda: None
    learn_noise: Callable[[Sequence[Sample]], None] | None = None
    refused: set[str] = field(default_factory=set)
    warm_at_once: int = WARM_AT_ONCE
    slots: tuple[Slot, ...] = ()
    in_slots: tuple["GradingContext", ...] = ()

    def with_cpu(self, cpuset: str, check_slot: Callable[[], None] = lambda: None) -> "GradingContext":
        """The same context, measuring on this CPU."""
        return replace(self, measure_cpu=cpuset, check_slot=check_slot)

    @property
    def baseline(self) -> bytes | None:
        """What a round's baseline sample runs; None: there is none."""
        return self.task.baseline if self.programs is None else self.programs.baseline

    @property
    def oracle(self) -> bytes | None:
        """What opens a round; None: nothing does."""
        return self.task.oracle if self.programs is None else self.programs.oracle

    @property
    def warm_max(self) -> int:
        """Containers that may be warm at one time: idle ones hold little, one at a time may use its whole limit."""
        return max(2, int((WARM_SHARE_MAX * self.memory_bytes - self.spec.memory_bytes) // WARM_BYTES))
