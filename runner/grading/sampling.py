"""The samples of a round, run one after the other on the measuring CPU, each as soon as the one before is gone.

`warm_pool.py` has the containers ready; here they are moved to the measuring CPU one by one, just before their turn. A
sample that was held up is repeated, and so is an audit that may have had too little memory.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from runner.faults import InfrastructureFault
from runner.grading.calibration.host_load import HostLoad, host_load
from runner.grading.checks.answers import slow_death
from runner.grading.cutoffs import control_cutoff_s, cutoff_s
from runner.grading.data import Permutation, RoundData
from runner.grading.guarded_problem import TEXT_MAX, NotJudged
from runner.grading.sample import SampleResult, SampleSpec
from runner.grading.schedule import CONTROL, ScheduledSample, containers_of
from runner.grading.scoring import ScoredAnswer
from runner.grading.session import Session
from runner.grading.stalls import OTHERS_REPEATS_MAX, STALL_REPEATS_MAX, OwnWaits, held_up_by_others, host_is_busy
from runner.grading.warm_pool import warm_pool
from runner.records.grading import Ending, GradingPhase, Sample
from runner.sandbox.cgroup import ResourceUsage
from runner.sandbox.container import Sandbox
from runner.tasks.authoring import BadAnswer

# How a sample may end that has too little memory: killed, by an error of its own, or waiting for a process that is gone.
SHORT_OF_MEMORY = (Ending.OUT_OF_MEMORY, Ending.CRASHED, Ending.TIMED_OUT)


@dataclass(frozen=True, slots=True)
class Placed:
    """A sample, and where it stands.

    Attributes:
        number: of the round, or of the data set.
        position: in the round.
        data: of the round.
    """

    scheduled: ScheduledSample
    number: int
    position: int
    data: RoundData

    @property
    def inputs(self) -> Permutation:
        """What its container gets."""
        if self.scheduled.permutation != CONTROL:
            return self.data.permutations[self.scheduled.permutation]
        assert self.data.control is not None
        return self.data.control


@dataclass
class Sampling:
    """Takes the samples of a session."""

    session: Session
    _own_waits: OwnWaits = field(default_factory=lambda: OwnWaits({}))
    _repeated_for_others: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    _audited_alone: set[int] = field(default_factory=set)

    def run_all(self, samples: Sequence[Placed]) -> dict[int, list[ScoredAnswer]]:
        """Their answers by the number of their data set."""
        answers: dict[int, list[ScoredAnswer]] = defaultdict(list)
        self._run_in_batches(samples, answers)
        return answers

    def _run_in_batches(
        self, samples: Sequence[Placed], answers: dict[int, list[ScoredAnswer]], tries: int = 1
    ) -> None:
        """As many samples at a time as can be warm; adds their answers."""
        session = self.session
        left = [_alone(each) if self._is_audited_alone(each.scheduled) else each for each in samples]
        while left:
            count = len(left)
            while count > 1 and containers_of([s.scheduled for s in left[:count]]) > session.context.warm_max:
                count -= 1
            batch, left = [s for s in left[:count] if not session.has_failed(s.scheduled.run)], left[count:]
            if batch:
                session.containers.make_room([placed.scheduled for placed in batch])
                self._run_samples(batch, answers, tries)

    def _run_samples(self, batch: Sequence[Placed], answers: dict[int, list[ScoredAnswer]], tries: int) -> None:
        """As many samples as can be warm at one time; adds their answers. Those that were held up are repeated."""
        session = self.session
        count = containers_of([placed.scheduled for placed in batch])
        session.report(GradingPhase.WARMING, f"warming {count} containers")
        specs = [session.sample_spec(placed.inputs, session.preload(placed.scheduled)) for placed in batch]
        again: list[Placed] = []
        with warm_pool(session.context, [placed.scheduled for placed in batch], specs, session.containers) as pool:
            for placed, spec, warm in zip(batch, specs, pool, strict=True):
                scheduled = placed.scheduled
                session.report(GradingPhase.MEASURING, f"measuring {_whose(scheduled)}")
                is_audit = scheduled.shared or scheduled.run in self._audited_alone
                if scheduled.run in session.ended_slowly or (is_audit and session.has_failed(scheduled.run)):
                    warm.close()  # its verdict is known, and each sample would cost minutes, or a container
                    continue
                if self._is_audited_alone(scheduled):
                    warm.close()
                    again.append(_alone(placed))
                    continue
                sandbox = warm.start()
                answer = self._measure(sandbox, placed, spec)
                if scheduled.side in ("baseline", "candidate"):
                    name = scheduled.side if scheduled.side == "baseline" else f"candidate {scheduled.run}"
                    session.enforced.setdefault(name, sandbox.enforced)
                    session.preloaded[name] = spec.preload
                warm.close()  # gone before the next *go*, with all its processes
                self.judge_death(scheduled.run, sandbox)
                if self._was_held_up(scheduled, answer, tries):
                    self._discard(placed)
                    again.append(placed)
                elif self._needs_own_container(scheduled, answer):
                    again.append(_alone(placed))
                else:
                    answers[placed.number].append(answer)
        if again:
            self._run_in_batches(again, answers, tries + 1)

    def judge_death(self, run: int, sandbox: Sandbox) -> None:
        """A candidate whose processes took long to end has failed, in whatever container."""
        session = self.session
        finding = slow_death(sandbox.dying_cpu_s)
        if run and finding is not None:
            session.ended_slowly.add(run)
            session.findings[run] = (*session.findings[run], finding)
            session.note(f"processes of run {run} took {finding.evidence} to end; what followed waited for them")

    def _was_held_up(self, scheduled: ScheduledSample, answer: ScoredAnswer, tries: int) -> bool:
        """Whether something else ran beside the last sample, and it may be repeated."""
        session = self.session
        if (
            session.rules.edition == 1 or session.rules.repetitions
        ):  # a study of a host wants what it does; no time counts
            return False
        sample, run = session.samples[-1], scheduled.run
        used = ResourceUsage(cpu_s=sample.cpu_s, throttled_s=sample.throttled_s)
        waited = not run and self._own_waits.held_up(scheduled.side, answer.seconds, used)
        others = held_up_by_others(sample) and (not run or self._may_blame_others(run))
        if tries > STALL_REPEATS_MAX or not (waited or others):
            return False
        self._repeated_for_others[run] += 1 if run else 0  # the task's own files speak for every candidate
        return True

    def _may_blame_others(self, run: int) -> bool:
        session = self.session
        return self._repeated_for_others[run] < OTHERS_REPEATS_MAX and host_is_busy(
            [*session.samples, *session.discarded]
        )

    def _needs_own_container(self, scheduled: ScheduledSample, answer: ScoredAnswer) -> bool:
        """Whether an audit that failed is made again where nothing else was before; once for each candidate.

        A file that needs all the memory there is has a little less of it beside what the container imported; how it answers
        has nothing to do with that. It would have as little in its other audits: they are made alone, too.
        """
        session = self.session
        run = scheduled.run
        if not scheduled.shared or answer.ending not in SHORT_OF_MEMORY or run in self._audited_alone:
            return False
        self._audited_alone.add(run)
        session.samples.pop()
        how = answer.ending.words
        session.note(
            f"an audit of run {run} ended without an answer ({how}); it was made again in a container of its own"
        )
        return True

    def _is_audited_alone(self, scheduled: ScheduledSample) -> bool:
        """Whether an audit would share its container, and an earlier one of the file was short of memory there."""
        return scheduled.shared and scheduled.run in self._audited_alone

    def _discard(self, placed: Placed) -> None:
        """Forget the last sample, and say so."""
        session = self.session
        held_up = session.samples.pop()
        session.discarded.append(held_up)
        session.note(
            f"a sample of {_whose(placed.scheduled)} was repeated: {held_up.seconds:.3f} s passed, "
            f"and it had the CPU for {held_up.cpu_s:.3f} s of them",
            GradingPhase.REPEATED,
        )

    def _measure(self, sandbox: Sandbox, placed: Placed, spec: SampleSpec) -> ScoredAnswer:
        session = self.session
        context, scheduled = session.context, placed.scheduled
        sandbox.pin(context.measure_cpu)
        started_s, before = context.clock.monotonic() - session.started_s, self._load()
        result = context.run_sample(sandbox, spec, scheduled.source, self._cutoff_s(scheduled))
        after = self._load()
        if not scheduled.run and result.ending is not Ending.ANSWERED:
            how = f"{result.ending.words}: {result.detail}"
            raise InfrastructureFault(
                cause=f"the {scheduled.side} of task {spec.task.name} did not answer: {how}",
                hint="raise [limits] in task.toml, or fix the task; try `python -m runner grade` on the baseline",
            )
        if scheduled.side == "baseline":
            session.baseline_s = result.seconds
        try:
            quality = session.scores.mean(_answer(placed, result))
        except (BadAnswer, NotJudged) as error:
            result, quality = self._not_scored(scheduled, result, error), None
        session.samples.append(_sample(placed, result, quality, context.measure_cpu, started_s, before, after))
        return _answer(placed, result)

    def _not_scored(
        self, scheduled: ScheduledSample, result: SampleResult, error: BadAnswer | NotJudged
    ) -> SampleResult:
        """The sample of an answer that problem.py does not take, or fails on: that is this run's outcome, and no other's.

        Raises:
            InfrastructureFault: the answer is the task's own.
        """
        session = self.session
        failure = error if isinstance(error, NotJudged) else NotJudged("score", repr(error))
        if not scheduled.run:
            raise failure.fault(session.context.task.name) from error
        if failure is error:
            session.scores.note(scheduled.run, failure)
        return replace(result, ending=Ending.BAD_ANSWER, arrays=None, detail=str(error)[:TEXT_MAX])

    def _load(self) -> HostLoad:
        """Of the machine that measures, where it is this one."""
        session = self.session
        cpu, local = session.context.measure_cpu, session.context.fleet.engine.is_local
        return host_load(cpu) if local else HostLoad(load=None, steal_s=None, mhz=None, busy_s=None)

    def _cutoff_s(self, scheduled: ScheduledSample) -> float | None:
        """How long a candidate may take; None while no baseline has been measured, and where only the task's limit holds."""
        session = self.session
        cutoff = cutoff_s(session.baseline_s, session.rules.target) if scheduled.run else None
        return control_cutoff_s(cutoff, session.samples, scheduled.run) if scheduled.side == "control" else cutoff


