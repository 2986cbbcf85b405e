"""`python -m runner export JOB`: its episodes in a format that other programs read."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import runner
from runner.bridges.harbor_export import ENVIRONMENT, VERIFIER, export_task
from runner.cli.exit_codes import INFRASTRUCTURE, OK
from runner.cli.options import ExportOptions, Format
from runner.cli.words import counted
from runner.export.atif import trajectory
from runner.export.inspect_log import log_bytes, log_name
from runner.export.parquet import NAME as PARQUET
from runner.export.parquet import parquet_bytes
from runner.export.rollouts import NAME as ROLLOUTS
from runner.export.rollouts import rollout
from runner.faults import Fault, UsageFault
from runner.job.setup import load_task
from runner.records.run import JobConfig, Run
from runner.report.escape import shown
from runner.settings import Settings
from runner.store.files import guard_writing, write_file
from runner.store.jobs import StoredJob, find_job, find_transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a run's trajectory.

    Attributes:
        run: its number.
        path: of the file; empty where it could not be written.
        error: why not; hostile text.
    """

    run: int
    path: str = ""
    error: str = ""


def export(settings: Settings, options: ExportOptions) -> int:
    """Write the trajectories, the table of the runs or the log, and say where; returns the exit status.

    One of several that cannot be written is said, and does not keep the others from it.

    Raises:
        UsageFault: there is no such job, run or format, or one file is to hold several runs.
        StoreFault: a file cannot be written.
    """
    check_fits(options)
    if options.format is Format.HARBOR:
        return _export_task(settings, options)
    job = find_job(settings, options.job)
    if options.format is Format.ROLLOUTS:
        return _export_rollouts(job, options)
    if options.format is not Format.ATIF:
        return _export_whole(job, options)
    numbers = sorted(job.transcripts) if options.run is None else [options.run]
    written = [_export(job, number, options, several=len(numbers) > 1) for number in numbers]
    if options.json:
        print(json.dumps([asdict(entry) for entry in written], ensure_ascii=True))
    else:
        print("\n".join(map(_words, written)) if written else f"job {job.name} has no transcript to write")
    return INFRASTRUCTURE if any(entry.error for entry in written) else OK


def check_fits(options: ExportOptions) -> None:
    """Refuse a flag that says nothing about this format.

    Raises:
        UsageFault: one was given.
    """
    is_task = options.format is Format.HARBOR
    for name, fits in (("run", not is_task), ("scale", is_task)):
        if name in options.given and not fits:
            raise UsageFault(cause=f"--{name} has no meaning for --format {options.format}", hint="leave it out")


def _export_task(settings: Settings, options: ExportOptions) -> int:
    """A task as a folder of Harbor's, and how it is played.

    Raises:
        UsageFault: the task or the folder cannot be used.
    """
    task = load_task(settings, str(options.job))
    folder = options.to or Path(f"{task.name}-harbor")
    files = export_task(task, options.scale, folder)
    command = f"harbor run -p {shlex.quote(str(folder))} --env {ENVIRONMENT} --verifier {VERIFIER} --agent oracle"
    if options.json:
        print(json.dumps({"folder": str(folder), "files": files, "next": [command]}))
    else:
        print(f"{len(files)} files: {folder}\nNext: {command}")
    return OK


def _export_whole(job: StoredJob, options: ExportOptions) -> int:
    """One file for all runs that were asked for: a table, or a log.

    Raises:
        UsageFault: it has no runs, or not this one, or pyarrow is missing.
        StoreFault: the file cannot be written.
    """
    runs = [run for number, run in sorted(job.runs.items()) if options.run in (None, number)]
    if not runs or job.config is None:
        raise UsageFault(
            cause=f"job {job.name} has no run{_numbered(options)} with an outcome", hint="`show` lists its runs"
        )
    is_table = options.format is Format.PARQUET
    name = PARQUET if is_table else log_name(job.config)
    path = options.to or job.folder / name
    path = path if path.suffix == Path(name).suffix else _in_folder(path, name)
    content = parquet_bytes(job.config, runs) if is_table else _log_bytes(job, job.config, runs)
    guard_writing(path, lambda: path.parent.mkdir(parents=True, exist_ok=True))
    write_file(path, content)
    print(
        json.dumps({"path": str(path), "runs": len(runs)}) if options.json else f"{counted(len(runs), 'run')}: {path}"
    )
    for number, why in job.unread.items():
        print(f"run {number} is left out: {shown(why)}", file=sys.stderr)
    return INFRASTRUCTURE if job.unread else OK


