"""What is known of a grading while it goes on: who waits, what was found, measured and scored by now.

`rounds.py` takes it from round to round, `sampling.py` adds samples, `standing.py` says what follows from it.
"""

from dataclasses import dataclass, field
from typing import Any

from runner.grading.checks.answers import is_slow_death
from runner.grading.checks.check_all import check_all
from runner.grading.context import Candidate, GradingContext
from runner.grading.data import Permutation, RoundData, generate_round
from runner.grading.sample import SampleSpec
from runner.grading.schedule import SAMPLES_PER_ROUND, ScheduledSample
from runner.grading.scoring import ScoreBook
from runner.grading.shared_container import SharedContainers
from runner.grading.verdict import checks_verdict, execution_verdict
from runner.records.grading import Ending, Finding, GradingPhase, GradingStep, Rules, Sample
from runner.tasks.kinds import stdin_of
from runner.tasks.problem import fresh_seed
from runner.tasks.task import imported_modules


@dataclass
class Session:
    """A grading of some candidates together.

    Attributes:
        waiting: those without a verdict.
        started_s: on the context's clock.
        rules: with the obligations of the task; the certificate goes where the sentinels contradict it.
        findings: of the checks, by run.
        imports: what each file's text names; None where it could not be read.
        samples: all that count, of every run and of the task's own files.
        discarded: those that were held up, and repeated.
        measured: rounds with a baseline, the current one included.
        doing: what is under way, in words.
        seeds: of the data sets, in their order.
        enforced, preloaded: by side, of the containers that were measured.
        notes: what the reader of the results must know.
        baseline_s: of the last baseline sample; None before the first.
        ended_slowly: runs whose processes took long to end.
        containers: in which a candidate's file is run several times.
        owners: the run of each candidate, those that have their verdict included.
    """

    context: GradingContext
    waiting: tuple[Candidate, ...]
    started_s: float
    rules: Rules
    findings: dict[int, tuple[Finding, ...]] = field(default_factory=dict)
    imports: dict[int, tuple[str, ...] | None] = field(default_factory=dict)
    scores: ScoreBook = field(init=False)
    samples: list[Sample] = field(default_factory=list)
    discarded: list[Sample] = field(default_factory=list)
    measured: int = 0
    doing: str = ""
    seeds: list[int] = field(default_factory=list)
    enforced: dict[str, Any] = field(default_factory=dict)
    preloaded: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    baseline_s: float | None = None
    ended_slowly: set[int] = field(default_factory=set)
    containers: SharedContainers = field(init=False)
    owners: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.owners = {candidate.run: candidate.owner or candidate.run for candidate in self.waiting}
        self.containers = SharedContainers(self.context)
        self.scores = ScoreBook(self.context.problem, self.rules)

    def check(self) -> None:
        """Parse and probe every candidate."""
        context = self.context
        if context.programs is not None:  # no text is parsed, and there are no components
            self.findings = {candidate.run: context.programs.findings for candidate in self.waiting}
            return
        context.report_step(GradingStep(GradingPhase.CHECKING, f"checking {len(self.waiting)} submission(s)"))
        checked = check_all(
            context.fleet,
            self.check_spec(),
            context.scale,
            {candidate.run: candidate.content for candidate in self.waiting},
            cpuset=context.warmup_cpus,
            at_once=context.warm_at_once,
            rules=self.rules,
            source_checks=context.source_checks,
            owners={candidate.run: candidate.owner for candidate in self.waiting if candidate.owner},
        )
        self.findings = {run: found.findings for run, found in checked.items()}
        self.imports = {run: found.imports for run, found in checked.items()}
        self.ended_slowly |= {run for run, of_run in self.findings.items() if any(map(is_slow_death, of_run))}

    # What is decided by now

    def decided(self) -> set[int]:
        """The runs whose checks alone decide; they are measured once, for their figures."""
        return {c.run for c in self.waiting if checks_verdict(self.findings[c.run], self.rules) is not None}

    def has_failed(self, run: int) -> bool:
        """Whether a sample has decided its verdict: no container is warmed for it any more."""
        if run in self.ended_slowly or run in self.scores.not_judged:
            return True
        # Of repetitions, each says how it ended.
        return not self.rules.repetitions and execution_verdict(self.samples, run) is not None

    def controlled(self) -> list[int]:
        """The runs whose control is still to be made. A second one has all the time that a sample may take: only a file that
        has answered in time gets it, and others cannot pass."""
        answered = {s.run for s in self.samples if s.side == "candidate" and s.ending is Ending.ANSWERED}
        due = [candidate.run for candidate in self.waiting if self.scores.control_due(candidate.run)]
        return [run for run in due if self.measured == 1 or run in answered]

    # Data and containers

    def generate(self, seed: int) -> RoundData:
        """The data of a round."""
        context = self.context
        return generate_round(context.problem, context.task, context.scale, seed, SAMPLES_PER_ROUND)

    def check_spec(self) -> SampleSpec:
        """What the container of a check gets: data only where the entry may be called, to see how it makes components.

        No clock runs: a file imports what it needs, and most need half of what the task lists.
        """
        context = self.context
        if not context.task.file.components:
            return self.sample_spec(None, ())
        data = generate_round(context.problem, context.task, context.scale, fresh_seed(), count=1)
        return self.sample_spec(data.identity, ())

    def preload(self, scheduled: ScheduledSample) -> tuple[str, ...]:
        """What a sample's container imports before *go*: by the file's text, which may hide only what then costs it time."""
        task = self.context.task
        if self.context.programs is not None:
            return ()
        if scheduled.run:
            return task.preloads(self.imports[scheduled.run])
        return task.preloads(imported_modules(scheduled.source))

    def sample_spec(self, data: Permutation | None, preload: tuple[str, ...]) -> SampleSpec:
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
            cases=stdin_of(data.case) if data is not None and self.context.programs is not None else None,
        )

    # What is said

    def note(self, text: str, phase: GradingPhase = GradingPhase.NOTE) -> None:
        """Record what the reader of the results must know."""
        self.notes.append(text)
        self.context.report_step(GradingStep(phase, text))

    def report(self, phase: GradingPhase, action: str) -> None:
        """Say what is being done."""
        self.context.report_step(GradingStep(phase, f"{self.doing}: {action}", self.measured))
