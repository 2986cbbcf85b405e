"""What the commands on several jobs share: reading them, and an analysis' summary."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from runner.faults import UsageFault
from runner.report.analysis.analysis import Analysis
from runner.report.analysis.text import summary_lines
from runner.report.escape import shown
from runner.settings import Settings
from runner.store.jobs import StoredJob, find_what_is_left

Done = TypeVar("Done")


def find_jobs(settings: Settings, paths: Sequence[Path]) -> list[tuple[StoredJob, str]]:
    """The jobs, in order, with what of each is lost.

    Raises:
        UsageFault: nothing of any of them can be read.
    """
    return for_each_readable(paths, lambda path: find_what_is_left(settings, path))


def for_each_readable(paths: Sequence[Path], do: Callable[[Path], Done]) -> list[Done]:
    """What was done with each job, in order.

    One of several that cannot be read is said, and does not keep the others from it.

    Raises:
        UsageFault: nothing of any of them can be read.
    """
    done: list[Done] = []
    faults: list[UsageFault] = []
    for path in paths:
        try:
            done.append(do(path))
        except UsageFault as fault:
            faults.append(fault)
    if not done:
        raise faults[0]
    for unread in faults:
        print(f"not read: {shown(unread.cause)}\n  hint: {shown(unread.hint)}", file=sys.stderr)
    return done


def print_summary(folder: Path | None, analysis: Analysis) -> None:
    """The summary, and where the whole is."""
    where = [f"Analysis: {folder / 'analysis.md'}"] if folder is not None else []
    print("\n".join([*summary_lines(analysis), *where]))
