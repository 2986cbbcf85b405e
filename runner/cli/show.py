"""`python -m runner show JOB [RUN]`: read a job, or one of its episodes, in the terminal."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from runner.cli.exit_codes import OK
from runner.cli.options import ShowOptions
from runner.records.episode import Usage
from runner.report.episode_view import episode_lines, job_lines, summary_in
from runner.report.escape import shown
from runner.report.run_view import run_lines
from runner.settings import Settings
from runner.store.jobs import StoredJob, find_job, find_transcript


def show(settings: Settings, options: ShowOptions) -> int:
    """Print it; returns the exit status.

    Raises:
        UsageFault: there is no such job or run, or a flag is wrong.
    """
    job = find_job(settings, options.job)
    if options.run is None:
        _show_job(job, options)
    else:
        _show_run(job, options, options.run)
    return OK


# A job


def _show_job(job: StoredJob, options: ShowOptions) -> None:
    rows = [summary_in(job, number) for number in sorted(job.runs.keys() | job.transcripts.keys())]
    hit_rate = _hit_rate(job)
    if options.json:
        content = {
            "job": asdict(job.config) if job.config else {},
            "totals": asdict(job.totals) if job.totals else {},
            "cache_hit_rate": hit_rate,
            "runs": [asdict(row) for row in rows],
        }
        _print_json(content)
        return
    lines = [*job_lines(job.name, job.config, job.totals, rows, hit_rate)]
    lines += [Text(shown(f"run {number} cannot be read: {why}"), "yellow") for number, why in job.unread.items()]
    _print(iter(lines), options)


def _hit_rate(job: StoredJob) -> float | None:
    """Share of the sent tokens of all episodes that came from the cache; None where nothing was sent."""
    usages = [run.episode.usage for run in job.runs.values() if run.episode is not None]
    return sum(usages, Usage()).cache_hit_rate


# A run


def _show_run(job: StoredJob, options: ShowOptions, number: int) -> None:
    transcript = find_transcript(job, number)
    if options.json:
        _print_json([entry.raw for entry in transcript.entries])
        return

    def lines() -> Iterator[Text]:
        yield from episode_lines(transcript, None if options.full else options.lines)
        if number in job.runs:
            yield Text()
            yield from run_lines(job.runs[number], snapshots=any(s.outcome for s in job.runs[number].snapshots))

    _print(lines(), options)


# Where it goes


def _print_json(content: Any) -> None:
    print(json.dumps(content, ensure_ascii=True))


def _print(lines: Iterator[Text], options: ShowOptions) -> None:
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    with _paged(console, wanted=options.pager):
        for line in lines:
            console.print(line, soft_wrap=True)


def _paged(console: Console, *, wanted: bool) -> contextlib.AbstractContextManager[object]:
    if not wanted or not sys.stdout.isatty() or console.is_dumb_terminal:
        return contextlib.nullcontext()
    os.environ.setdefault("LESS", "-RFX")  # for the pager itself: `less` shows colours only so
    return console.pager(styles=True)
