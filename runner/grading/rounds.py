"""Rounds: a baseline sample and the samples of every waiting candidate on one fresh data set, until each is judged.

`schedule.py` says in which order, `sampling.py` takes the samples, `standing.py` says who has a verdict; what is known in
between is in `session.py`. A sample that was held up is repeated at the end of its round (`hiccups.py`), a candidate that is
about to pass is audited on further data sets without the baseline, and those that a round decides leave after it.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from runner.faults import InfrastructureFault, SandboxWoke
from runner.grading.checks.obligations import obligations, remade_names
from runner.grading.checks.remade import Claimed, make_again
from runner.grading.context import Candidate, GradingContext
from runner.grading.data import CONTROL_POSITION, RoundData, derived_rng
from runner.grading.hiccups import repeats_due
from runner.grading.measurement import fastest_ratio
from runner.grading.sample import SampleSpec, warm_sandbox
from runner.grading.sampling import Placed, Sampling
from runner.grading.schedule import ScheduledSample, schedule_audits, schedule_repeats, schedule_round
from runner.grading.scoring import ScoredAnswer
from runner.grading.session import Session
from runner.grading.standing import Graded, Standing
from runner.grading.time_shares import out_of_time
from runner.records.grading import Ending, GradingPhase, Rules, Sample
from runner.sandbox.container import Sandbox
from runner.tasks.problem import fresh_seed
from runner.tasks.task import imported_modules

# A host fault repeats its round once; a second one in a row is not a hiccup. chosen.
ROUND_RETRIES_MAX = 1
FROZEN_UNSEEN = "the engine counts no CPU time: whether a frozen episode ran beside what was measured could not be seen"


def grade(context: GradingContext, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Grade the candidates together; each comes out as soon as its verdict is final.

    Raises:
        InfrastructureFault: engine or host failed, and with it every candidate that is not out yet.
        Interrupted: we are stopping.
    """
    rules = replace(context.rules, obligations=obligations(context.task, context.problem, context.rules.equivalence))
    with _begun(context, candidates, rules) as rounds:
        session = rounds.session
        session.check()
        for _ in range(context.rules.rounds_max):
            if not session.waiting:
                break
            rounds.run_round()
            yield from rounds.verdicts()
    # Where something was held up, it was no quiet moment; where nothing is compared, no noise shows.
    if context.learn_noise is not None and not session.discarded and not context.rules.repetitions:
        context.learn_noise(session.samples)


def sample_rounds(
    context: GradingContext,
    candidates: Sequence[Candidate],
    rounds: int,
    *,
    goes_on: Callable[[], bool] = lambda: False,
) -> list[Sample]:
    """The samples of `rounds` rounds, without checks and without a verdict: for studies of a host.

    Args:
        candidates: files of our own or the task's.
        goes_on: asked after these rounds, and after each that follows; while it is true there are more, which do not count.

    Raises:
        InfrastructureFault: engine or host failed.
        Interrupted: we are stopping.
    """
    # A study wants all samples as they come, and none of them twice.
    with _begun(context, candidates, replace(context.rules, edition=1)) as study:
        study.session.findings = {candidate.run: () for candidate in candidates}
        study.session.imports = {candidate.run: imported_modules(candidate.content) for candidate in candidates}
        for _ in range(rounds):
            study.run_round()
        counted = list(study.session.samples)
        while goes_on():
            study.run_round()
        return counted


def measure_rounds(context: GradingContext, candidates: Sequence[Candidate], rounds: int) -> list[Graded]:
    """Check the candidates and measure them for `rounds` rounds, without a target: no sample is cut, and none leaves early.

    What fails a check, or gives no answer, is not measured any further.

    Raises:
        InfrastructureFault: engine or host failed.
        Interrupted: we are stopping.
    """
    due = obligations(context.task, context.problem, context.rules.equivalence)
    rules = replace(context.rules, target=None, rounds_max=rounds, obligations=due)
    with _begun(context, candidates, rules) as measuring:
        measuring.session.check()
        decided = measuring.leave_undecided()
        for _ in range(rounds if measuring.session.waiting else 0):
            measuring.run_round()
        return sorted((*decided, *measuring.last_verdicts()), key=lambda graded: graded.run)


@contextlib.contextmanager
def _begun(context: GradingContext, candidates: Sequence[Candidate], rules: Rules) -> Iterator["_Rounds"]:
    """A session that has just begun; at its end no container is left of it."""
    session = Session(context, tuple(candidates), context.clock.monotonic(), rules)
    try:
        yield _Rounds(session, Sampling(session), Standing(session))
    finally:
        session.containers.close()


