"""The live view: a row for each run, and what the job does; a pure function of the events that were heard.

What a model made up (a tool's name, a command) stands in the rows; it passes through `shown` when it is heard.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from runner.records.episode import ToolCall
from runner.records.events import BudgetEvent, EndEvent, Event, RequestEvent, StartEvent, ToolResultEvent, TurnEvent
from runner.records.outcome import PROPERTIES
from runner.records.run import JobConfig, Run
from runner.report.escape import shown


class Phase(StrEnum):
    """How far a run is; what has not ended says so in this word."""

    WAITING = "waiting"
    STARTING = "starting"
    WORKING = "working"
    OVER = "over"
    FINAL = "final"


TOOL_TEXT_MAX = 60
# Lines of the view that are no rows: the heading, the rows left out, the footer, and one that stays free.
LINES_AROUND = 5
ORDER = (Phase.WORKING, Phase.STARTING, Phase.OVER, Phase.FINAL, Phase.WAITING)


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one run.

    Attributes:
        turn: the last that began; 0 before the first.
        pending: calls of it that have no answer yet, in short.
        tool: the last call, in short.
        dollars: what its model has cost.
        started_s, ended_s: of its episode, on the host's clock.
        outcome: once it is final.
        style: how its state is coloured.
    """

    number: int
    phase: Phase = Phase.WAITING
    turn: int = 0
    pending: tuple[str, ...] = ()
    tool: str = ""
    dollars: float = 0.0
    started_s: float | None = None
    ended_s: float | None = None
    outcome: str = ""
    style: str = ""


def apply_event(row: Row, event: Event, now_s: float) -> Row:
    """The row after an event of its transcript."""
    match event:
        case StartEvent():
            return replace(row, phase=Phase.STARTING, started_s=now_s)
        case RequestEvent():
            return replace(row, phase=Phase.WORKING, pending=(), turn=event.turn)
        case TurnEvent():
            calls = tuple(_summarize(call) for call in event.calls)
            tool = calls[0] if calls else row.tool
            return replace(row, phase=Phase.WORKING, turn=event.turn, pending=calls, tool=tool)
        case ToolResultEvent():
            rest = row.pending[1:]
            return replace(row, pending=rest, tool=rest[0] if rest else row.tool)
        case BudgetEvent():
            return replace(row, pending=(), dollars=event.spent.dollars)
        case EndEvent():
            return replace(row, phase=Phase.OVER, pending=(), ended_s=now_s, dollars=event.dollars)
        case _:
            return row


def apply_outcome(row: Row, run: Run, now_s: float) -> Row:
    """The row once its run's outcome is final."""
    style = PROPERTIES[run.outcome.kind].colour
    dollars = run.episode.dollars if run.episode is not None else row.dollars
    ended_s = now_s if row.ended_s is None else row.ended_s
    outcome = run.outcome.kind.words
    return replace(row, phase=Phase.FINAL, pending=(), outcome=outcome, style=style, dollars=dollars, ended_s=ended_s)


def _summarize(call: ToolCall) -> str:
    """A call on half a line: the tool, and what it is about."""
    about = call.input.get("command") or call.input.get("path") or ""
    return shown(f"{call.tool} {about}".strip(), TOOL_TEXT_MAX)


@dataclass(frozen=True, slots=True)
class DashboardState:
    """The job at one moment.

    Attributes:
        measuring: submissions are graded, and the sandboxes of episodes stand frozen.
        step: what was said last.
        started_s, now_s: on the host's clock.
    """

    config: JobConfig
    rows: Sequence[Row]
    measuring: bool
    step: str
    started_s: float
    now_s: float


def view(scene: DashboardState, lines_max: int) -> RenderableType:
    """The scene on so many lines at the most."""
    rows, hidden = _fitting(scene.rows, max(0, lines_max - LINES_AROUND))
    parts: list[RenderableType] = []
    if rows:
        parts.append(_table(scene, rows))
    if rows and hidden:
        parts.append(Text(f"... and {hidden} more", style="dim"))
    return Group(
        *parts, _line(summary(scene), "bold"), _line(f"[{minutes(scene.now_s - scene.started_s)}] {scene.step}")
    )


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _fitting(rows: Sequence[Row], count_max: int) -> tuple[Sequence[Row], int]:
    """(what fits, how many do not): in order where all fit, else those first where something happens."""
    if len(rows) <= count_max:
        return rows, 0
    first = sorted(rows, key=lambda row: (ORDER.index(row.phase), row.number))
    return first[:count_max], len(rows) - count_max


def _table(scene: DashboardState, rows: Sequence[Row]) -> Table:
    """The last tool's column alone may wrap, so that it gives way; its cells cut themselves off instead."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("run", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("turn", justify="right", no_wrap=True)
    table.add_column(_line("last tool"))
    table.add_column("spent", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(scene, row))
    return table


def _cells(scene: DashboardState, row: Row) -> Iterator[Text]:
    turns = scene.config.limits.turns
    yield Text(str(row.number))
    yield Text(*state(row, measuring=scene.measuring))
    yield Text("" if row.turn == 0 else f"{row.turn}" if turns is None else f"{row.turn}/{turns}")
    yield _line(row.tool)
    yield Text(f"${row.dollars:.2f}")
    yield Text("" if row.started_s is None else minutes((row.ended_s or scene.now_s) - row.started_s))


def state(row: Row, *, measuring: bool) -> tuple[str, str]:
    """(what a run does now, how that is coloured)."""
    match row.phase:
        case Phase.FINAL:
            return row.outcome, row.style
        case Phase.OVER:
            return ("grading", "cyan") if measuring else ("to be graded", "")
        case Phase.WORKING if row.pending:
            return ("frozen", "cyan") if measuring else (f"running {row.pending[0].split(' ')[0]}", "")
        case Phase.WORKING:
            return "thinking", ""
        case other:
            return other.value, "dim"


def summary(scene: DashboardState) -> str:
    """The job in one line: episodes, submissions that wait, dollars, and a guess of when the episodes are over."""
    over = sum(row.phase in (Phase.OVER, Phase.FINAL) for row in scene.rows)
    waiting = sum(row.phase is Phase.OVER for row in scene.rows)
    cap = scene.config.dollars_max
    spent = f"${sum(row.dollars for row in scene.rows):.2f}" + ("" if cap is None else f" of ${cap:.2f}")
    rest_s = left_s(scene)
    eta = "-" if rest_s is None else minutes(rest_s)
    return f"episodes {over}/{len(scene.rows)}, submissions waiting {waiting}, spent {spent}, ETA {eta}"


def left_s(scene: DashboardState) -> float | None:
    """A guess of the seconds until the last episode is over, from the mean of those that are; None before the first."""
    took = [row.ended_s - row.started_s for row in scene.rows if row.ended_s is not None and row.started_s is not None]
    if not took:
        return None
    mean_s = sum(took) / len(took)
    going = [scene.now_s - row.started_s for row in scene.rows if row.started_s is not None and row.ended_s is None]
    to_come = sum(row.phase is Phase.WAITING for row in scene.rows)
    work_s = mean_s * to_come + sum(max(0.0, mean_s - so_far_s) for so_far_s in going)
    return work_s / max(1, min(scene.config.concurrency, to_come + len(going)))


def minutes(seconds: float) -> str:
    """As a clock shows it: 02:13, or 1:02:13."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60:02d}:{rest % 60:02d}"
