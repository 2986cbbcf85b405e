"""Rounds: one baseline sample and m samples of every waiting candidate on one fresh data set, until each is judged.

So the long baseline is paid once a round, not once a submission. Candidates are interleaved (c1 ... cN, m times), the
order is reversed every other round, and each round opens with a sentinel: the first sample after a large warm-up is slow
on every host that was looked at, and it must be nobody's. Containers warm up side by side on all CPUs, stand idle, and
are moved to the measuring CPU just before their turn.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from runner.clock import Clock
from runner.faults import InfrastructureFault, Interrupted
from runner.grading import measurement as measuring
from runner.grading.case import Case, Problem, fresh_seed, mint, to_bytes
from runner.grading.checks.probes import Examined, Probe, examine, judge_probes, make_probes
from runner.grading.checks.source import check_source, read_facts
from runner.grading.sample import Work, go, warmed
from runner.grading.verdict import disqualified, judge
from runner.records.correctness import Correctness
from runner.records.finding import Finding
from runner.records.measurement import Measurement
from runner.records.outcome import Infrastructure, Verdict
from runner.records.sample import Sample, Side
from runner.sandbox.container import Fleet, Sandbox
from runner.sandbox.spec import SandboxSpec
from runner.task import Task

SAMPLES_PER_ROUND = 2
WARM_BYTES = 512 * 1024 * 1024
WARM_AT_ONCE = max(2, os.cpu_count() or 2)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A submission that waits to be graded.

    Attributes:
        run: its number in the report.
    """

    run: int
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Graded:
    """A candidate with its verdict.

    Attributes:
        enforced: what the engine said it enforced for the baseline's and the candidate's containers.
    """

    run: int
    verdict: Verdict | Infrastructure
    findings: tuple[Finding, ...] = ()
    measurement: Measurement | None = None
    correctness: Correctness | None = None
    enforced: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and by what rules a grading happens.

    Attributes:
        measuring: the CPU that samples run on.
        warming: the CPUs that containers warm up on.
        say: told of each step, for the progress display.
        memory_bytes: of the engine's machine; bounds how many containers stand warm.
        seed: replays a grading's data; None draws a fresh one for each round.
    """

    fleet: Fleet
    task: Task
    problem: Problem
    scale: str
    spec: SandboxSpec
    measuring: str
    warming: str
    memory_bytes: int
    rounds_max: int
    clock: Clock
    say: Callable[[str], None]
    seed: int | None = None

    def on(self, cpuset: str) -> "Bench":
        """The same with its measuring CPU."""
        return replace(self, measuring=cpuset)

    @property
    def warm_max(self) -> int:
        """Containers that may stand warm: idle ones hold little, one at a time may use its whole limit."""
        return max(2, int((0.7 * self.memory_bytes - self.spec.memory_bytes) // WARM_BYTES))


def grade(bench: Bench, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Grade the candidates together; each comes out as soon as its verdict is final.

    Raises:
        InfrastructureFault: engine or host failed, and with it every candidate that is not out yet.
        Interrupted: we are stopping.
    """
    session = _Session(bench, tuple(candidates), bench.clock.monotonic())
    session.check_all()
    for number in range(1, bench.rounds_max + 1):
        if not session.waiting:
            return
        session.take_round(number)
        yield from session.verdicts(number)


