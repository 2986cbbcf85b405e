"""Goes through what is to be measured of a job: says what it costs, keeps what is done, and goes on where it stopped."""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.budget.clock import Clock
from runner.faults import InfrastructureFault, StoreFault
from runner.job.measure.ablation import PAIR_SAMPLES, Variants, measure_variants, pair_variants, single_variants
from runner.job.measure.bench import BASELINE, SOLUTION, Bench, Subject, unit_definitions
from runner.job.measure.missed import Missed, grade_missed, missed_ways
from runner.job.measure.plan import (
    BEST,
    SOLUTION_NAME,
    Cost,
    ablation_cost,
    baseline_seconds,
    chosen_runs,
    pairs_cost,
    rounds_of,
    title_of,
    untaken_ways,
    verdicts_cost,
)
from runner.job.measure.profile import profile_cost, profile_file
from runner.job.measure.stored import ABLATION, MISSED, PAIRS, PROFILE, ablation_of
from runner.job.parse import build_parser_spec, parse_sources
from runner.job.played_task import recorded_task_folder, task_to_run
from runner.job.setup import build_context, build_rules, build_spec
from runner.job.variants import asker, locate
from runner.records.grading import GradingStep
from runner.records.measured import Ablation, Study
from runner.records.run import JobConfig, Run
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.leftovers import sweep
from runner.settings import Settings
from runner.store.jobs import StoredJob
from runner.store.measured import keep_measurement, read_measurement
from runner.store.results import submission_bytes
from runner.tasks.strategies import load_strategies, rules_of
from runner.tasks.task import check_is_python

PARTS_OF_INTERACTIONS = 3  # with two parts, what is left is their interaction; it needs no pair of its own

OWN = "baseline"  # the name of the task's own file among those that are parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for.

    Attributes:
        of: whose files: `best`, `median`, `near-miss`, `solution`, or the number of a run.
        studies: what is measured of them.
        rounds: of an ablation; None for as many as the file's own grading took.
        task: the task's name or folder, where it is not found by the name in the job's records; else empty.
    """

    of: Sequence[str]
    studies: Sequence[Study]
    rounds: int | None = None
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One measurement.

    Attributes:
        name: of the file that keeps it.
        about: what it is about; a kept one about something else is not taken.
        title: for a reader.
        act: measures; gives what is kept.
    """

    name: str
    about: Mapping[str, Any]
    title: str
    cost: Cost
    act: Callable[[], Mapping[str, Any]] = field(repr=False)


