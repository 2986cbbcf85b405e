"""`python -m runner grade FILE...`: grade any files, without an agent; many at once share their rounds."""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.budget.clock import SystemClock
from runner.cli.ci import report_to_ci
from runner.cli.exit_codes import INTERRUPTED, exit_status
from runner.cli.hosts_flags import check_alone, check_hosts_own
from runner.cli.options import GradeOptions
from runner.cli.resolve import grading_config
from runner.cli.signals import interrupt_on_sigterm
from runner.export.junit import Suite
from runner.faults import Interrupted, UsageFault
from runner.grading.grade import grade_contents
from runner.grading.pass_rate import summarize_runs
from runner.job.setup import build_context, build_rules, build_spec, load_task, read_submission
from runner.job.slots import on_host
from runner.records.episode import Submission
from runner.records.outcome import OutcomeKind
from runner.records.run import Run, SubmissionRecord
from runner.report.console import Console
from runner.report.progress import Progress
from runner.report.run_view import summary_of, table_lines
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.leftovers import sweep
from runner.settings import Settings
from runner.store.job_folder import JobFolder, open_job_folder, reopen_job_folder
from runner.store.results import read_json, read_run, run_json
from runner.tasks.problem import check_repeats, load_problem
from runner.tasks.task import Task

STDIN = "-"


