"""`python -m runner show JOB [RUN]`: read a job, or one of its episodes, in the terminal."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from runner.cli.exit_codes import OK
from runner.faults import UsageFault
from runner.report.episode_view import LINES, Row, episode_lines, job_lines, row_of, row_so_far, verdict_lines
from runner.settings import Settings
from runner.store.jobs import Found, find_job, find_transcript
from runner.store.transcript import read_transcript


@dataclass(frozen=True, slots=True)
class ShowOptions:
    """The flags of `show`.

    Attributes:
        job: a job's folder, or its name under the output folder.
        run: its number; None: the whole job.
        lines: of an output that are shown.
        full: show them all.
        pager: use one where stdout is a terminal.
    """

    job: Path
    run: int | None = None
    lines: int = LINES
    full: bool = False
    pager: bool = True
    json: bool = False


def show(settings: Settings, options: ShowOptions) -> int:
    """Print it; returns the exit status.

    Raises:
        UsageFault: there is no such job or run, or a flag is wrong.
    """
    if options.lines < 1:
        raise UsageFault(cause=f"--lines {options.lines}", hint="show at least one line, or --full for all")
    found = find_job(settings, options.job)
    if options.run is None:
        _show_job(found, options)
    else:
        _show_run(found, options, options.run)
    return OK


# A job


def _show_job(found: Found, options: ShowOptions) -> None:
    rows = [_row(found, number) for number in sorted(found.runs.keys() | found.transcripts.keys())]
    if options.json:
        said = {"job": found.job, "totals": found.totals, "cache_hit_rate": _hit_rate(found)}
        _print_json({**said, "runs": [asdict(row) for row in rows]})
        return
    _print(job_lines(found.name, found.job, found.totals, rows, _hit_rate(found)), options)


def _row(found: Found, number: int) -> Row:
    if number in found.runs:
        return row_of(found.runs[number])
    return row_so_far(number, read_transcript(found.transcripts[number]))


def _hit_rate(found: Found) -> float | None:
    """Share of the sent tokens of all episodes that came from the cache; None where nothing was sent."""
    usages = [(run.get("episode") or {}).get("usage") or {} for run in found.runs.values()]
    read = sum(usage.get("cache_read", 0) for usage in usages)
    sent = read + sum(usage.get("input", 0) + usage.get("cache_write", 0) for usage in usages)
    return read / sent if sent else None


# A run


def _show_run(found: Found, options: ShowOptions, number: int) -> None:
    transcript = find_transcript(found, number)
    if options.json:
        _print_json([event.raw for event in transcript.events])
        return

    def lines() -> Iterator[Text]:
        yield from episode_lines(transcript, None if options.full else options.lines)
        if number in found.runs:
            yield from verdict_lines(found.runs[number])

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
