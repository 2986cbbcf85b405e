"""Rounds: a baseline sample and the samples of every waiting candidate on one fresh data set, until each is judged.

`schedule.py` says in which order; `warm_pool.py` has the containers ready; here they are moved to the measuring CPU one by
one, just before their turn, and measured. A sample that was held up is repeated at the end of its round (`hiccups.py`), a
candidate that is about to pass is audited on further data sets without the baseline, and after each round the candidates
that it decided leave.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runner.faults import InfrastructureFault
from runner.grading.calibration.certificates import drift_reason
from runner.grading.calibration.host_load import HostLoad, host_load
from runner.grading.checks.answers import slow_death
from runner.grading.checks.check_all import check_all
from runner.grading.checks.obligations import obligations, remade_names
from runner.grading.checks.remade import Claimed, make_again
from runner.grading.context import Candidate, GradingContext
from runner.grading.data import CONTROL_POSITION, Permutation, RoundData, derived_rng, generate_round
from runner.grading.hiccups import repeat_due
from runner.grading.measurement import summarize_quality, summarize_times
from runner.grading.sample import SampleResult, SampleSpec
from runner.grading.schedule import (
    CONTROL,
    SAMPLES_PER_ROUND,
    ScheduledSample,
    schedule_audit,
    schedule_repeats,
    schedule_round,
)
from runner.grading.scoring import ScoreBook, ScoredAnswer
from runner.grading.stalls import STALL_REPEATS_MAX, OwnWaits
from runner.grading.verdict import audits_due, checks_verdict, execution_verdict, judge, unmet
from runner.grading.warm_pool import WARM_AT_ONCE, warm_pool
from runner.records.grading import (
    Ending,
    Finding,
    Grading,
    GradingPhase,
    GradingStep,
    Measurement,
    Quality,
    Rules,
    Sample,
)
from runner.records.outcome import Outcome, OutcomeKind
from runner.sandbox.cgroup import ResourceUsage
from runner.sandbox.container import Sandbox
from runner.tasks.problem import fresh_seed
from runner.tasks.task import imported_modules

# A candidate that takes this many times what the target allows is stopped: it can only be too slow. chosen; the cutoff
# counts as its time, and at a third of the target no interval of a few rounds reaches the target. Larger wastes time on
# hopeless files, smaller stops some that one bad moment of the host made slow.
CUTOFF_FACTOR = 3.0
# No candidate is stopped before: at the small scales below this, the call itself and a hiccup of the host weigh too much.
# chosen.
CUTOFF_S_MIN = 0.5
# A control may take this many times as long as a timed sample before it is cut, and the next one as long as the task's limit
# allows. chosen: the time of the baseline, or near it; a training that stops once it has learnt enough takes all its epochs.
CONTROL_FACTOR = 10.0
# A host fault repeats its round once; a second one in a row is not a hiccup. chosen.
ROUND_RETRIES_MAX = 1
# The baseline's last time over its first, past which a note says so; it decides nothing. chosen: jobs on an ordinary host
# show up to 1.15 (`guards.baseline_drift` in results.json).
DRIFT_MAX = 1.25


Schedule = Callable[[int, RoundData], list[ScheduledSample]]  # from a round's number and data to its samples


@dataclass(frozen=True, slots=True)
class Graded:
    """A candidate that has its verdict.

    Attributes:
        run: the candidate's number.
    """

    run: int
    grading: Grading


def grade(context: GradingContext, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Grade the candidates together; each comes out as soon as its verdict is final.

    Raises:
        InfrastructureFault: engine or host failed, and with it every candidate that is not out yet.
        Interrupted: we are stopping.
    """
    rules = replace(context.rules, obligations=obligations(context.task, context.problem, context.rules.equivalence))
    session = _Session(context, tuple(candidates), context.clock.monotonic(), rules)
    session.check()
    for _ in range(context.rules.rounds_max):
        if not session.waiting:
            return
        session.run_round()
        yield from session.verdicts()


def sample_rounds(context: GradingContext, candidates: Sequence[Candidate], rounds: int) -> list[Sample]:
    """The samples of `rounds` rounds, without checks and without a verdict: for studies of a host.

    Args:
        candidates: files of our own or the task's.

    Raises:
        InfrastructureFault: engine or host failed.
        Interrupted: we are stopping.
    """
    plain = replace(context.rules, edition=1)  # a study wants all samples as they come, and none of them twice
    session = _Session(context, tuple(candidates), context.clock.monotonic(), plain)
    session.findings = {candidate.run: () for candidate in candidates}
    session.imports = {candidate.run: imported_modules(candidate.content) for candidate in candidates}
    for _ in range(rounds):
        session.run_round()
    return session.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """What a verdict on one candidate follows from."""

    run: int
    rules: Rules
    rounds: int
    measured: Measurement
    quality: Quality
    findings: tuple[Finding, ...]

    def verdict(self, *, last: bool) -> Outcome | None:
        return judge(self.findings, self.measured, self.quality, self.run, self.rules, self.rounds, last=last)


