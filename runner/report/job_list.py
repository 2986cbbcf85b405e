"""A folder's jobs as a table: date, task, agent, runs, pass rate, cost. Hostile text is escaped here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.records.outcome import OutcomeKind, properties
from runner.report.escape import shown
from runner.store.jobs import StoredJob

CELL_MAX = 40  # chosen: columns of a name
HEAD = ("date", "job", "task", "agent", "runs", "pass rate", "cost")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job in a list.

    Attributes:
        job: the name of its folder.
        started: date and time, ISO 8601, UTC; empty where it was not recorded.
        task, scale, agent, model: what was asked for.
        runs, asked: with an outcome, and asked for.
        passed, counted: the pass rate is passed / counted.
        dollars: what the model cost, US dollars; None where that was not recorded.
        unread: why it, or some of its runs, cannot be read; empty where all can.
    """

    job: str
    started: str = ""
    task: str = ""
    scale: str = ""
    agent: str = ""
    model: str = ""
    runs: int = 0
    asked: int = 0
    passed: int = 0
    counted: int = 0
    dollars: float | None = None
    unread: str = ""


def row_of(job: StoredJob, lost: str = "") -> JobRow:
    """The row of a job.

    Args:
        lost: what of it could not be read; empty where nothing was.
    """
    counted = [run for run in job.runs.values() if properties(run.outcome).counts]
    config = job.config
    return JobRow(
        job=job.folder.resolve().name,
        started=config.started if config else "",
        task=config.task if config else "",
        scale=config.scale if config else "",
        agent=config.agent if config else "",
        model=config.model if config else "",
        runs=len(job.runs),
        asked=config.runs if config else 0,
        passed=sum(run.outcome.kind is OutcomeKind.PASSED for run in counted),
        counted=len(counted),
        dollars=job.totals.dollars if job.totals else None,
        unread="; ".join([*([lost] if lost else []), *(f"run {number}: {why}" for number, why in job.unread.items())]),
    )


def unread_row(job: str, why: str) -> JobRow:
    """The row of a job that cannot be read."""
    return JobRow(job=job, unread=why)


def job_list_lines(rows: Sequence[JobRow]) -> Iterator[str]:
    """The table, and below it what cannot be read."""
    cells = [HEAD, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
    for row in cells:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    yield from (f"Cannot be read: {shown(row.job)}: {shown(row.unread)}" for row in rows if row.unread)


def _cells(row: JobRow) -> tuple[str, ...]:
    agent = f"{row.agent} {row.model}".strip()
    rate = "-" if not row.counted else f"{row.passed}/{row.counted} {100 * row.passed / row.counted:.0f} %"
    return (
        shown(row.started[:16].replace("T", " ")) or "-",
        shown(row.job, CELL_MAX),
        shown(f"{row.task} {row.scale}".strip() or "-", CELL_MAX),
        shown(agent or "-", CELL_MAX),
        f"{row.runs} of {row.asked}",
        rate,
        "-" if row.dollars is None else f"${row.dollars:.2f}",
    )
