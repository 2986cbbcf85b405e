"""`python -m runner list [FOLDER]`: the jobs of a folder, a line each."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from runner.cli.exit_codes import OK
from runner.cli.options import ListOptions
from runner.faults import UsageFault
from runner.report.job_list import JobRow, job_list_lines, row_of, unread_row
from runner.settings import Settings
from runner.store.jobs import find_what_is_left

# What makes a folder that of a job.
OF_A_JOB = ("results.json", "job.json")


def list_jobs(settings: Settings, options: ListOptions) -> int:
    """Print the jobs, the newest last; returns the exit status.

    Raises:
        UsageFault: there is no such folder.
    """
    folder = options.folder or settings.output
    if not folder.is_dir():
        raise UsageFault(cause=f"{folder} is not a folder", hint="name one that holds the folders of jobs")
    rows = _sorted(_rows(settings, folder))
    if options.json:
        print(json.dumps([asdict(row) for row in rows], ensure_ascii=True))
    else:
        print("\n".join(job_list_lines(rows) if rows else [f"{folder} holds no job"]))
    return OK


def _rows(settings: Settings, folder: Path) -> Iterator[JobRow]:
    """One for each job; `latest` and its like point at one that is there anyway."""
    for path in folder.iterdir():
        if path.is_symlink() or not any((path / name).is_file() for name in OF_A_JOB):
            continue
        try:
            yield row_of(*find_what_is_left(settings, path))
        except UsageFault as fault:
            yield unread_row(path.name, fault.cause)


def _sorted(rows: Iterator[JobRow]) -> Sequence[JobRow]:
    return sorted(rows, key=lambda row: (row.started, row.job))