@dataclass
class _Session:
    bench: Bench
    waiting: tuple[Candidate, ...]
    started_s: float
    findings: dict[int, tuple[Finding, ...]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    enforced: dict[str, Any] = field(default_factory=dict)

    # Checks

    def check_all(self) -> None:
        """Parse and probe every candidate, side by side; the baseline too, for the probes' reference values."""
        bench = self.bench
        probes = make_probes(bench.task, bench.scale, fresh_seed())
        work = self._work(None)
        bench.say(f"checking {len(self.waiting)} submission(s)")

        def one(source: bytes, run: str) -> Examined:
            return examine(bench.fleet, work, source, probes, cpuset=bench.warming, run=run)

        with ThreadPoolExecutor(WARM_AT_ONCE, "check") as pool:
            reference = pool.submit(one, bench.task.baseline, "") if probes else None
            examined = [(c.run, pool.submit(one, c.content, str(c.run))) for c in self.waiting]
            baseline = reference.result() if reference is not None else Examined(None, ())
            _check_reference(bench.task, probes, baseline)
            for run, future in examined:
                self.findings[run] = self._findings(probes, future.result(), baseline)

    def _findings(self, probes: Sequence[Probe], candidate: Examined, baseline: Examined) -> tuple[Finding, ...]:
        source = check_source(self.bench.task, read_facts(candidate.facts or b""))
        absent = {
            finding.check.split(":")[1]
            for finding in source
            if finding.check.startswith("component-present") and finding.mark == "fail"
        }
        probed = (
            []
            if any(f.mark == "fail" and f.subject == "form" for f in source)
            else judge_probes(probes, candidate, baseline)
        )
        return (*source, *(f for f in probed if f.check.split(":")[1].split(".")[0] not in absent))

    # Rounds

    def take_round(self, number: int) -> None:
        """All samples of one round, in order."""
        seed = self.bench.seed if self.bench.seed is not None and number == 1 else fresh_seed()
        self.seeds.append(seed)
        case = mint(self.bench.problem, self.bench.task, self.bench.scale, seed)
        work = self._work(case)
        plan = self._plan(number)
        for first in range(0, len(plan), self.bench.warm_max):
            self._take(number, first, plan[first : first + self.bench.warm_max], work, case)

    def _plan(self, number: int) -> list[tuple[Side, int, bytes]]:
        """(side, run, source) in the order of measuring."""
        once = [c for c in self.waiting if disqualified(self.findings[c.run]) is not None]
        often = [c for c in self.waiting if c not in once]
        ordered = [*often * SAMPLES_PER_ROUND, *once]
        if number % 2 == 0:
            ordered.reverse()
        candidates: list[tuple[Side, int, bytes]] = [("candidate", c.run, c.content) for c in ordered]
        middle = len(candidates) // 2
        baseline: tuple[Side, int, bytes] = ("baseline", 0, self.bench.task.baseline)
        oracle = self.bench.task.oracle
        sentinel: list[tuple[Side, int, bytes]] = [("sentinel", 0, oracle)] if oracle is not None else []
        return [*sentinel, *candidates[:middle], baseline, *candidates[middle:]]

    def _take(self, number: int, first: int, plan: Sequence[tuple[Side, int, bytes]], work: Work, case: Case) -> None:
        self.bench.say(f"round {number}: warming {len(plan)} containers")
        with _warm_set(self.bench, work, plan) as warm:
            for position, ((side, run, source), (sandbox, close)) in enumerate(zip(plan, warm, strict=True), first):
                self.bench.say(f"round {number}: measuring {side}{f' of run {run}' if run else ''}")
                self.samples.append(self._measure(sandbox, side, run, source, number, position, work, case))
                if side != "sentinel":
                    self.enforced.setdefault(side if side == "baseline" else f"candidate {run}", sandbox.enforced)
                close()

    def _measure(
        self, sandbox: Sandbox, side: Side, run: int, source: bytes, number: int, position: int, work: Work, case: Case
    ) -> Sample:
        sandbox.pin(self.bench.measuring)
        started_s = self.bench.clock.monotonic() - self.started_s
        outturn = go(sandbox, work, source)
        if side != "candidate" and outturn.ending != "answered":
            raise InfrastructureFault(
                cause=f"the {side} of task {work.task.name} did not answer: {outturn.ending}: {outturn.detail}",
                mend="raise [limits] in task.toml, or mend the task; try `python -m runner grade` on the baseline",
            )
        quality = None
        if outturn.arrays is not None:
            quality = float(self.bench.problem.score(case, outturn.arrays).mean())
        return Sample(
            side, run, number, position, outturn.ending, outturn.seconds, quality, outturn.detail,
            self.bench.measuring, started_s,
        )  # fmt: skip

    def _work(self, case: Case | None) -> Work:
        task, scale = self.bench.task, self.bench.scale
        declared = task.input_arrays(scale)
        return Work(
            task=task,
            spec=self.bench.spec,
            layout=declared if case is not None else (),
            inputs=to_bytes(case, declared) if case is not None else b"",
            answer=task.answer_arrays(scale),
            deadline_s=task.file.limits.sample_wall_s,
        )

    # Verdicts

    def verdicts(self, rounds: int) -> Iterator[Graded]:
        """Those that this round decided."""
        left = []
        for candidate in self.waiting:
            graded = self._graded(candidate.run, rounds)
            if graded is None:
                left.append(candidate)
            else:
                yield graded
        self.waiting = tuple(left)

    def _graded(self, run: int, rounds: int) -> Graded | None:
        task = self.bench.task
        measured = measuring.measurement(self.samples, run, task.file.target.confidence, self.seeds)
        correct = measuring.correctness(measured.samples, task.file.quality)
        target = task.target(self.bench.scale)
        findings = self.findings[run]
        verdict = judge(findings, measured, correct, run, target, rounds, self.bench.rounds_max)
        if verdict is None:
            return None
        enforced = {"baseline": self.enforced.get("baseline"), "candidate": self.enforced.get(f"candidate {run}")}
        return Graded(run, verdict, findings, measured, correct, enforced)


def _check_reference(task: Task, probes: Sequence[Probe], baseline: Examined) -> None:
    for probe, got in zip(probes, baseline.probed, strict=True):
        if isinstance(got, str):
            raise InfrastructureFault(
                cause=f"the baseline of task {task.name} fails the probe {probe.check}: {got}",
                mend="mend [components] in task.toml, or the baseline",
            )


@contextlib.contextmanager
def _warm_set(
    bench: Bench, work: Work, plan: Sequence[tuple[Side, int, bytes]]
) -> Iterator[list[tuple[Sandbox, Callable[[], None]]]]:
    """Containers for a plan, warmed side by side on all CPUs, in its order, each with what ends it."""
    stacks = [contextlib.ExitStack() for _ in plan]

    def warm(stack: contextlib.ExitStack, side: Side, run: int) -> Sandbox:
        role = side
        return stack.enter_context(warmed(bench.fleet, work, role=role, cpuset=bench.warming, run=str(run or "")))

    with contextlib.ExitStack() as everything:
        for stack in stacks:
            everything.push(stack)
        with ThreadPoolExecutor(WARM_AT_ONCE, "warm") as pool:
            futures = [pool.submit(warm, stack, side, run) for stack, (side, run, _) in zip(stacks, plan, strict=True)]
            try:
                sandboxes = [future.result() for future in futures]
            except (InfrastructureFault, Interrupted):
                for future in futures:
                    future.cancel()
                raise
        yield [(sandbox, stack.close) for sandbox, stack in zip(sandboxes, stacks, strict=True)]