@dataclass
class _Session:
    context: GradingContext
    waiting: tuple[Candidate, ...]
    started_s: float
    rules: Rules
    findings: dict[int, tuple[Finding, ...]] = field(default_factory=dict)
    imports: dict[int, tuple[str, ...] | None] = field(default_factory=dict)
    scores: ScoreBook = field(init=False)
    samples: list[Sample] = field(default_factory=list)
    measured: int = 0  # rounds with a baseline, the current one included
    doing: str = ""
    seeds: list[int] = field(default_factory=list)
    enforced: dict[str, Any] = field(default_factory=dict)
    preloaded: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    baseline_s: float | None = None
    own_waits: OwnWaits = field(default_factory=lambda: OwnWaits({}))
    ended_slowly: set[int] = field(default_factory=set)
    _confirmed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.scores = ScoreBook(self.context.problem, self.rules)

    def check(self) -> None:
        """Parse and probe every candidate."""
        context = self.context
        context.report_step(GradingStep(GradingPhase.CHECKING, f"checking {len(self.waiting)} submission(s)"))
        checked = check_all(
            context.fleet,
            self._check_spec(),
            context.scale,
            {candidate.run: candidate.content for candidate in self.waiting},
            cpuset=context.warmup_cpus,
            at_once=WARM_AT_ONCE,
            rules=self.rules,
            source_checks=context.source_checks,
            owners={candidate.run: candidate.owner for candidate in self.waiting if candidate.owner},
        )
        self.findings = {run: found.findings for run, found in checked.items()}
        self.imports = {run: found.imports for run, found in checked.items()}

    # Rounds

    def run_round(self) -> None:
        """All samples of the next round."""
        self.measured += 1
        self.doing = f"round {self.measured}"
        self._run(len(self.seeds) + 1, self._schedule_round)

    def run_audit(self, candidates: Sequence[Candidate]) -> None:
        """One more data set for these candidates, without the baseline."""
        self.doing, oracle = f"audit on data set {len(self.seeds) + 1}", self.context.task.oracle
        self._run(len(self.seeds) + 1, lambda number, data: schedule_audit(candidates, oracle))

    def _run(self, number: int, schedule: Schedule) -> None:
        """A round; a host fault repeats the whole of it, both sides, and says so."""
        for retries in range(ROUND_RETRIES_MAX + 1):
            samples_before, baseline_s_before = len(self.samples), self.baseline_s
            try:
                return self._run_once(number, schedule)
            except InfrastructureFault as fault:
                if retries == ROUND_RETRIES_MAX:
                    raise
                del self.samples[samples_before:]
                self.baseline_s = baseline_s_before
                self._note(f"{self.doing} was repeated after a host fault: {fault.cause}")
        return None

    def _run_once(self, number: int, schedule: Schedule) -> None:
        context = self.context
        seed = context.seeds[number - 1] if number <= len(context.seeds) else fresh_seed()
        data = generate_round(context.problem, context.task, context.scale, seed, SAMPLES_PER_ROUND)
        samples = schedule(number, data)
        answers = self._run_all(number, 0, samples, data)
        answers += self._run_all(number, len(samples), self._schedule_repeats(number), data)
        context.fleet.check_frozen()
        remade = self._make_again(answers)
        self.seeds.append(seed)
        self.scores.add(number, data, answers)
        for run, findings in remade.items():
            self.scores.note(run, findings)

    def _make_again(self, answers: Sequence[ScoredAnswer]) -> dict[int, list[Finding]]:
        """Findings about what components are said to have made of the answers of a round with a baseline."""
        context, claimed = self.context, {}
        asked = set(remade_names(context.task)) & set(self.rules.obligations)
        if not asked or not any(answer.side == "baseline" for answer in answers):
            return {}
        for candidate in self.waiting:
            mine = [answer for answer in answers if answer.run == candidate.run and answer.side == "candidate"]
            pairs = tuple((answer.data.case, answer.arrays) for answer in mine if answer.arrays is not None)
            if pairs and candidate.run not in self._decided():
                claimed[candidate.run] = Claimed(candidate.content, pairs)
        if not claimed:
            return {}
        self._report(GradingPhase.CHECKING, "making again what components made")
        return make_again(
            context.fleet,
            self._check_spec(),
            context.problem,
            context.scale,
            claimed,
            cpuset=context.warmup_cpus,
            at_once=WARM_AT_ONCE,
        )

    def _run_all(
        self, number: int, first: int, samples: Sequence[ScheduledSample], data: RoundData
    ) -> list[ScoredAnswer]:
        """Samples of a round, as many at a time as can be warm; `first` is the position of the first one in the round."""
        answers: list[ScoredAnswer] = []
        for start in range(0, len(samples), self.context.warm_max):
            batch = [s for s in samples[start : start + self.context.warm_max] if not self._has_failed(s.run)]
            answers += self._run_samples(number, first + start, batch, data) if batch else []
        return answers

    def _has_failed(self, run: int) -> bool:
        """Whether a sample has decided its verdict: no container is warmed for it any more."""
        return run in self.ended_slowly or execution_verdict(self.samples, run) is not None

    def _schedule_round(self, number: int, data: RoundData) -> list[ScheduledSample]:
        task = self.context.task
        return schedule_round(
            number,
            self.waiting,
            measured_once=self._decided(),
            baseline=task.baseline,
            oracle=task.oracle,
            controlled=[candidate.run for candidate in self.waiting if self.scores.control_due(candidate.run)],
            control_rng=None if data.control is None else derived_rng(data.seed, CONTROL_POSITION),
        )

    def _schedule_repeats(self, number: int) -> list[ScheduledSample]:
        if self.rules.edition == 1:
            return []
        decided = self._decided()
        held_up = [c for c in self.waiting if c.run not in decided and repeat_due(self.samples, c.run, number)]
        return schedule_repeats(held_up)

    def _decided(self) -> set[int]:
        """The runs whose checks alone decide; they are measured once, for their figures."""
        return {c.run for c in self.waiting if checks_verdict(self.findings[c.run], self.rules) is not None}

    def _run_samples(
        self, number: int, first: int, schedule: Sequence[ScheduledSample], data: RoundData
    ) -> list[ScoredAnswer]:
        """As many samples as can be warm at one time; `first` is the position of the first one in the round."""
        self._report(GradingPhase.WARMING, f"warming {len(schedule)} containers")
        specs = [self._sample_spec(_data_of(data, scheduled), self._preload(scheduled)) for scheduled in schedule]
        answers = []
        with warm_pool(self.context, schedule, specs) as pool:
            for position, (scheduled, spec, warm) in enumerate(zip(schedule, specs, pool, strict=True), first):
                subject = f"{scheduled.side}{f' of run {scheduled.run}' if scheduled.run else ''}"
                self._report(GradingPhase.MEASURING, f"measuring {subject}")
                if scheduled.run in self.ended_slowly:  # its verdict is known, and each sample would cost minutes
                    warm.close()
                    continue
                answers.append(self._measure(warm.sandbox, scheduled, number, position, spec, data))
                if scheduled.side in ("baseline", "candidate"):
                    name = scheduled.side if scheduled.side == "baseline" else f"candidate {scheduled.run}"
                    self.enforced.setdefault(name, warm.sandbox.enforced)
                    self.preloaded[name] = spec.preload
                warm.close()  # gone before the next *go*, with all its processes
                self._judge_death(scheduled.run, warm.sandbox)
                for _ in range(STALL_REPEATS_MAX):
                    if not self._was_held_up(scheduled, answers[-1]):
                        break
                    answers[-1] = self._measure_again(scheduled, number, position, spec, data)
        return answers

    def _judge_death(self, run: int, sandbox: Sandbox) -> None:
        """A candidate whose processes took long to end has failed."""
        finding = slow_death(sandbox.dying_cpu_s)
        if run and finding is not None:
            self.ended_slowly.add(run)
            self.findings[run] = (*self.findings[run], finding)
            self._note(f"a sample of run {run} took {finding.evidence} to end; what followed waited for it")

    def _was_held_up(self, scheduled: ScheduledSample, answer: ScoredAnswer) -> bool:
        """Whether something else ran beside a sample of the task's own files."""
        if scheduled.run or self.rules.edition == 1:  # a study of a host wants what it does
            return False
        sample = self.samples[-1]
        used = ResourceUsage(cpu_s=sample.cpu_s, throttled_s=sample.throttled_s)
        return self.own_waits.held_up(scheduled.side, answer.seconds, used)

    def _measure_again(
        self, scheduled: ScheduledSample, number: int, position: int, spec: SampleSpec, data: RoundData
    ) -> ScoredAnswer:
        """Once more, in place of the last sample, in another container."""
        held_up = self.samples.pop()
        self._note(
            f"a sample of the {scheduled.side} was repeated: {held_up.seconds:.2f} s passed, "
            f"and it had the CPU for {held_up.cpu_s:.2f} s of them"
        )
        with warm_pool(self.context, [scheduled], [spec]) as (warm,):
            return self._measure(warm.sandbox, scheduled, number, position, spec, data)

    def _measure(
        self,
        sandbox: Sandbox,
        scheduled: ScheduledSample,
        number: int,
        position: int,
        spec: SampleSpec,
        data: RoundData,
    ) -> ScoredAnswer:
        context = self.context
        sandbox.pin(context.measure_cpu)
        started_s, before = context.clock.monotonic() - self.started_s, host_load(context.measure_cpu)
        result = context.run_sample(sandbox, spec, scheduled.source, self._cutoff_s(scheduled))
        if not scheduled.run and result.ending is not Ending.ANSWERED:
            how = f"{result.ending.words}: {result.detail}"
            raise InfrastructureFault(
                cause=f"the {scheduled.side} of task {spec.task.name} did not answer: {how}",
                hint="raise [limits] in task.toml, or fix the task; try `python -m runner grade` on the baseline",
            )
        if scheduled.side == "baseline":
            self.baseline_s = result.seconds
        answer = ScoredAnswer(
            side=scheduled.side,
            run=scheduled.run,
            data=_data_of(data, scheduled),
            permutation=max(scheduled.permutation, 0),
            arrays=result.arrays,
            ending=result.ending,
            seconds=result.seconds,
            detail=result.detail,
        )
        quality = self.scores.mean(answer)
        after = host_load(context.measure_cpu)
        self.samples.append(
            _sample(scheduled, number, position, result, quality, context.measure_cpu, started_s, before, after)
        )
        return answer

    def _cutoff_s(self, scheduled: ScheduledSample) -> float | None:
        """How long a candidate may take; None while no baseline has been measured, and where only the task's limit holds."""
        cutoff = cutoff_s(self.baseline_s, self.rules.target) if scheduled.run else None
        return control_cutoff_s(cutoff, self.samples, scheduled.run) if scheduled.side == "control" else cutoff

    def _check_spec(self) -> SampleSpec:
        """What the container of a check gets: data only where the entry may be called, to see how it makes components."""
        context = self.context
        preload = context.task.preloads(None)
        if not context.task.file.components:
            return self._sample_spec(None, preload)
        data = generate_round(context.problem, context.task, context.scale, fresh_seed(), count=1)
        return self._sample_spec(data.identity, preload)

    def _preload(self, scheduled: ScheduledSample) -> tuple[str, ...]:
        """What a sample's container imports before *go*: by the file's text, which may hide only what then costs it time."""
        task = self.context.task
        if scheduled.run:
            return task.preloads(self.imports[scheduled.run])
        return task.preloads(imported_modules(scheduled.source))

    def _sample_spec(self, data: Permutation | None, preload: tuple[str, ...]) -> SampleSpec:
        """What a container gets; None for one without data."""
        task, scale = self.context.task, self.context.scale
        return SampleSpec(
            task=task,
            sandbox=self.context.spec,
            layout=task.input_arrays(scale) if data is not None else (),
            inputs=data.inputs if data is not None else b"",
            answer=task.answer_arrays(scale),
            deadline_s=task.file.limits.sample_wall_s,
            preload=preload,
        )

    def _note(self, text: str) -> None:
        """Record what the reader of the results must know."""
        self.notes.append(text)
        self.context.report_step(GradingStep(GradingPhase.NOTE, text))

    def _report(self, phase: GradingPhase, action: str) -> None:
        self.context.report_step(GradingStep(phase, f"{self.doing}: {action}", self.measured))

    # Verdicts

    def verdicts(self) -> Iterator[Graded]:
        """The candidates that the rounds so far have decided; they wait no longer. Those about to pass are audited first."""
        self._validate_certificate()
        elapsed_s = self.context.clock.monotonic() - self.started_s
        last = self.measured >= self.rules.rounds_max or elapsed_s >= self.rules.seconds_max
        self._audit(last)
        undecided = []
        for candidate in self.waiting:
            graded = self._judge(candidate, last)
            if graded is None:
                undecided.append(candidate)
            else:
                yield graded
        self.waiting = tuple(undecided)

    def _audit(self, last: bool) -> None:
        """Further data sets for every candidate that lacks nothing else to pass."""
        due = {candidate: self._audits_due(candidate, last) for candidate in self.waiting}
        for audit in range(max(due.values(), default=0)):
            self.run_audit([candidate for candidate, count in due.items() if count > audit])
        if any(due.values()):
            self._validate_certificate()

    def _audits_due(self, candidate: Candidate, last: bool) -> int:
        evidence = self._evidence(candidate)
        if evidence.verdict(last=False) is not None or unmet(evidence.findings, evidence.rules):
            return 0  # what was not checked in a round is made in the next one: no audit has it
        rules, run = evidence.rules, candidate.run
        return audits_due(evidence.measured, evidence.quality, run, rules, evidence.rounds, last=last)

    def _validate_certificate(self) -> None:
        """Drop the host's certificate if this job's sentinels contradict it."""
        certificate = self.rules.certificate
        if certificate is None:
            return
        sentinel_logs = [math.log(sample.seconds) for sample in self.samples if sample.side == "sentinel"]
        reason = drift_reason(certificate, sentinel_logs)
        if reason is not None:
            self.rules = replace(self.rules, certificate=None, no_certificate=reason)
            self._note(f"the certificate {certificate.id} is not used: {reason}")

    def _evidence(self, candidate: Candidate) -> "_Evidence":
        """What is known of a candidate by now."""
        run, rules = candidate.run, replace(self.rules, attempt=candidate.attempt)
        return _Evidence(
            run=run,
            rules=rules,
            rounds=self.measured,
            measured=summarize_times(self.samples, run, rules, self.seeds),
            quality=summarize_quality(self.scores.rounds(run), rules),
            findings=(*self.findings[run], *self.scores.findings(run, self.samples)),
        )

    def _judge(self, candidate: Candidate, last: bool) -> Graded | None:
        run, evidence = candidate.run, self._evidence(candidate)
        rules, measured, quality, findings = evidence.rules, evidence.measured, evidence.quality, evidence.findings
        verdict = evidence.verdict(last=last)
        if verdict is None or self._needs_confirmation(run, verdict, findings, last):
            return None
        sides = {"baseline": "baseline", "candidate": f"candidate {run}"}
        enforced = {side: self.enforced.get(name) for side, name in sides.items()}
        notes = (*self.notes, *_drift_note(measured))
        grading = Grading(
            outcome=verdict,
            findings=findings,
            measurement=measured,
            quality=quality,
            rules=rules,
            notes=notes,
            enforced=enforced,
            preloaded={side: self.preloaded[name] for side, name in sides.items() if name in self.preloaded},
        )
        return Graded(run, grading)

    def _needs_confirmation(self, run: int, verdict: Outcome, findings: Sequence[Finding], last: bool) -> bool:
        """Whether a suspiciously fast pass must wait for one more look at fresh data."""
        suspicious = verdict.kind is OutcomeKind.PASSED and any(finding.check == "too-good" for finding in findings)
        if last or not suspicious or run in self._confirmed:
            return False
        self._confirmed.add(run)
        return True