@dataclass
class MeasuringSession:
    """The measurements of one job.

    Attributes:
        faults: what the host spoiled: not kept, measured again by the next call.
    """

    job: StoredJob
    bench: Bench
    wanted: Wanted
    subjects: tuple[Subject, ...]
    best: Subject | None
    missed: tuple[Missed, ...] = ()
    faults: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.job.folder

    # What is to be done

    def plan(self) -> list[tuple[str, Cost, bool]]:
        """(title, cost, whether it is there already) of everything, in order."""
        steps = [*self._ablation_steps(), *self._profile_steps()]
        return [(step.title, step.cost, self._is_kept(step)) for step in steps] + [
            (f"verdict on {each.record.title} for {each.record.part}", self._missed_cost(each), self._missed_kept(each))
            for each in self.missed
        ]

    def total(self) -> Cost:
        """What is still to be measured, all together."""
        return sum((cost for _, cost, kept in self.plan() if not kept), Cost())

    def baseline_s(self) -> float | None:
        """The baseline's time in this job."""
        return baseline_seconds(self.job.runs.values())

    # Doing it

    def run(self) -> None:
        """Measure what is not there yet; each measurement is kept as soon as it is done.

        Raises:
            Interrupted: we are stopping.
            StoreFault: one cannot be written.
        """
        for step in self._ablation_steps():
            self._do(step)
            for pairs in self._pairs_step(step):
                self._do(pairs)
        for step in self._profile_steps():
            self._do(step)
        with self._spoiled("the verdicts on what was missed"):
            todo = [each for each in self.missed if not self._missed_kept(each)]
            for each, content in grade_missed(self.bench, todo):
                if isinstance(content, str):
                    self._note_fault(each.name, content)
                else:
                    keep_measurement(self.folder, _missed_name(each), self._missed_about(each), content)

    def _do(self, step: Step) -> None:
        if self._is_kept(step):
            self.bench.say(f"kept: {step.title}")
            return
        self.bench.say(f"measuring: {step.title}")
        with self._spoiled(step.title):
            keep_measurement(self.folder, step.name, step.about, step.act())

    @contextlib.contextmanager
    def _spoiled(self, title: str) -> Iterator[None]:
        """What the host spoils costs this measurement, and no other."""
        try:
            yield
        except StoreFault:
            raise
        except InfrastructureFault as fault:
            self._note_fault(title, fault.cause)

    def _note_fault(self, title: str, cause: str) -> None:
        self.faults.append(f"{title}: {cause}")
        self.bench.say(f"not measured, {title}: {cause}")

    def _is_kept(self, step: Step) -> bool:
        return read_measurement(self.folder, step.name, step.about) is not None

    # Ablation

    def _ablation_steps(self) -> list[Step]:
        if Study.ABLATION not in self.wanted.studies:
            return []
        return [self._ablation_step(subject) for subject in self.subjects]

    def _ablation_step(self, subject: Subject) -> Step:
        rounds, parts = self._rounds(subject), len(self.bench.definitions) + 1
        return Step(
            name=f"{ABLATION}-{subject.sha256[:12]}",
            about=self.bench.about(sha256=subject.sha256, rounds=rounds, parts=_parts_hash(self.bench)),
            title=f"each part of {subject.title}, put back one at a time",
            cost=ablation_cost(rounds, parts, self._speedup(subject)),
            act=lambda: self._ablate(subject, single_variants(self.bench, subject)),
        )

    def _ablate(self, subject: Subject, variants: Variants, samples: int | None = None) -> Mapping[str, Any]:
        return measure_variants(self.bench, subject, variants, self._rounds(subject), samples=samples)

    def _pairs_step(self, singles: Step) -> list[Step]:
        """Where the parts alone do not add up: which pairs make the difference."""
        content = read_measurement(self.folder, singles.name, singles.about)
        if content is None:
            return []
        subject = next(each for each in self.subjects if each.sha256 == content["sha256"])
        ablation = ablation_of(content)
        parts = [part.part for part in ablation.parts if part.gain is not None]
        if not _asks_for_pairs(ablation, parts):
            return []
        step = Step(
            name=singles.name.replace(ABLATION, PAIRS, 1),
            about={**singles.about, "pairs_of": parts},
            title=f"which parts of {subject.title} act together",
            cost=pairs_cost(self._rounds(subject), len(parts), self._speedup(subject)),
            act=lambda: self._ablate(subject, pair_variants(self.bench, subject, parts), PAIR_SAMPLES),
        )
        self.bench.say(f"the parts of {subject.title} alone do not add up; pairs: {step.cost.words(self.baseline_s())}")
        return [step]

    def _rounds(self, subject: Subject) -> int:
        return self.wanted.rounds or rounds_of(self.job.runs.get(subject.run))

    def _speedup(self, subject: Subject) -> float | None:
        """Of its own grading; the target, as a guess, for a file that has none."""
        run = self.job.runs.get(subject.run)
        if run is not None and run.speedup is not None:
            return run.speedup.estimate
        return self.bench.task.target(self.bench.scale)

    # Profiles

    def _profile_steps(self) -> list[Step]:
        """The baseline, and the best file or else the first that was asked for, at every scale."""
        if Study.PROFILE not in self.wanted.studies:
            return []
        task = self.bench.task
        subjects = [
            _subject("the baseline", BASELINE, task.baseline),
            *([self.best] if self.best else self.subjects[:1]),
        ]
        return [self._profile_step(subject, scale) for subject in subjects for scale in task.file.scales]

    def _profile_step(self, subject: Subject, scale: str) -> Step:
        speedup = 1.0 if subject.run == BASELINE else self._speedup(subject) or 1.0
        return Step(
            name=f"{PROFILE}-{subject.sha256[:12]}-{re.sub(r'[^A-Za-z0-9-]+', '_', scale)}",
            about=self.bench.about(sha256=subject.sha256, data=scale, parts=_parts_hash(self.bench)),
            title=f"where {subject.title} spends its time, at scale {scale}",
            cost=profile_cost(self.bench, scale, speedup),
            act=lambda: profile_file(self.bench, subject, scale),
        )

    # What was missed

    def _missed_cost(self, each: Missed) -> Cost:
        """Its share: the files of one call share the baseline's rounds."""
        rules, speedup = self.bench.context.rules, self._speedup(self.best) if self.best else None
        made = [one for one in self.missed if one.content is not None and not self._missed_kept(one)]
        if each.content is None or not made:
            return Cost()
        whole = verdicts_cost(len(made), speedup, rules.data_sets)
        return Cost(whole.lengths / len(made), whole.containers // len(made))

    def _missed_kept(self, each: Missed) -> bool:
        return read_measurement(self.folder, _missed_name(each), self._missed_about(each)) is not None

    def _missed_about(self, each: Missed) -> dict[str, Any]:
        content = hashlib.sha256(each.content or each.record.reason.encode()).hexdigest()
        failed = list(each.record.failed_runs)
        return self.bench.about(sha256=content, into=each.record.into, failed_runs=failed)


def _missed_name(each: Missed) -> str:
    return f"{MISSED}-{re.sub(r'[^A-Za-z0-9-]+', '_', each.name)}"


def _asks_for_pairs(ablation: Ablation, parts: Sequence[str]) -> bool:
    return ablation.adds_up is False and len(parts) >= PARTS_OF_INTERACTIONS


def _parts_hash(bench: Bench) -> str:
    """Changes with the parts and their definitions: what was put back is then something else."""
    return hashlib.sha256(repr(sorted(bench.definitions.items())).encode()).hexdigest()


# Setting up


@contextlib.contextmanager
def open_session(
    settings: Settings,
    job: StoredJob,
    wanted: Wanted,
    clock: Clock,
    say: Callable[[str], None],
    report_step: Callable[[GradingStep], None],
) -> Iterator[MeasuringSession]:
    """A session on a job, its files read and its variants known; sandboxes are gone at its end.

    Raises:
        Fault: the job cannot be measured.
    """
    config = job.config
    assert config is not None
    chosen_runs(list(job.runs.values()), config.target, _run_names(wanted.of))  # a wrong name is said before any work
    settings = settings.model_copy(update={"runtime": config.runtime}) if config.runtime else settings
    task = task_to_run(settings, wanted.task, config, recorded_task_folder(job.folder))
    check_is_python(task, "a measurement of parts")
    engine = find_engine(settings)
    if task.digest != config.task_digest:
        say(f"task {task.name} has changed since this job: it is measured as it is now")
    sweep(engine)
    fleet = Fleet(engine, f"measure-{re.sub('[^A-Za-z0-9_.-]+', '-', job.name)}"[:60])
    try:
        spec, image = build_spec(engine, task, settings, say)
        rules = build_rules(engine, task, config.scale, image, config.grading)
        context = build_context(fleet, task, config.scale, spec, rules, clock, report_step)
        parser = build_parser_spec(engine, settings, say)
        parts, ask = load_strategies(task), asker(fleet, parser)
        bench = Bench(
            task=task,
            scale=config.scale,
            parts=parts,
            definitions=unit_definitions(parts, locate(ask, task.baseline, rules_of(parts))),
            ask=ask,
            context=context,
            say=say,
        )
        files = {number: submission_bytes(job.folder, run) for number, run in sorted(job.runs.items())}
        readable = {number: content for number, content in files.items() if isinstance(content, bytes)}
        subjects = _subjects(bench, config, list(job.runs.values()), readable, wanted.of)
        best = next(iter(_subjects(bench, config, list(job.runs.values()), readable, [BEST])), None)
        session = MeasuringSession(job, bench, wanted, subjects, best)
        if best is not None and Study.MISSED in wanted.studies:
            sources = {OWN: task.baseline, **{str(n): content for n, content in readable.items()}}
            facts = parse_sources(fleet, parser, sources, rules_of(parts))
            refused = facts.pop(OWN).refused  # no submission's parser is asked
            taken = {int(number): set(found.matches or {}) for number, found in facts.items()}
            looked_for = [way for way in rules_of(parts) if way not in refused]
            untaken = untaken_ways(taken, list(job.runs.values()), looked_for)
            session = replace(session, missed=tuple(missed_ways(bench, best, untaken)))
        yield session
    finally:
        fleet.stop()


def _subjects(
    bench: Bench, config: JobConfig, runs: Sequence[Run], files: Mapping[int, bytes], names: Sequence[str]
) -> tuple[Subject, ...]:
    """The files that are asked for, each once."""
    chosen = chosen_runs(runs, config.target, _run_names(names))
    found = [
        _subject(title_of(number, why), number, files[number]) for number, why in chosen.items() if number in files
    ]
    if SOLUTION_NAME in names and bench.task.oracle is not None:
        found.append(_subject("the solution", SOLUTION, bench.task.oracle))
    return tuple({subject.sha256: subject for subject in reversed(found)}.values())[::-1]


def _run_names(names: Sequence[str]) -> list[str]:
    return [name for name in names if name != SOLUTION_NAME]


def _subject(title: str, run: int, content: bytes) -> Subject:
    return Subject(title, run, content, hashlib.sha256(content).hexdigest())
