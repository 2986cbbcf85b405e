"""Rounds: one baseline sample and m samples of every waiting candidate on one fresh data set, until each is judged.

So the long baseline is paid once a round, not once a submission. Candidates are interleaved (c1 ... cN, m times), the
order is reversed every other round, and each round opens with a sentinel: the first sample after a large warm-up is slow
on every host that was looked at, and it must be nobody's. Containers warm up side by side on all CPUs, stand idle, and
are moved to the measuring CPU just before their planned.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from runner.clock import Clock
from runner.faults import InfrastructureFault, Interrupted
from runner.grading import measurement as measuring
from runner.grading.calibration.certificates import drift_reason
from runner.grading.calibration.host_load import HostLoad, host_load
from runner.grading.checks.check_all import check_all
from runner.grading.data import PLACES, Permutation, RoundData, child, generate_round
from runner.grading.sample import SampleResult, Work, run_sample, warm_sandbox
from runner.grading.scoring import ScoreBook, ScoredAnswer
from runner.grading.verdict import checks_verdict, judge
from runner.records.grading import Correctness, Finding, Measurement, Rules, Sample, Side
from runner.records.outcome import Infrastructure, Passed, Verdict
from runner.sandbox.container import Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec
from runner.tasks.problem import Problem, fresh_seed
from runner.tasks.task import Task

SAMPLES_PER_ROUND = 3
WARM_BYTES = 512 * 1024 * 1024
WARM_AT_ONCE = max(2, os.cpu_count() or 2)
# A candidate that takes so many times what the target allows is stopped: it can only be too slow.
CUT_FACTOR, CUT_S_MIN = 3.0, 0.5
ROUND_RETRIES_MAX = 1
DRIFT_MAX = 1.25


@dataclass(frozen=True, slots=True)
class Candidate:
    """A submission that waits to be graded.

    Attributes:
        run: its number in the report.
        attempt: which grading of this submission it is, from 1.
        samples: of each round.
    """

    run: int
    content: bytes = field(repr=False)
    attempt: int = 1
    samples: int = SAMPLES_PER_ROUND


@dataclass(frozen=True, slots=True)
class Graded:
    """A candidate with its verdict, and everything that it follows from.

    Attributes:
        enforced: what the engine said it enforced for the baseline's and the candidate's containers.
        notes: what happened to the grading on the way (a round that was taken again, a certificate that was dropped).
    """

    run: int
    verdict: Verdict | Infrastructure
    findings: tuple[Finding, ...] = ()
    measurement: Measurement | None = None
    correctness: Correctness | None = None
    rules: Rules | None = None
    enforced: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GradingContext:
    """Where and by what rules a grading happens.

    Attributes:
        measuring: the CPU that samples run on.
        warming: the CPUs that containers warm up on.
        memory_bytes: of the engine's machine; bounds how many containers stand warm.
        source_checks: False switches the rules about texts off (to see what the data alone catch).
        say: told of each step, for the progress display.
        seeds: replay a grading's data, round by round; past the last one, fresh ones are drawn.
    """

    fleet: Fleet
    task: Task
    problem: Problem
    scale: str
    spec: SandboxSpec
    measuring: str
    warming: str
    memory_bytes: int
    rules: Rules
    clock: Clock
    say: Callable[[str], None]
    source_checks: bool = True
    seeds: tuple[int, ...] = ()

    def on(self, cpuset: str) -> "GradingContext":
        """The same with its measuring CPU."""
        return replace(self, measuring=cpuset)

    @property
    def warm_max(self) -> int:
        """Containers that may stand warm: idle ones hold little, one at a time may use its whole limit."""
        return max(2, int((0.7 * self.memory_bytes - self.spec.memory_bytes) // WARM_BYTES))


@dataclass(frozen=True, slots=True)
class ScheduledSample:
    """One container of a round.

    Attributes:
        form: which form of the data it gets; -1 is the control's.
    """

    side: Side
    run: int
    source: bytes = field(repr=False)
    form: int = 0


def grade(context: GradingContext, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Grade the candidates together; each comes out as soon as its verdict is final.

    Raises:
        InfrastructureFault: engine or host failed, and with it every candidate that is not out yet.
        Interrupted: we are stopping.
    """
    session = _Session(context, tuple(candidates), context.clock.monotonic(), context.rules)
    session.check()
    for number in range(1, context.rules.rounds_max + 1):
        if not session.waiting:
            return
        session.take_round(number)
        yield from session.verdicts(number)