def cutoff_s(baseline_s: float | None, target: float | None) -> float | None:
    """Seconds after which a candidate is stopped; None while no baseline has been measured, and without a target."""
    if target is None or baseline_s is None:
        return None
    return max(CUTOFF_S_MIN, CUTOFF_FACTOR * baseline_s / target)


def control_cutoff_s(cutoff: float | None, samples: Sequence[Sample], run: int) -> float | None:
    """Seconds after which a run's control is stopped; None once one was: then it has as long as the task's limit allows.

    Args:
        cutoff: of a timed sample.
    """
    was_stopped = any(s.side == "control" and s.run == run and s.ending is Ending.CUT for s in samples)
    return None if was_stopped or cutoff is None else CONTROL_FACTOR * cutoff


def _drift_note(measured: Measurement) -> tuple[str, ...]:
    """The baseline is the same file every time: a trend in its times is the host's."""
    if measured.drift is None or 1.0 / DRIFT_MAX <= measured.drift <= DRIFT_MAX:
        return ()
    return (f"the baseline's time changed by a factor of {measured.drift:.2f} while this was measured",)


def _data_of(data: RoundData, scheduled: ScheduledSample) -> Permutation:
    if scheduled.permutation != CONTROL:
        return data.permutations[scheduled.permutation]
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
