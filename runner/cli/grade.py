"""`python -m runner grade FILE...`: grade any files, without an agent; many at once share their rounds."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.cli.exit_codes import INTERRUPTED, exit_status
from runner.cli.signals import interrupt_on_sigterm
from runner.clock import SystemClock
from runner.faults import Interrupted, UsageFault
from runner.grading.grade import grade_contents
from runner.grading.pass_rate import total
from runner.grading.rounds import Graded
from runner.job.setup import (
    DEFAULT_TASK,
    GradingOptions,
    build_context,
    build_rules,
    build_spec,
    check_grading,
    load_task,
    read_submission,
)
from runner.records.episode import Submission
from runner.records.outcome import Infrastructure
from runner.records.run import Run
from runner.report.console import Console, table_lines
from runner.report.progress import Progress
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet, sweep
from runner.settings import Settings
from runner.store.job_folder import JobFolder, open_job_folder, reopen_job_folder
from runner.store.results import read_json, run_json
from runner.tasks.task import Task


@dataclass(frozen=True, slots=True)
class GradeOptions:
    """The flags of `grade`.

    Attributes:
        seeds: replay a grading's data, one for each round; fresh ones are drawn where there is none.
        keep: a folder for the results; what is in it already is not graded again.
    """

    files: tuple[Path, ...]
    task: str = DEFAULT_TASK
    scale: str = "full"
    grading: GradingOptions = field(default_factory=GradingOptions)
    seeds: tuple[int, ...] = ()
    keep: Path | None = None
    json: bool = False
    quiet: bool = False


def grade_files(settings: Settings, options: GradeOptions) -> int:
    """Grade the files together; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    task = load_task(settings, options.task)
    task.scale(options.scale)
    check_grading(options.grading)
    submissions = _submissions(task, options.files)
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(_kept(options, task))
        left = [one for one in submissions if one.sha256 not in kept.before]
        runs, interrupted = _grade_left(settings, options, task, left, kept)
    done = {**kept.before, **{run.submission.sha256: run_json(run) for run in runs if run.submission}}
    _print_end(options, [done[one.sha256] for one in submissions if one.sha256 in done], len(submissions), interrupted)
    return INTERRUPTED if interrupted else exit_status(runs, total(runs, 0.0), interrupted=False, fail_under=None)


def _grade_left(
    settings: Settings, options: GradeOptions, task: Task, left: Sequence[Submission], kept: "_Kept"
) -> tuple[list[Run], bool]:
    """(runs, whether it was interrupted)."""
    runs: list[Run] = []
    if not left:
        return runs, False
    with Progress(quiet=options.quiet) as progress:
        engine = find_engine(settings)
        sweep(engine)
        spec, image = build_spec(engine, task, settings.runtime, progress.say)
        rules = build_rules(engine, task, options.scale, image, options.grading)
        context = build_context(Fleet(engine, "grade"), task, options.scale, spec, rules, SystemClock(), progress.say)
        console = Console(sys.stderr if options.json else sys.stdout, rules.target, rules.quality)
        try:
            with interrupt_on_sigterm():
                for graded in grade_contents(replace(context, seeds=options.seeds), [one.content for one in left]):
                    runs.append(as_run(graded, left[graded.run - 1]))
                    if not options.json:
                        console.run(runs[-1])
                    kept.take(runs[-1])
        except (KeyboardInterrupt, Interrupted):
            context.fleet.stop()
            return runs, True
    return runs, False


@dataclass
class _Kept:
    """What earlier gradings into the same folder found, by the submission's sha256; and where new ones go."""

    folder: JobFolder | None
    about: dict[str, Any]
    before: dict[str, dict[str, Any]]

    def take(self, run: Run) -> None:
        """Keep one more, unless it was a host fault: that is to be graded again."""
        if self.folder is None or run.submission is None or isinstance(run.outcome, Infrastructure):
            return
        self.before[run.submission.sha256] = run_json(run)
        self.folder.write_json("results.json", {**self.about, "runs": list(self.before.values())})


@contextlib.contextmanager
def _kept(options: GradeOptions, task: Task) -> Iterator[_Kept]:
    """The folder of `--keep`, opened or made.

    Raises:
        UsageFault: it holds gradings of another task or scale.
    """
    about = {"task": task.name, "task_digest": task.digest, "scale": options.scale}
    if options.keep is None:
        yield _Kept(None, about, {})
        return
    path = options.keep
    folder = reopen_job_folder(path) if path.is_dir() else open_job_folder(path.parent, path.name, newest=False)
    with contextlib.closing(folder):
        before: dict[str, Any] = {**about, "runs": []}
        if (path / "results.json").exists():
            before = read_json(path / "results.json")
        if {name: before.get(name) for name in about} != about:
            raise UsageFault(
                cause=f"{path} holds gradings of {before.get('task')} at scale {before.get('scale')}, or of another version",
                hint="choose another --keep",
            )
        yield _Kept(folder, about, {run["submission"]["sha256"]: run for run in before["runs"]})


def _submissions(task: Task, files: Sequence[Path]) -> list[Submission]:
    if not files:
        raise UsageFault(cause="no file to grade", hint="name one or more files")
    return [Submission(str(path), _text_of(path, task.file.submission.max_bytes)) for path in files]


def _text_of(path: Path, bytes_max: int) -> bytes:
    """A file's bytes; here a user can fix what in a job would be the submission's own failure.

    Raises:
        UsageFault: it is no regular file, empty, too large, or no UTF-8.
    """
    content = read_submission(path, bytes_max)
    if not content.strip():
        raise UsageFault(cause=f"{path} is empty", hint="name the file that you want graded")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageFault(
            cause=f"{path} is not UTF-8: {error.reason} at byte {error.start}", hint="save it as UTF-8"
        ) from error
    return content


def _print_end(options: GradeOptions, runs: Sequence[dict[str, Any]], asked: int, interrupted: bool) -> None:
    if options.json:
        print(json.dumps(runs[0] if asked == 1 and runs else {"runs": list(runs)}, ensure_ascii=True))
    elif asked > 1 or options.keep is not None:
        print("\n".join(table_lines(runs)))
    if interrupted:
        again = f"; the same command goes on with --keep {options.keep}" if options.keep else ""
        print(f"interrupted: {len(runs)} of {asked} files are graded{again}", file=sys.stderr)


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
