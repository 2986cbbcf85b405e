"""`python -m runner regrade JOB`: the same submissions measured anew, or their verdicts computed again from the record."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.cli.exit_codes import BELOW_THRESHOLD, INFRASTRUCTURE, INTERRUPTED, OK
from runner.cli.grade import as_run
from runner.cli.signals import interrupt_on_sigterm
from runner.clock import SystemClock
from runner.faults import Interrupted, UsageFault
from runner.grading.grade import grade_contents
from runner.grading.recompute import recompute_verdict
from runner.job.setup import GradingOptions, build_context, build_rules, build_spec, check_grading, load_task
from runner.records.episode import Submission
from runner.records.outcome import Infrastructure
from runner.records.run import Run
from runner.report.escape import shown
from runner.report.progress import Progress
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet, sweep
from runner.settings import Settings
from runner.store.job_folder import JobFolder, reopen_job_folder
from runner.store.results import correctness_json, graded_record, measurement_json, read_json, run_json, submission_of

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class RegradeOptions:
    """The flags of `regrade`.

    Attributes:
        job: a job's folder.
        offline: compute the verdicts again from the record, without an engine.
        task: empty: the one that job.json names.
    """

    job: Path
    offline: bool = False
    task: str = ""
    grading: GradingOptions = field(default_factory=GradingOptions)
    json: bool = False
    quiet: bool = False


def regrade(settings: Settings, options: RegradeOptions) -> int:
    """Grade a job's submissions again; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    raw = read_json(options.job / "results.json")
    return _offline(raw, options) if options.offline else _measured(settings, raw, options)


# From the record


def _offline(raw: dict[str, Any], options: RegradeOptions) -> int:
    """0 when every verdict comes out byte for byte as it was recorded, else 1."""
    changed = []
    for recorded in raw["runs"]:
        try:
            again = computed_again(recorded)
        except ValueError as error:
            changed.append(f"run {recorded.get('number')}: unreadable: {error}")
            continue
        if _text(again) != _text(recorded):
            differ = sorted(key for key in again if _text(again[key]) != _text(recorded.get(key)))
            changed.append(f"run {recorded['number']}: {', '.join(differ)}: {recorded['outcome']} → {again['outcome']}")
    if options.json:
        print(json.dumps({"runs": len(raw["runs"]), "changed": changed}))
    else:
        print("\n".join(changed) or f"{len(raw['runs'])} runs: every verdict follows from its record, byte for byte")
    return BELOW_THRESHOLD if changed else OK


def computed_again(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """A run of results.json with everything that follows from its record computed anew.

    Raises:
        ValueError: the record has another form than it must have.
    """
    record = graded_record(recorded)
    if record is None:
        return dict(recorded)
    measured, correct, verdict = recompute_verdict(
        record.number, record.samples, record.findings, record.qualities, record.rules, record.seeds
    )
    run = Run(record.number, verdict, measurement=measured, correctness=correct)
    made = run_json(run)
    derived = {key: made[key] for key in ("outcome", "reward", "reason")}
    return {**recorded, **derived, **measurement_json(measured), "accuracy": correctness_json(correct)}


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


# Measured anew


def _measured(settings: Settings, raw: dict[str, Any], options: RegradeOptions) -> int:
    check_grading(options.grading)
    folder = reopen_job_folder(options.job)
    try:
        return _measure(settings, raw, options, folder)
    finally:
        folder.close()


def _measure(settings: Settings, raw: dict[str, Any], options: RegradeOptions, folder: JobFolder) -> int:
    job, clock = raw["job"], SystemClock()
    task = load_task(settings, options.task or job["task"])
    if task.digest != job["task_digest"]:
        print(f"note: task {task.name} has changed since this job", file=sys.stderr)
    attempt, done = _attempt(options.job)
    with Progress(quiet=options.quiet) as progress:
        left, listed = _left(options.job, raw, done)
        for line in listed:
            progress.say(line)
        if not left:
            print("nothing is left to grade", file=sys.stderr)
            return OK
        engine = find_engine(settings)
        sweep(engine)
        spec, image = build_spec(engine, task, settings.runtime, progress.say)
        rules = build_rules(engine, task, job["scale"], image, options.grading, ATTEMPTS)
        fleet = Fleet(engine, f"regrade-{job['name']}")
        context = build_context(fleet, task, job["scale"], spec, rules, clock, progress.say)
        interrupted = False
        try:
            with interrupt_on_sigterm():
                contents = [content for _, content in left]
                for graded in grade_contents(context, contents, [attempt] * len(left)):
                    number, content = left[graded.run - 1]
                    run = replace(as_run(graded, Submission("", content)), number=number, stored_at="")
                    done[number] = run_json(run)
                    _keep(folder, attempt, done, complete=False)
        except (KeyboardInterrupt, Interrupted):
            interrupted = True
            fleet.stop()
    _keep(folder, attempt, done, complete=not interrupted)
    _print(raw, done, attempt, options)
    if interrupted:
        return INTERRUPTED
    return INFRASTRUCTURE if any(run["outcome"] == Infrastructure.name for run in done.values()) else OK


def _attempt(job: Path) -> tuple[int, dict[int, dict[str, Any]]]:
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
            return number, {int(run["number"]): run for run in before["runs"]}
    raise UsageFault(
        cause=f"{job} was regraded {ATTEMPTS} times, as often as its error is split for",
        hint="more tries would buy a pass by luck: measure on a quieter host with a certificate, or start a new job",
    )


def _left(job: Path, raw: dict[str, Any], done: Mapping[int, Any]) -> tuple[list[tuple[int, bytes]], list[str]]:
    """(submissions to grade, why others are not)."""
    left, listed = [], []
    for recorded in raw["runs"]:
        number = int(recorded["number"])
        content = submission_of(job, recorded)
        if isinstance(content, str):
            listed.append(f"run {number}: {content}")
        elif number not in done:
            left.append((number, content))
    return left, listed


def _keep(folder: JobFolder, attempt: int, done: Mapping[int, dict[str, Any]], *, complete: bool) -> None:
    runs = [done[number] for number in sorted(done)]
    folder.write_json(
        f"regrade_{attempt}.json", {"attempt": attempt, "of": ATTEMPTS, "complete": complete, "runs": runs}
    )


def _print(raw: dict[str, Any], done: Mapping[int, dict[str, Any]], attempt: int, options: RegradeOptions) -> None:
    if options.json:
        print(json.dumps({"attempt": attempt, "of": ATTEMPTS, "runs": [done[n] for n in sorted(done)]}))
        return
    print(
        f"Attempt {attempt} of {ATTEMPTS}; each is judged with a third of the error, so that trying again buys no pass."
    )
    print(f"{'run':>4}  {'before':28} {'now':28}")
    for recorded in raw["runs"]:
        now = done.get(int(recorded["number"]))
        if now is not None:
            print(f"{recorded['number']:>4}  {_short(recorded):28} {_short(now):28}")


def _short(run: Mapping[str, Any]) -> str:
    speedup = run.get("speedup")
    return shown(str(run["outcome"]) + (f" {speedup['estimate']:.2f}x" if speedup else ""))