def _log_bytes(job: StoredJob, config: JobConfig, runs: list[Run]) -> bytes:
    with_transcripts = (
        (run, find_transcript(job, run.number) if run.number in job.transcripts else None) for run in runs
    )
    return log_bytes(config, with_transcripts, _version(job))


def _version(job: StoredJob) -> str:
    """Of the runner that played it."""
    return str(job.lock.get("runner") or runner.__version__)


def _export_rollouts(job: StoredJob, options: ExportOptions) -> int:
    """One file with a line for each episode.

    Raises:
        UsageFault: it has no transcripts, or not this one.
        StoreFault: the file cannot be written.
    """
    numbers = [number for number in sorted(job.transcripts) if options.run in (None, number)]
    if not numbers:
        raise UsageFault(
            cause=f"job {job.name} has no transcript of run{_numbered(options) or 's'}", hint="`show` lists its runs"
        )
    path = options.to or job.folder / ROLLOUTS
    path = path if path.suffix == ".jsonl" else _in_folder(path, ROLLOUTS)
    lines, errors = [], {}
    for number in numbers:
        try:
            lines.append(json.dumps(_rollout_of(job, number), ensure_ascii=False, allow_nan=False) + "\n")
        except Fault:
            raise
        except Exception as error:  # boundary: a guest chose what is in it; the others are to be written
            errors[number] = type(error).__name__
    guard_writing(path, lambda: path.parent.mkdir(parents=True, exist_ok=True))
    write_file(path, "".join(lines))
    print(
        json.dumps({"path": str(path), "runs": len(lines)})
        if options.json
        else f"{counted(len(lines), 'episode')}: {path}"
    )
    for number, why in errors.items():
        print(f"run {number} is left out: {why}", file=sys.stderr)
    return INFRASTRUCTURE if errors else OK


def _rollout_of(job: StoredJob, number: int) -> dict[str, Any]:
    return rollout(find_transcript(job, number), f"{job.name}/run_{number}", _version(job), job.runs.get(number))


def _words(entry: Written) -> str:
    return f"run {entry.run}: {entry.path or 'cannot be exported: ' + shown(entry.error)}"


def _export(job: StoredJob, number: int, options: ExportOptions, *, several: bool) -> Written:
    """Write one, if that can be done.

    Raises:
        UsageFault: it left no transcript, or one file is to hold several.
        StoreFault: the file cannot be written.
    """
    if number in job.unread:
        return Written(run=number, error=job.unread[number])
    try:
        document = document_of(job, number)
        path = _where(job, number, options, several=several)
        _write(path, document)
    except Fault:
        raise
    except Exception as error:  # boundary: a guest chose what is in it; the other runs are to be written all the same
        return Written(run=number, error=type(error).__name__)
    return Written(run=number, path=str(path))


def document_of(job: StoredJob, number: int) -> dict[str, Any]:
    """The ATIF document of a run.

    Raises:
        UsageFault: it left no transcript.
    """
    return trajectory(find_transcript(job, number), f"{job.name}/run_{number}", _version(job), job.runs.get(number))


def _where(job: StoredJob, number: int, options: ExportOptions, *, several: bool) -> Path:
    if options.to is None:
        return job.transcripts[number].with_name(f"trajectory.{options.format}.json")
    if options.to.suffix != ".json":
        return _in_folder(options.to, f"{job.name}_run_{number}.{options.format}.json")
    if several:
        raise UsageFault(
            cause=f"--output {options.to} is one file, and the job has several runs",
            hint="name a folder, or choose one with --run",
        )
    return options.to


def _in_folder(folder: Path, name: str) -> Path:
    """Where a file of the format's own name goes.

    Raises:
        UsageFault: what was named is a file of another kind.
    """
    if folder.is_file():
        ending = Path(name).suffix
        raise UsageFault(
            cause=f"--output {folder} is a file, and its name does not end in {ending}",
            hint=f"name a folder, or a {ending} file",
        )
    return folder / name


def _write(path: Path, document: Mapping[str, Any]) -> None:
    guard_writing(path, lambda: path.parent.mkdir(parents=True, exist_ok=True))
    write_file(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _numbered(options: ExportOptions) -> str:
    """The number of the run that was asked for, after a space; empty where all were."""
    return "" if options.run is None else f" {options.run}"
