"""`python -m runner grade FILE...`: grade any files, without an agent; many at once share their rounds."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner.clock import SystemClock
from runner.commands.assemble import (
    DEFAULT_TASK,
    GradingOptions,
    check_grading,
    read_submission,
    the_bench,
    the_rules,
    the_spec,
    the_task,
)
from runner.commands.run import terminated_like_interrupted
from runner.faults import InfrastructureFault, Interrupted, UsageFault
from runner.grading.rounds import Bench, Candidate, Graded, grade
from runner.job import measuring
from runner.plan import INTERRUPTED, exit_status
from runner.records.job import total
from runner.records.outcome import Infrastructure
from runner.records.run import Run
from runner.records.submission import Submission
from runner.report.console import Console
from runner.report.progress import Progress
from runner.sandbox.container import Fleet, sweep
from runner.sandbox.engine import find_engine
from runner.settings import Settings
from runner.store.results import run_json
from runner.task import Task


@dataclass(frozen=True, slots=True)
class GradeOptions:
    """The flags of `grade`.

    Attributes:
        seed: replays a grading's data; None draws fresh seeds.
    """

    files: tuple[Path, ...]
    task: str = DEFAULT_TASK
    scale: str = "full"
    grading: GradingOptions = field(default_factory=GradingOptions)
    seed: int | None = None
    json: bool = False
    quiet: bool = False


def grade_files(settings: Settings, options: GradeOptions) -> int:
    """Grade the files together; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    task = the_task(settings, options.task)
    task.scale(options.scale)
    check_grading(options.grading)
    submissions = _submissions(task, options.files)
    clock = SystemClock()
    started_s = clock.monotonic()
    with Progress(quiet=options.quiet) as progress:
        engine = find_engine(settings)
        sweep(engine)
        spec, image = the_spec(engine, task, settings.runtime, progress.say)
        rules = the_rules(engine, task, options.scale, image, options.grading)
        bench = the_bench(Fleet(engine, "grade"), task, options.scale, spec, rules, clock, progress.say)
        console = Console(sys.stderr if options.json else sys.stdout, rules.target, rules.quality)
        runs: list[Run] = []
        interrupted = False
        try:
            with terminated_like_interrupted():
                for graded in gradings(replace(bench, seed=options.seed), [one.content for one in submissions]):
                    runs.append(as_run(graded, submissions[graded.run - 1]))
                    if not options.json:
                        console.run(runs[-1])
        except (KeyboardInterrupt, Interrupted):
            interrupted = True
            bench.fleet.stop()
    _print_end(options, console, runs, len(submissions), interrupted)
    totals = total(runs, clock.monotonic() - started_s)
    return INTERRUPTED if interrupted else exit_status(runs, totals, interrupted=False, fail_under=None)


def _submissions(task: Task, files: Sequence[Path]) -> list[Submission]:
    if not files:
        raise UsageFault(cause="no file to grade", mend="name one or more files")
    return [Submission(str(path), read_submission(path, task.file.submission.max_bytes)) for path in files]


def _print_end(options: GradeOptions, console: Console, runs: list[Run], asked: int, interrupted: bool) -> None:
    if options.json:
        made = [run_json(run) for run in sorted(runs, key=lambda run: run.number)]
        print(json.dumps(made[0] if asked == 1 and made else {"runs": made}, ensure_ascii=True))
    elif asked > 1:
        console.table(sorted(runs, key=lambda run: run.number))
    if interrupted:
        print(f"interrupted: {len(runs)} of {asked} files are graded", file=sys.stderr)


def gradings(bench: Bench, contents: Sequence[bytes], attempts: Sequence[int] | None = None) -> Iterator[Graded]:
    """Grade contents together, as runs 1, 2, ...; a host fault becomes the outcome of what was not yet decided.

    Raises:
        Interrupted: we are stopping.
    """
    left = dict(enumerate(contents, 1))
    tries = dict(enumerate(attempts or [1] * len(left), 1))
    try:
        with measuring(bench) as on_cpu:
            candidates = [Candidate(number, content, tries[number]) for number, content in left.items()]
            for graded in grade(on_cpu, candidates):
                del left[graded.run]
                yield graded
    except InfrastructureFault as fault:
        for number in left:
            yield Graded(number, Infrastructure(fault.cause, fault.mend))


def as_run(graded: Graded, submission: Submission) -> Run:
    """A grading without an episode, as a run."""
    return Run(
        number=graded.run,
        outcome=graded.verdict,
        submission=submission,
        findings=graded.findings,
        measurement=graded.measurement,
        correctness=graded.correctness,
        rules=graded.rules,
        notes=graded.notes,
        enforced=graded.enforced,
        stored_at=submission.path,
    )