@dataclass
class _Rounds:
    """Takes a session from round to round."""

    session: Session
    sampling: Sampling
    standing: Standing

    # Rounds

    def run_round(self) -> None:
        """All samples of the next round."""
        self.session.measured += 1
        self.session.doing = f"round {self.session.measured}"
        self._repeat_after_fault(self._run_round)

    def run_audits(self, audits: Sequence[Sequence[Candidate]]) -> None:
        """Further data sets without the baseline; for each of them the candidates that are to be seen on it."""
        session, context = self.session, self.session.context
        shared = session.containers.are_possible
        for batch in schedule_audits(audits, context.oracle, context.warm_max, shared=shared):
            first, last = len(session.seeds) + 1, len(session.seeds) + len(batch)
            session.doing = f"audits on data sets {first} to {last}"
            self._repeat_after_fault(functools.partial(self._run_data_sets, batch))

    def _repeat_after_fault(self, run: Callable[[], None]) -> None:
        """A round, or a batch of audits; a host fault repeats the whole of it, both sides, and says so.

        A guest that woke is ended, and none begins meanwhile: several of them could come one after the other, and each is a
        repetition without being the second hiccup of a host.
        """
        session, retries = self.session, 0
        while True:
            samples_before, baseline_s_before = len(session.samples), session.baseline_s
            try:
                return run()
            except InfrastructureFault as fault:
                session.containers.close()
                retries += not isinstance(fault, SandboxWoke)
                if retries > ROUND_RETRIES_MAX:
                    raise
                del session.samples[samples_before:]
                session.baseline_s = baseline_s_before
                session.note(f"{session.doing}: repeated after a host fault: {fault.cause}")

    def _run_round(self) -> None:
        number = len(self.session.seeds) + 1
        seed = self._seed(number)
        data = self.session.generate(seed)
        samples = self._place(number, data, self._schedule_round(data))
        self._run_and_score({number: (seed, data)}, samples)

    def _run_data_sets(self, batch: Sequence[Sequence[ScheduledSample]]) -> None:
        sets: dict[int, tuple[int, RoundData]] = {}
        samples: list[Placed] = []
        for number, schedule in enumerate(batch, len(self.session.seeds) + 1):
            seed = self._seed(number)
            sets[number] = (seed, self.session.generate(seed))
            samples += self._place(number, sets[number][1], schedule)
        self._run_and_score(sets, samples)

    def _seed(self, number: int) -> int:
        given = self.session.context.seeds
        return given[number - 1] if number <= len(given) else fresh_seed()

    def _place(self, number: int, data: RoundData, schedule: Sequence[ScheduledSample]) -> list[Placed]:
        first = sum(sample.round == number for sample in self.session.samples)
        return [Placed(scheduled, number, position, data) for position, scheduled in enumerate(schedule, first)]

    def _run_and_score(self, sets: Mapping[int, tuple[int, RoundData]], samples: Sequence[Placed]) -> None:
        """The samples on some data sets, given by number, with their repeats; nothing is kept of them if one fails."""
        session = self.session
        session.context.check_slot()
        began_s = time.monotonic()
        answers = self.sampling.run_all(samples)
        for number, (_, data) in sets.items():
            while repeats := self._schedule_repeats(number):
                answers[number] += self.sampling.run_all(self._place(number, data, repeats))[number]
        if not session.context.fleet.check_frozen(began_s) and FROZEN_UNSEEN not in session.notes:
            session.note(FROZEN_UNSEEN)
        session.context.check_slot()
        self._make_again(answers)
        for number, (seed, data) in sets.items():
            session.seeds.append(seed)
            session.scores.add(number, data, answers[number])

    def _make_again(self, answers: Mapping[int, Sequence[ScoredAnswer]]) -> None:
        """Findings about what components are said to have made of the answers of a round, or of a batch of audits.

        Args:
            answers: by the number of their data set.
        """
        session, claimed = self.session, {}
        context = session.context
        asked = set(remade_names(context.task)) & set(session.rules.obligations)
        if not asked:
            return
        decided = session.decided()
        for candidate in session.waiting:
            if candidate.run in decided:
                continue
            mine = self._to_make_again(candidate.run, answers)
            pairs = tuple((answer.data.case, answer.arrays) for answer in mine if answer.arrays is not None)
            if pairs:
                claimed[candidate.run] = Claimed(candidate.content, pairs, sum(answer.seconds for answer in mine))
        if not claimed:
            return
        session.report(GradingPhase.CHECKING, "making again what components made")
        spec = session.check_spec()
        remade = make_again(
            context.fleet,
            spec,
            session.scores.problem,
            context.scale,
            claimed,
            at_once=context.warm_at_once,
            sandbox_of=functools.partial(self._sandbox_to_make_again, spec),
        )
        for run, findings in remade.items():
            session.scores.note(run, findings)

    def _to_make_again(self, run: int, answers: Mapping[int, Sequence[ScoredAnswer]]) -> list[ScoredAnswer]:
        """Of a round with a baseline all that the candidate answered, if it was fast enough there: without such a round it
        does not pass. Of audits likewise, if it answered in all of them, and they share a container: there it can tell an
        audit, and might do the work in its measured samples alone. Where each has a container of its own it cannot."""
        session, found = self.session, []
        for number, of_set in answers.items():
            is_audit = not any(answer.side == "baseline" for answer in of_set)
            mine = [answer for answer in of_set if answer.run == run and answer.side in ("candidate", "repeat")]
            if is_audit and (
                not session.containers.are_possible or any(answer.ending is not Ending.ANSWERED for answer in mine)
            ):
                return []
            if is_audit or self._is_fast_enough(run, number):
                found += mine
        return found

    def _is_fast_enough(self, run: int, number: int) -> bool:
        rules = self.session.rules
        return rules.target is None or fastest_ratio(self.session.samples, run, number) >= rules.target

    @contextlib.contextmanager
    def _sandbox_to_make_again(self, spec: SampleSpec, run: int) -> Iterator[Sandbox]:
        """A process of its own for a candidate's components, in the container in which it may be audited later."""
        session, context = self.session, self.session.context
        spec = replace(spec, preload=context.task.preloads(session.imports[run]))  # as in audits
        if not session.containers.are_possible:
            with warm_sandbox(context.fleet, spec, role="check", cpuset=context.warmup_cpus, run=str(run)) as sandbox:
                yield sandbox
            self.sampling.judge_death(run, sandbox)
            return
        try:
            sandbox = session.containers.of(run, spec).begin(spec)
            # After audits it is on the measuring CPU, where there is room for one.
            sandbox.pin(context.fleet.cpus_for(sandbox.spec, context.warmup_cpus))
            yield sandbox
        finally:
            decided = session.decided()
            session.containers.leave(run, sum(candidate.run not in decided for candidate in session.waiting))
        self.sampling.judge_death(run, sandbox)

    def _schedule_round(self, data: RoundData) -> list[ScheduledSample]:
        session = self.session
        once = {candidate.run for candidate in session.waiting} if session.rules.repetitions else session.decided()
        return schedule_round(
            len(session.seeds) + 1,
            session.waiting,
            measured_once=once,
            baseline=session.context.baseline,
            oracle=session.context.oracle,
            controlled=session.controlled(),
            control_rng=None if data.control is None else derived_rng(data.seed, CONTROL_POSITION),
        )

    def _schedule_repeats(self, number: int) -> list[ScheduledSample]:
        session = self.session
        if session.rules.edition == 1 or session.rules.repetitions:
            return []
        settled = session.decided()
        open_ones = [c for c in session.waiting if c.run not in settled and not session.has_failed(c.run)]
        due = {candidate: repeats_due(session.samples, candidate.run, number) for candidate in open_ones}
        return schedule_repeats({candidate: count for candidate, count in due.items() if count})

    # Verdicts

    def verdicts(self) -> Iterator[Graded]:
        """The candidates that the rounds so far have decided; they wait no longer. Those about to pass are audited first."""
        session, standing = self.session, self.standing
        standing.validate_certificate()
        last = self._last()
        self._audit(last)
        undecided = []
        for candidate in session.waiting:
            graded = standing.judge(candidate, candidate.run in last)
            if graded is None:
                undecided.append(candidate)
            else:
                yield graded
        session.waiting = tuple(undecided)
        session.containers.close({candidate.run for candidate in undecided})

    def leave_undecided(self) -> list[Graded]:
        """The candidates that the checks alone decide; they wait no longer."""
        session, decided = self.session, self.session.decided()
        found = [self.standing.judge(each, last=True) for each in session.waiting if each.run in decided]
        session.waiting = tuple(candidate for candidate in session.waiting if candidate.run not in decided)
        return [graded for graded in found if graded is not None]

    def last_verdicts(self) -> list[Graded]:
        """A verdict on every candidate that waits; there will be no more rounds."""
        found = [self.standing.judge(candidate, last=True) for candidate in self.session.waiting]
        return [graded for graded in found if graded is not None]

    def _last(self) -> Collection[int]:
        """The candidates for which there will be no more rounds."""
        session = self.session
        if session.measured >= session.rules.rounds_max:
            return session.owners
        elapsed_s = session.context.clock.monotonic() - session.started_s
        taken = [*session.samples, *session.discarded]
        return out_of_time(session.owners, taken, elapsed_s, session.rules.seconds_max)

    def _audit(self, last: Collection[int]) -> None:
        """Further data sets for every candidate that lacks nothing else to pass."""
        due = {each: self.standing.audits_due(each, each.run in last) for each in self.session.waiting}
        audits = range(max(due.values(), default=0))
        self.run_audits([[candidate for candidate, count in due.items() if count > audit] for audit in audits])
        if any(due.values()):
            self.standing.validate_certificate()
