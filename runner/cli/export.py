"""`python -m runner export JOB`: its episodes in a format that other programs read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import runner
from runner.cli.exit_codes import INFRASTRUCTURE, OK
from runner.cli.options import ExportOptions
from runner.export.atif import trajectory
from runner.faults import Fault, UsageFault
from runner.report.escape import shown
from runner.settings import Settings
from runner.store.files import guard_writing, write_file
from runner.store.jobs import StoredJob, find_job, find_transcript


def export(settings: Settings, options: ExportOptions) -> int:
    """Write the trajectories, and say where; returns the exit status.

    One of several that cannot be written is said, and does not keep the others from it.

    Raises:
        UsageFault: there is no such job, run or format, or one file is to hold several runs.
        StoreFault: a file cannot be written.
    """
    job = find_job(settings, options.job)
    numbers = sorted(job.transcripts) if options.run is None else [options.run]
    failed = [number for number in numbers if not _export(job, number, options, several=len(numbers) > 1)]
    if not numbers:
        print(f"job {job.name} has no transcript to write")
    return INFRASTRUCTURE if failed else OK


def _export(job: StoredJob, number: int, options: ExportOptions, *, several: bool) -> bool:
    """Whether it could be written.

    Raises:
        UsageFault: it left no transcript, or one file is to hold several.
        StoreFault: the file cannot be written.
    """
    if number in job.unread:
        print(f"run {number}: cannot be exported: {shown(job.unread[number])}")
        return False
    try:
        document = document_of(job, number)
        path = _where(job, number, options, several=several)
        _write(path, document)
    except Fault:
        raise
    except Exception as error:  # boundary: a guest chose what is in it; the other runs are to be written all the same
        print(f"run {number}: cannot be exported ({type(error).__name__})")
        return False
    print(f"run {number}: {path}")
    return True


def document_of(job: StoredJob, number: int) -> dict[str, Any]:
    """The ATIF document of a run.

    Raises:
        UsageFault: it left no transcript.
    """
    version = str(job.lock.get("runner") or runner.__version__)
    return trajectory(find_transcript(job, number), f"{job.name}/run_{number}", version, job.runs.get(number))


def _where(job: StoredJob, number: int, options: ExportOptions, *, several: bool) -> Path:
    if options.to is None:
        return job.transcripts[number].with_name(f"trajectory.{options.format}.json")
    if options.to.suffix != ".json":
        return options.to / f"{job.name}_run_{number}.{options.format}.json"
    if several:
        raise UsageFault(
            cause=f"--output {options.to} is one file, and the job has several runs",
            hint="name a folder, or choose one with --run",
        )
    return options.to


def _write(path: Path, document: Mapping[str, Any]) -> None:
    guard_writing(path, lambda: path.parent.mkdir(parents=True, exist_ok=True))
    write_file(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