def grade_files(settings: Settings, options: GradeOptions) -> int:
    """Grade the files together; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    task = load_task(settings, options.task.task)
    task.scale(options.task.scale)
    check_repeats(load_problem(task), task)
    submissions = _submissions(task, options.files)
    with contextlib.closing(_open_store(options, task)) as store:
        contents = {submission.sha256: submission.content for submission in submissions}
        todo = {sha256: content for sha256, content in contents.items() if sha256 not in store.runs}
        interrupted = _grade(settings, options, task, todo, submissions, store)
    runs = [
        _named(number, store.runs[submission.sha256], submission)
        for number, submission in enumerate(submissions, 1)
        if submission.sha256 in store.runs
    ]
    _print_end(options, task, runs, len(submissions), interrupted)
    report_to_ci(settings, options.ci, _suite(options, task, runs))
    return (
        INTERRUPTED if interrupted else exit_status(runs, summarize_runs(runs, 0.0), interrupted=False, fail_under=None)
    )


def _suite(options: GradeOptions, task: Task, runs: Sequence[Run]) -> Suite:
    names = {run.number: f"{run.number}: {run.submission.path}" for run in runs if run.submission is not None}
    return Suite(name="grade", task=task.name, runs=runs, names=names, about={"scale": options.task.scale})


def _named(number: int, run: Run, submission: Submission) -> Run:
    """The grading of a content as the run of one of the files that have it."""
    return replace(run, number=number, submission=SubmissionRecord.of(submission, submission.path))


def _grade(
    settings: Settings, options: GradeOptions, task: Task, todo: Mapping[str, bytes], submissions: Sequence[Submission],
    store: "_Store",
) -> bool:  # fmt: skip
    """Grade each content once, and keep what comes out; returns whether it was interrupted."""
    if not todo:
        return False
    hashes = list(todo)
    console = Console(
        sys.stderr if options.show.json else sys.stdout, task.file.quality.name, verbose=options.report.verbose
    )

    def take(run: Run) -> None:
        for number, submission in enumerate(submissions, 1):
            if submission.sha256 == hashes[run.number - 1]:
                store.add(_named(number, run, submission))
                if not options.show.json:
                    console.run(_named(number, run, submission))

    if options.several.ray:
        from runner.cli.others import grade_on_hosts

        check_hosts_own(options.given)
        return grade_on_hosts(settings, options, task, todo, take)
    check_alone(options.given)
    return _grade_here(settings, options, task, list(todo.values()), take)


def _grade_here(
    settings: Settings, options: GradeOptions, task: Task, contents: Sequence[bytes], take: Callable[[Run], None]
) -> bool:
    """Grade contents on this host; whether it was interrupted."""
    with Progress(quiet=options.show.quiet) as progress:
        engine = find_engine(settings)
        sweep(engine)
        spec, image = build_spec(engine, task, settings, progress.say)
        rules = build_rules(engine, task, options.task.scale, image, grading_config(options.grading))
        context = build_context(
            Fleet(engine, "grade"), task, options.task.scale, spec, rules, SystemClock(), progress.grading
        )
        config = grading_config(options.grading)
        context = on_host(context, image, config)
        try:
            with interrupt_on_sigterm():
                for graded in grade_contents(replace(context, seeds=tuple(options.seed or ())), contents):
                    take(Run(number=graded.run, outcome=graded.grading.outcome, grading=graded.grading))
        except (KeyboardInterrupt, Interrupted):
            context.fleet.stop()
            return True
    return False


@dataclass
class _Store:
    """Gradings by the submission's sha256: of earlier calls into the same folder, and of this one.

    Attributes:
        folder: where they are kept; None: nowhere.
    """

    folder: JobFolder | None
    about: dict[str, Any]
    runs: dict[str, Run]

    def add(self, run: Run) -> None:
        """Keep one more; a host fault is not written, since it is to be graded again."""
        assert run.submission is not None
        self.runs[run.submission.sha256] = run
        if self.folder is not None and run.outcome.kind is not OutcomeKind.INFRASTRUCTURE:
            runs = [run_json(run) for run in self.runs.values() if run.outcome.kind is not OutcomeKind.INFRASTRUCTURE]
            self.folder.write_json("results.json", {**self.about, "runs": runs})

    def close(self) -> None:
        """Release the folder."""
        if self.folder is not None:
            self.folder.close()


def _open_store(options: GradeOptions, task: Task) -> _Store:
    """The folder of `--keep`, opened or made, with what is in it.

    Raises:
        UsageFault: it holds gradings of another task or scale, or cannot be read.
    """
    about = {"task": task.name, "task_digest": task.digest, "scale": options.task.scale}
    if options.keep is None:
        return _Store(None, about, {})
    path = options.keep
    folder = reopen_job_folder(path) if path.is_dir() else open_job_folder(path.parent, path.name, newest=False)
    try:
        return _Store(folder, about, _kept_runs(path, about))
    except UsageFault:
        folder.close()
        raise


def _kept_runs(path: Path, about: Mapping[str, Any]) -> dict[str, Run]:
    if not (path / "results.json").exists():
        return {}
    raw = read_json(path / "results.json")
    if not isinstance(raw, dict):
        raise UsageFault(cause=f"{path}/results.json cannot be read: it is no object", hint="choose another --keep")
    if {name: raw.get(name) for name in about} != about:
        raise UsageFault(
            cause=f"{path} holds gradings of {raw.get('task')} at scale {raw.get('scale')}, or of another version",
            hint="choose another --keep",
        )
    try:
        runs = [read_run(entry) for entry in raw["runs"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageFault(cause=f"{path}/results.json cannot be read: {error}", hint="choose another --keep") from error
    return {run.submission.sha256: run for run in runs if run.submission is not None}


def _submissions(task: Task, files: Sequence[Path]) -> list[Submission]:
    return [Submission(path=str(path), content=_content_of(path, task)) for path in files]


def _content_of(path: Path, task: Task) -> bytes:
    """A file's bytes, or those of standard input; here a user can fix what in a job would be the submission's own failure.

    Raises:
        UsageFault: it is not a regular file, empty, too large, or not UTF-8.
    """
    content = _read_stdin(task.submission_bytes_max) if str(path) == STDIN else read_submission(path, task)
    if not content.strip():
        raise UsageFault(cause=f"{path} is empty", hint="name the file that you want graded")
    if task.kind in ("program", "tests"):  # it may be anything, a folder among others
        return content
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageFault(
            cause=f"{path} is not UTF-8: {error.reason} at byte {error.start}", hint="save it as UTF-8"
        ) from error
    return content


def _read_stdin(bytes_max: int) -> bytes:
    if sys.stdin is None:
        raise UsageFault(cause="there is no standard input to read from", hint="name a file, or pipe one in")
    try:
        content = sys.stdin.buffer.read(bytes_max + 1)
    except OSError as error:
        raise UsageFault(
            cause=f"standard input cannot be read: {error.strerror}", hint="name a file, or pipe one in"
        ) from error
    if len(content) > bytes_max:
        raise UsageFault(cause=f"standard input has more than the {bytes_max} bytes that the task allows",
                         hint="submit a smaller file")  # fmt: skip
    return content


def _print_end(options: GradeOptions, task: Task, runs: Sequence[Run], asked: int, interrupted: bool) -> None:
    if options.show.json:
        entries = [run_json(run) for run in runs]
        print(json.dumps(entries[0] if asked == 1 and entries else {"runs": entries}, ensure_ascii=True))
    elif asked > 1 or options.keep is not None:
        for line in table_lines([summary_of(run) for run in runs], task.file.quality.name):
            print(line.plain)
    if interrupted:
        again = f"; the same command goes on with --keep {options.keep}" if options.keep else ""
        print(f"interrupted: {len(runs)} of {asked} files are graded{again}", file=sys.stderr)
