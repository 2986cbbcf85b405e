"""`python -m runner regrade JOB`: the same submissions measured again, or their verdicts computed again from the record."""

import contextlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from runner.budget.clock import SystemClock
from runner.cli.ci import report_to_ci
from runner.cli.exit_codes import BELOW_THRESHOLD, INFRASTRUCTURE, INTERRUPTED, OK
from runner.cli.options import RegradeOptions
from runner.cli.resolve import grading_config
from runner.cli.signals import interrupt_on_sigterm
from runner.export.junit import Suite
from runner.faults import Interrupted, UsageFault
from runner.grading.context import Candidate, GradingContext
from runner.grading.grade import grade_all
from runner.grading.recompute import recompute
from runner.job.played_task import recorded_task_folder, task_to_run
from runner.job.setup import build_context, build_rules, build_spec
from runner.job.slots import on_host
from runner.records.outcome import OutcomeKind, infrastructure
from runner.records.run import JobConfig, Run
from runner.report.progress import Progress
from runner.report.run_view import summary_of, table_lines
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.leftovers import sweep
from runner.settings import Settings
from runner.store.job_folder import JobFolder, reopen_job_folder
from runner.store.jobs import SUCH_AS, StoredJob, read_job
from runner.store.results import CHANGED, read_json, read_run, recorded_value, run_json, submission_bytes
from runner.tasks.task import Task

ATTEMPTS = 3  # chosen: the error is divided by it, and more looks make each one weaker
# Python 3.12 adds floats up in another way than 3.11 (compensated), so a job's figures, computed again by another Python,
# differ by 1e-15. chosen: far over that, far under what any verdict turns on.
LAST_BITS = 1e-12
# What of a run follows from its record.
DERIVED = ("outcome", "reward", "reason", "speedup", "audit", "seconds", "guards", "samples", "seeds", "quality")


