"""`python -m runner regrade JOB`: the same submissions measured again, or their verdicts computed again from the record."""

import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from runner.cli.exit_codes import BELOW_THRESHOLD, INFRASTRUCTURE, INTERRUPTED, OK
from runner.cli.options import RegradeOptions
from runner.cli.resolve import grading_config
from runner.cli.signals import interrupt_on_sigterm
from runner.clock import SystemClock
from runner.faults import Interrupted, UsageFault
from runner.grading.grade import grade_contents
from runner.grading.recompute import recompute
from runner.job.setup import build_context, build_rules, build_spec, load_task
from runner.records.outcome import OutcomeKind
from runner.records.run import JobConfig, Run
from runner.report.progress import Progress
from runner.report.run_view import summary_of, table_lines
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet, sweep
from runner.settings import Settings
from runner.store.job_folder import JobFolder, reopen_job_folder
from runner.store.jobs import StoredJob, read_job
from runner.store.results import read_json, read_run, recorded_value, run_json, submission_bytes

ATTEMPTS = 3  # chosen: the error is divided by it, and more looks make each one weaker
# What of a run follows from its record.
DERIVED = ("outcome", "reward", "reason", "speedup", "audit", "seconds", "guards", "samples", "seeds", "quality")


def regrade(settings: Settings, options: RegradeOptions) -> int:
    """Grade a job's submissions again; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    if options.offline:
        return _offline(options)
    job = read_job(options.job)
    if job.config is None:
        raise UsageFault(cause=f"{options.job} does not say what was asked for", hint="it may have been changed")
    with contextlib.closing(reopen_job_folder(options.job)) as folder:
        return _measure(settings, job, job.config, options, folder)


# From the record


def _offline(options: RegradeOptions) -> int:
    """0 when every verdict comes out byte for byte as it was recorded, else 1."""
    raw = read_json(options.job / "results.json")
    changed = []
    for recorded in raw["runs"]:
        try:
            run = read_run(recorded)
            again = recomputed(run)
        except ValueError as error:
            changed.append(f"run {recorded.get('number')}: cannot be read: {error}")
            continue
        derived = run_json(again)
        different = [key for key in DERIVED if _text(derived[key]) != _text(recorded_value(recorded, key))]
        if different:
            changed.append(f"run {run.number}: {', '.join(different)}: {run.outcome.kind} → {again.outcome.kind}")
    if options.show.json:
        print(json.dumps({"runs": len(raw["runs"]), "changed": changed}))
    else:
        print("\n".join(changed) or f"{len(raw['runs'])} runs: every verdict follows from its record, byte for byte")
    return BELOW_THRESHOLD if changed else OK


def recomputed(run: Run) -> Run:
    """A run with everything that follows from its record computed again.

    Raises:
        ValueError: the record decides nothing.
    """
    if run.grading is None:
        return run
    grading = recompute(run.grading, run.number)
    return replace(run, outcome=grading.outcome, grading=grading)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


# Measured again


def _measure(settings: Settings, job: StoredJob, config: JobConfig, options: RegradeOptions, folder: JobFolder) -> int:
    task = load_task(settings, options.task or config.task)
    if task.digest != config.task_digest:
        print(f"note: task {task.name} has changed since this job", file=sys.stderr)
    attempt, done = _attempt(options.job)
    with Progress(quiet=options.show.quiet) as progress:
        todo, reasons = _todo(job, done)
        for reason in reasons:
            progress.say(reason)
        if not todo:
            print("nothing is left to grade", file=sys.stderr)
            return OK
        engine = find_engine(settings)
        sweep(engine)
        spec, image = build_spec(engine, task, settings, progress.say)
        rules = build_rules(engine, task, config.scale, image, grading_config(options.grading), ATTEMPTS)
        fleet = Fleet(engine, f"regrade-{config.name}")
        context = build_context(fleet, task, config.scale, spec, rules, SystemClock(), progress.grading)
        interrupted = False
        try:
            with interrupt_on_sigterm():
                contents = [content for _, content in todo]
                for graded in grade_contents(context, contents, [attempt] * len(todo)):
                    run = todo[graded.run - 1][0]
                    done[run.number] = replace(run, outcome=graded.grading.outcome, grading=graded.grading)
                    _write(folder, attempt, done, complete=False)
        except (KeyboardInterrupt, Interrupted):
            interrupted = True
            fleet.stop()
    _write(folder, attempt, done, complete=not interrupted)
    _print(job, done, attempt, options)
    if interrupted:
        return INTERRUPTED
    return INFRASTRUCTURE if any(run.outcome.kind is OutcomeKind.INFRASTRUCTURE for run in done.values()) else OK


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
        if not before.get("complete"):
            try:
                runs = [read_run(run) for run in before["runs"]]
            except (KeyError, ValueError) as error:
                raise UsageFault(cause=f"{path} cannot be read: {error}", hint="move it away to start again") from error
            return number, {run.number: run for run in runs}
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


def _write(folder: JobFolder, attempt: int, done: Mapping[int, Run], *, complete: bool) -> None:
    runs = [run_json(done[number]) for number in sorted(done)]
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