def sample_rounds(context: GradingContext, candidates: Sequence[Candidate], rounds: int) -> list[Sample]:
    """Samples of so many rounds, without checks and without a verdict: for studies of a host.

    Raises:
        InfrastructureFault: engine or host failed.
        Interrupted: we are stopping.
    """
    session = _Session(context, tuple(candidates), context.clock.monotonic(), context.rules)
    session.findings = {candidate.run: () for candidate in candidates}
    for number in range(1, rounds + 1):
        session.take_round(number)
    return session.samples


@dataclass
class _Session:
    context: GradingContext
    waiting: tuple[Candidate, ...]
    started_s: float
    rules: Rules
    findings: dict[int, tuple[Finding, ...]] = field(default_factory=dict)
    qualities: ScoreBook = field(init=False)
    samples: list[Sample] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    enforced: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    baseline_s: float | None = None
    _looked_again: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.qualities = ScoreBook(self.context.problem, self.rules)

    def check(self) -> None:
        """Parse and probe every candidate."""
        context = self.context
        context.say(f"checking {len(self.waiting)} submission(s)")
        sources = {candidate.run: candidate.content for candidate in self.waiting}
        work = self._work(None)
        self.findings = check_all(
            context.fleet,
            work,
            context.scale,
            sources,
            context.warming,
            WARM_AT_ONCE,
            self.rules,
            context.source_checks,
        )

    # Rounds

    def take_round(self, number: int) -> None:
        """All samples of one round; a host fault takes the whole round again, both sides, and says so."""
        for again in range(ROUND_RETRIES_MAX + 1):
            before = len(self.samples), self.baseline_s
            try:
                return self._take_round(number)
            except InfrastructureFault as fault:
                if again == ROUND_RETRIES_MAX:
                    raise
                del self.samples[before[0] :]
                self.baseline_s = before[1]
                self.note(f"round {number} was taken again after a host fault: {fault.cause}")
        return None

    def _take_round(self, number: int) -> None:
        context = self.context
        seed = context.seeds[number - 1] if number <= len(context.seeds) else fresh_seed()
        data = generate_round(context.problem, context.task, context.scale, seed, SAMPLES_PER_ROUND)
        plan = self._plan(number, data)
        judged: list[ScoredAnswer] = []
        for first in range(0, len(plan), context.warm_max):
            judged += self._take(number, first, plan[first : first + context.warm_max], data)
        context.fleet.check_frozen()
        self.seeds[number - 1 :] = [seed]
        self.qualities.take(number, data, judged)

    def _plan(self, number: int, data: RoundData) -> list[ScheduledSample]:
        """Who is measured in which order."""
        once = [c for c in self.waiting if checks_verdict(self.findings[c.run], self.rules) is not None]
        often = [c for c in self.waiting if c not in once]
        ordered = [
            ScheduledSample("candidate", c.run, c.content, form)
            for form in range(SAMPLES_PER_ROUND)
            for c in often
            if form < c.samples
        ]
        ordered += [ScheduledSample("candidate", c.run, c.content) for c in once]
        if number % 2 == 0:
            ordered.reverse()
        if number == 1 and data.control is not None:
            draw = child(data.seed, PLACES)
            for c in often:  # at a place that nobody can foresee: it must look like any other sample
                ordered.insert(
                    int(draw.integers(0, len(ordered) + 1)), ScheduledSample("control", c.run, c.content, -1)
                )
        # In the first round the baseline comes first: its time bounds how long a candidate may take.
        middle = 0 if number == 1 else len(ordered) // 2
        baseline, oracle = ScheduledSample("baseline", 0, self.context.task.baseline), self.context.task.oracle
        sentinel = [ScheduledSample("sentinel", 0, oracle)] if oracle is not None else []
        return [*sentinel, *ordered[:middle], baseline, *ordered[middle:]]

    def _take(self, number: int, first: int, plan: Sequence[ScheduledSample], data: RoundData) -> list[ScoredAnswer]:
        self.context.say(f"round {number}: warming {len(plan)} containers")
        works = [self._work(_form(data, scheduled)) for scheduled in plan]
        judged = []
        with _warm_pool(self.context, plan, works) as warm:
            for position, (scheduled, work, (sandbox, close)) in enumerate(zip(plan, works, warm, strict=True), first):
                self.context.say(
                    f"round {number}: measuring {scheduled.side}{f' of run {scheduled.run}' if scheduled.run else ''}"
                )
                judged.append(self._measure(sandbox, scheduled, number, position, work, data))
                if scheduled.side in ("baseline", "candidate"):
                    name = scheduled.side if scheduled.side == "baseline" else f"candidate {scheduled.run}"
                    self.enforced.setdefault(name, sandbox.enforced)
                close()  # gone before the next *go*
        return judged

    def _measure(
        self, sandbox: Sandbox, scheduled: ScheduledSample, number: int, position: int, work: Work, data: RoundData
    ) -> ScoredAnswer:
        context = self.context
        sandbox.pin(context.measuring)
        started_s, before = context.clock.monotonic() - self.started_s, host_load(context.measuring)
        result = run_sample(sandbox, work, scheduled.source, self._cut_s() if scheduled.run else None)
        if not scheduled.run and result.ending != "answered":
            raise InfrastructureFault(
                cause=f"the {scheduled.side} of task {work.task.name} did not answer: {result.ending}: {result.detail}",
                hint="raise [limits] in task.toml, or fix the task; try `python -m runner grade` on the baseline",
            )
        if scheduled.side == "baseline":
            self.baseline_s = result.seconds
        judged = ScoredAnswer(
            scheduled.side,
            scheduled.run,
            _form(data, scheduled),
            max(scheduled.form, 0),
            result.arrays,
            result.ending,
            result.seconds,
        )
        quality = self.qualities.mean(judged)
        after = host_load(context.measuring)
        self.samples.append(
            _sample(scheduled, number, position, result, quality, context.measuring, started_s, before, after)
        )
        return judged

    def _cut_s(self) -> float | None:
        """How long a candidate may take; None while no baseline has told."""
        if self.rules.target is None or self.baseline_s is None:
            return None
        return max(CUT_S_MIN, CUT_FACTOR * self.baseline_s / self.rules.target)

    def _work(self, form: Permutation | None) -> Work:
        task, scale = self.context.task, self.context.scale
        return Work(
            task=task,
            spec=self.context.spec,
            layout=task.input_arrays(scale) if form is not None else (),
            inputs=form.inputs if form is not None else b"",
            answer=task.answer_arrays(scale),
            deadline_s=task.file.limits.sample_wall_s,
        )

    def note(self, text: str) -> None:
        """Something that the reader of the results must know."""
        self.notes.append(text)
        self.context.say(text)

    # Verdicts

    def verdicts(self, rounds: int) -> Iterator[Graded]:
        """Those that this round decided."""
        self._hold_certificate_to_the_sentinels()
        elapsed_s = self.context.clock.monotonic() - self.started_s
        last = rounds >= self.rules.rounds_max or elapsed_s >= self.rules.seconds_max
        left = []
        for candidate in self.waiting:
            graded = self._graded(candidate, rounds, last)
            if graded is None:
                left.append(candidate)
            else:
                yield graded
        self.waiting = tuple(left)

    def _hold_certificate_to_the_sentinels(self) -> None:
        certificate = self.rules.certificate
        if certificate is None:
            return
        times = [math.log(sample.seconds) for sample in self.samples if sample.side == "sentinel"]
        why_not = drift_reason(certificate, times)
        if why_not is not None:
            self.rules = replace(self.rules, certificate=None, no_certificate=why_not)
            self.note(f"the certificate {certificate.id} is not used: {why_not}")

    def _graded(self, candidate: Candidate, rounds: int, last: bool) -> Graded | None:
        run = candidate.run
        rules = replace(self.rules, attempt=candidate.attempt)
        measured = measuring.measurement(self.samples, run, rules, self.seeds)
        correct = measuring.correctness(self.qualities.rounds(run), rules)
        findings = (*self.findings[run], *self.qualities.findings(run, self.samples))
        verdict = judge(findings, measured, correct, run, rules, rounds, last=last)
        if verdict is None or self._look_again(run, verdict, findings, last):
            return None
        enforced = {"baseline": self.enforced.get("baseline"), "candidate": self.enforced.get(f"candidate {run}")}
        notes = (*self.notes, *_drift_note(measured))
        return Graded(run, verdict, findings, measured, correct, rules, enforced, notes)

    def _look_again(self, run: int, verdict: Verdict, findings: Sequence[Finding], last: bool) -> bool:
        """A pass that is too good to be true waits for one more look at fresh data."""
        suspicious = isinstance(verdict, Passed) and any(finding.check == "too-good" for finding in findings)
        if last or not suspicious or run in self._looked_again:
            return False
        self._looked_again.add(run)
        return True