def regrade(settings: Settings, options: RegradeOptions) -> int:
    """Grade a job's submissions again; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    by_name = settings.output / options.job
    if not options.job.is_dir() and by_name.is_dir():
        options = replace(options, job=by_name)
    elif options.job.exists() and not options.job.is_dir():
        raise UsageFault(cause=f"{options.job} is not the folder of a job", hint=SUCH_AS)
    if options.offline:
        return _offline(settings, options)
    job = read_job(options.job)
    if job.config is None:
        raise UsageFault(cause=f"{options.job} does not say what was asked for", hint=CHANGED)
    with contextlib.closing(reopen_job_folder(job.folder)) as folder:
        return _measure(settings, job, job.config, options, folder)


# From the record


def _offline(settings: Settings, options: RegradeOptions) -> int:
    """0 when every verdict comes out as it was recorded, else 1."""
    path = options.job / "results.json"
    raw = read_json(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("runs"), list):
        raise UsageFault(cause=f"{path} has no runs", hint=CHANGED)
    changed = []
    runs: list[Run] = []
    for place, recorded in enumerate(raw["runs"], 1):
        try:
            run = read_run(recorded)
            again = recomputed(run)
        except ValueError as error:
            number = recorded.get("number") if isinstance(recorded, dict) else place
            changed.append(f"run {number}: cannot be read: {error}")
            runs.append(_unread(place, str(error)))
            continue
        runs.append(again)
        derived = run_json(again)
        different = [key for key in DERIVED if not agree(derived[key], recorded_value(recorded, key))]
        if different:
            changed.append(f"run {run.number}: {', '.join(different)}: {run.outcome.kind} → {again.outcome.kind}")
    if options.show.json:
        print(json.dumps({"runs": len(raw["runs"]), "changed": changed}))
    else:
        print(
            "\n".join(changed) or f"{len(raw['runs'])} runs: every verdict follows from its record, figure for figure"
        )
    asked = raw.get("job")
    task = str(asked.get("task", "")) if isinstance(asked, dict) else ""
    report_to_ci(settings, options.ci, Suite(name=f"regrade {options.job.resolve().name}", task=task, runs=runs))
    return BELOW_THRESHOLD if changed else OK


def _unread(number: int, why: str) -> Run:
    """A run whose record cannot be read, for a CI: nothing is known of its submission."""
    return Run(number=number, outcome=infrastructure(f"the record cannot be read: {why}", "restore results.json"))


def recomputed(run: Run) -> Run:
    """A run with everything that follows from its record computed again.

    Raises:
        ValueError: the record decides nothing.
    """
    if run.grading is None:
        return run
    grading = recompute(run.grading, run.number)
    return replace(run, outcome=grading.outcome, grading=grading)


def agree(derived: object, recorded: object) -> bool:
    """Whether two values are written alike in a record, but for the last bits of their figures."""
    return _agree(*(json.loads(json.dumps(value)) for value in (derived, recorded)))


def _agree(one: object, other: object) -> bool:
    """What the version that wrote the record did not know (`other` lacks it) must be None."""
    if isinstance(one, dict) and isinstance(other, dict):
        return other.keys() <= one.keys() and all(_agree(value, other.get(key)) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_agree, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or math.isclose(one, other, rel_tol=LAST_BITS, abs_tol=LAST_BITS)
    return type(one) is type(other) and one == other


# Measured again


def _measure(settings: Settings, job: StoredJob, config: JobConfig, options: RegradeOptions, folder: JobFolder) -> int:
    task = task_to_run(settings, options.task, config, recorded_task_folder(job.folder))
    if task.digest != config.task_digest:
        print(f"note: task {task.name} has changed since this job", file=sys.stderr)
    attempt, done = _attempt(job.folder)
    with Progress(quiet=options.show.quiet) as progress:
        todo, reasons = _todo(job, done)
        for reason in reasons:
            progress.say(reason)
        if not todo and not done:
            print("nothing is left to grade", file=sys.stderr)
            report_to_ci(settings, options.ci, _suite(config, done))
            return OK
        interrupted = False
        if todo:  # else it was stopped between its last verdict and its end, which is all that it lacks
            fleet, context = _context(settings, task, config, options, progress)
            try:
                with interrupt_on_sigterm():
                    for graded in grade_all(context, _candidates(todo, attempt)):
                        grading = graded.grading
                        done[graded.run] = replace(job.runs[graded.run], outcome=grading.outcome, grading=grading)
                        _write(folder, attempt, done, complete=False)
            except (KeyboardInterrupt, Interrupted):
                interrupted = True
                fleet.stop()
    measured = _measured(done)
    _write(folder, attempt, done, complete=all(run.number in measured for run, _ in todo))
    _print(job, done, attempt, options)
    report_to_ci(settings, options.ci, _suite(config, done))
    if interrupted:
        return INTERRUPTED
    return INFRASTRUCTURE if len(measured) < len(done) else OK


def _context(
    settings: Settings, task: Task, config: JobConfig, options: RegradeOptions, progress: Progress
) -> tuple[Fleet, GradingContext]:
    engine = find_engine(settings)
    sweep(engine)
    spec, image = build_spec(engine, task, settings, progress.say)
    rules = build_rules(engine, task, config.scale, image, grading_config(options.grading), ATTEMPTS)
    fleet = Fleet(engine, f"regrade-{config.name}")
    context = build_context(fleet, task, config.scale, spec, rules, SystemClock(), progress.grading)
    return fleet, on_host(context, image, grading_config(options.grading))


def _measured(done: Mapping[int, Run]) -> dict[int, Run]:
    """Those with a verdict: a host fault is none, uses up no attempt, and is to be graded again in this one."""
    return {number: run for number, run in done.items() if run.outcome.kind is not OutcomeKind.INFRASTRUCTURE}


def _suite(config: JobConfig, done: Mapping[int, Run]) -> Suite:
    runs = [done[number] for number in sorted(done)]
    return Suite(name=f"regrade {config.name}", task=config.task, runs=runs, about={"scale": config.scale})


def _attempt(job: Path) -> tuple[int, dict[int, Run]]:
    """(number of this attempt, runs that it has already graded): one that was interrupted goes on.

    Raises:
        UsageFault: as many as the error is split between have been made.
    """
    for number in range(1, ATTEMPTS + 1):
        path = job / f"regrade_{number}.json"
        if not path.exists():
            return number, {}
        before = read_json(path)
        if not isinstance(before, dict) or not before.get("complete"):
            try:
                runs = [read_run(run) for run in before["runs"]]
            except (KeyError, ValueError, TypeError) as error:
                raise UsageFault(cause=f"{path} cannot be read: {error}", hint="move it away to start again") from error
            return number, _measured({run.number: run for run in runs})
    raise UsageFault(
        cause=f"{job} was regraded {ATTEMPTS} times, as often as its error is split for",
        hint="more tries would buy a pass by luck: measure on a quieter host with a certificate, or start a new job",
    )


def _todo(job: StoredJob, done: Mapping[int, Run]) -> tuple[list[tuple[Run, bytes]], list[str]]:
    """(submissions to grade, why others are not)."""
    todo, reasons = [], [f"run {number}: {why}" for number, why in job.unread.items()]
    for number, run in sorted(job.runs.items()):
        content = submission_bytes(job.folder, run)
        if isinstance(content, str):
            reasons.append(f"run {number}: {content}")
        elif number not in done:
            todo.append((run, content))
    return todo, reasons


def _candidates(todo: Sequence[tuple[Run, bytes]], attempt: int) -> list[Candidate]:
    """Each with its run's own number: a verdict is computed again from the samples of that number."""
    return [Candidate(run.number, content, attempt) for run, content in todo]


def _write(folder: JobFolder, attempt: int, done: Mapping[int, Run], *, complete: bool) -> None:
    runs = [run_json(run) for _, run in sorted(_measured(done).items())]
    folder.write_json(
        f"regrade_{attempt}.json", {"attempt": attempt, "of": ATTEMPTS, "complete": complete, "runs": runs}
    )


def _print(job: StoredJob, done: Mapping[int, Run], attempt: int, options: RegradeOptions) -> None:
    if options.show.json:
        runs = [run_json(done[number]) for number in sorted(done)]
        print(json.dumps({"attempt": attempt, "of": ATTEMPTS, "runs": runs}))
        return
    print(f"Attempt {attempt} of {ATTEMPTS}; each is judged with a third of the error, so that repeating buys no pass.")
    for title, known in (("before", job.runs), ("now", done)):
        print(f"{title}:")
        for line in table_lines([summary_of(known[number]) for number in sorted(done)]):
            print(line.plain)