def _alone(placed: Placed) -> Placed:
    return replace(placed, scheduled=replace(placed.scheduled, shared=False))


def _whose(scheduled: ScheduledSample) -> str:
    return f"{scheduled.side} of run {scheduled.run}" if scheduled.run else scheduled.side


def _answer(placed: Placed, result: SampleResult) -> ScoredAnswer:
    return ScoredAnswer(
        side=placed.scheduled.side,
        run=placed.scheduled.run,
        data=placed.inputs,
        permutation=max(placed.scheduled.permutation, 0),
        arrays=result.arrays,
        ending=result.ending,
        seconds=result.seconds,
        detail=result.detail,
    )


def _sample(
    placed: Placed, result: SampleResult, quality: float | None, cpuset: str, started_s: float, before: HostLoad,
    after: HostLoad,
) -> Sample:  # fmt: skip
    steal_s = None if before.steal_s is None or after.steal_s is None else after.steal_s - before.steal_s
    busy_s = None if before.busy_s is None or after.busy_s is None else after.busy_s - before.busy_s
    cpu_s = result.used.cpu_s
    return Sample(
        side=placed.scheduled.side,
        run=placed.scheduled.run,
        round=placed.number,
        position=placed.position,
        ending=result.ending,
        seconds=result.seconds,
        quality=quality,
        cpuset=cpuset,
        started_s=started_s,
        cpu_s=cpu_s,
        throttled_s=result.used.throttled_s,
        memory_peak_bytes=result.used.memory_peak_bytes,
        pids_peak=result.used.pids_peak,
        written_bytes=result.used.written_bytes,
        load=after.load,
        steal_s=steal_s,
        others_s=None if busy_s is None or cpu_s is None else max(0.0, busy_s - cpu_s),
        others_unit_s=after.busy_unit_s,
        mhz=after.mhz,
        detail=result.detail,
    )