def _drift_note(measured: Measurement) -> tuple[str, ...]:
    """The baseline is the same file every time: a trend in its times is the host's."""
    if measured.drift is None or 1.0 / DRIFT_MAX <= measured.drift <= DRIFT_MAX:
        return ()
    return (f"the baseline's time changed by a factor of {measured.drift:.2f} while this was measured",)


def _form(data: RoundData, scheduled: ScheduledSample) -> Permutation:
    if scheduled.form >= 0:
        return data.forms[scheduled.form]
    assert data.control is not None
    return data.control


def _sample(
    scheduled: ScheduledSample, number: int, position: int, result: SampleResult, quality: float | None, cpuset: str,
    started_s: float, before: HostLoad, after: HostLoad,
) -> Sample:  # fmt: skip
    steal_s = None if before.steal_s is None or after.steal_s is None else after.steal_s - before.steal_s
    return Sample(
        side=scheduled.side,
        run=scheduled.run,
        round=number,
        position=position,
        ending=result.ending,
        seconds=result.seconds,
        quality=quality,
        cpuset=cpuset,
        started_s=started_s,
        cpu_s=result.used.cpu_s,
        throttled_s=result.used.throttled_s,
        memory_peak_bytes=result.used.memory_peak_bytes,
        pids_peak=result.used.pids_peak,
        written_bytes=result.used.written_bytes,
        load=after.load,
        steal_s=steal_s,
        mhz=after.mhz,
        detail=result.detail,
    )


@contextlib.contextmanager
def _warm_pool(
    context: GradingContext, plan: Sequence[ScheduledSample], works: Sequence[Work]
) -> Iterator[list[tuple[Sandbox, Callable[[], None]]]]:
    """Containers for a plan, warmed side by side on all CPUs, in its order, each with what ends it."""
    stacks = [contextlib.ExitStack() for _ in plan]

    def warm(stack: contextlib.ExitStack, scheduled: ScheduledSample, work: Work) -> Sandbox:
        # A control's container must not differ from a candidate's in anything that could be seen from inside.
        role: Literal["baseline", "candidate", "sentinel"] = (
            "candidate" if scheduled.side == "control" else scheduled.side
        )
        return stack.enter_context(
            warm_sandbox(context.fleet, work, role=role, cpuset=context.warming, run=str(scheduled.run or ""))
        )

    with contextlib.ExitStack() as everything:
        for stack in stacks:
            everything.push(stack)
        with ThreadPoolExecutor(WARM_AT_ONCE, "warm") as pool:
            futures = [pool.submit(warm, *each) for each in zip(stacks, plan, works, strict=True)]
            try:
                sandboxes = [future.result() for future in futures]
            except (InfrastructureFault, Interrupted):
                for future in futures:
                    future.cancel()
                raise
        yield [(sandbox, stack.close) for sandbox, stack in zip(sandboxes, stacks, strict=True)]
