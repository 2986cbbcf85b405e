"""The live panel: a row for each run, and what the job does. Pure: a function of the events so far and of the time.

The rows have text in them that a model made up (a tool's name, a command); it passes through `shown` first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from runner.records.episode import ToolCall
from runner.records.events import BudgetEvent, EndEvent, Event, RequestEvent, StartEvent, ToolResultEvent, TurnEvent
from runner.records.grading import GradingPhase, GradingStep
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


TOOL_TEXT_MAX = 60  # chosen: the beginning of a command on a panel's line
# Lines of the panel that are not rows: the heading, the rows left out, the footer, and one that stays free.
LINES_AROUND = 5
ORDER = (Phase.WORKING, Phase.STARTING, Phase.OVER, Phase.FINAL, Phase.WAITING)


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one run.

    Attributes:
        turn: the last that began; 0 before the first.
        pending: its calls that have no result yet, in short.
        tool: the last call, in short.
        dollars: what its model has cost, US dollars.
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
class GradingState:
    """A grading that goes on; the sandboxes of episodes are frozen meanwhile.

    Attributes:
        phase: what it does.
        round_number: from 1; 0 before the first.
        rounds_started_s: when its first round began, on the host's clock.
    """

    phase: GradingPhase
    round_number: int = 0
    rounds_started_s: float = 0.0

    def next(self, step: GradingStep, now_s: float) -> "GradingState":
        """The state after a step of it."""
        first = step.round_number > 0 and self.round_number == 0
        return GradingState(
            step.phase,
            step.round_number or self.round_number,
            now_s if first else self.rounds_started_s,
        )

    def remaining_s(self, rounds_max: int | None, now_s: float) -> float | None:
        """The most that it will still take, by the mean of the rounds that are over; None before the first is."""
        over = self.round_number - 1
        if over < 1 or rounds_max is None or rounds_max < self.round_number:
            return None
        mean_s = (now_s - self.rounds_started_s) / over  # the one under way is counted: too long rather than too short
        return mean_s * (rounds_max - over)


@dataclass(frozen=True, slots=True)
class DashboardState:
    """The job at one moment.

    Attributes:
        grading: the submissions that are being graded; None while there are none.
        step: what was reported last.
        started_s, now_s: on the host's clock.
    """

    config: JobConfig
    rows: Sequence[Row]
    grading: GradingState | None
    step: str
    started_s: float
    now_s: float


def render(dashboard: DashboardState, lines_max: int) -> RenderableType:
    """The panel on at most this many lines."""
    rows, hidden = _fitting(dashboard.rows, max(0, lines_max - LINES_AROUND))
    parts: list[RenderableType] = []
    if rows:
        parts.append(_table(dashboard, rows))
    if rows and hidden:
        parts.append(Text(f"... and {hidden} more", style="dim"))
    clock = format_clock(dashboard.now_s - dashboard.started_s)
    return Group(*parts, _line(summary(dashboard), "bold"), _line(f"[{clock}] {_step_text(dashboard)}"))


def _step_text(dashboard: DashboardState) -> str:
    """What was reported last; in a grading with the most rounds that it may take."""
    grading = dashboard.grading
    rounds_max = dashboard.config.grading.rounds_max
    if grading is None or grading.round_number == 0 or rounds_max is None:
        return dashboard.step
    return f"{dashboard.step} (at most {rounds_max} rounds)"


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _fitting(rows: Sequence[Row], count_max: int) -> tuple[Sequence[Row], int]:
    """(what fits, how many do not): in order where all fit, else those first where something happens."""
    if len(rows) <= count_max:
        return rows, 0
    first = sorted(rows, key=lambda row: (ORDER.index(row.phase), row.number))
    return first[:count_max], len(rows) - count_max


def _table(dashboard: DashboardState, rows: Sequence[Row]) -> Table:
    """The last tool's column alone may wrap, so that it gives way; its cells cut themselves off instead."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("run", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("turn", justify="right", no_wrap=True)
    table.add_column(_line("last tool"))
    table.add_column("spent", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(dashboard, row))
    return table


def _cells(dashboard: DashboardState, row: Row) -> Iterator[Text]:
    turns = dashboard.config.limits.turns
    yield Text(str(row.number))
    yield Text(*state(row, grading=dashboard.grading is not None))
    yield Text("" if row.turn == 0 else f"{row.turn}" if turns is None else f"{row.turn}/{turns}")
    yield _line(row.tool)
    yield Text(f"${row.dollars:.2f}")
    yield Text("" if row.started_s is None else format_clock((row.ended_s or dashboard.now_s) - row.started_s))


def state(row: Row, *, grading: bool) -> tuple[str, str]:
    """(what a run does now, how that is coloured)."""
    match row.phase:
        case Phase.FINAL:
            return row.outcome, row.style
        case Phase.OVER:
            return ("grading", "cyan") if grading else ("to be graded", "")
        case Phase.WORKING if row.pending:
            return ("frozen", "cyan") if grading else (f"running {row.pending[0].split(' ')[0]}", "")
        case Phase.WORKING:
            return "thinking", ""
        case other:
            return other.value, "dim"


def summary(dashboard: DashboardState) -> str:
    """The job in one line: runs that are done, episodes that are over, submissions that wait, dollars, time left."""
    done = sum(row.phase is Phase.FINAL for row in dashboard.rows)
    over = sum(row.phase in (Phase.OVER, Phase.FINAL) for row in dashboard.rows)
    waiting = sum(row.phase is Phase.OVER for row in dashboard.rows)
    cap = dashboard.config.dollars_max
    spent = f"${sum(row.dollars for row in dashboard.rows):.2f}" + ("" if cap is None else f" of ${cap:.2f}")
    runs = len(dashboard.rows)
    return f"runs done {done}/{runs}, episodes {over}/{runs}, waiting {waiting}, spent {spent}, {_time_left(dashboard)}"


def _time_left(dashboard: DashboardState) -> str:
    """Of the episodes while some go on, then of the grading."""
    seconds = remaining_s(dashboard)
    if seconds is not None and any(row.ended_s is None for row in dashboard.rows):
        return f"ETA {format_clock(seconds)}"
    if dashboard.grading is not None:
        seconds = dashboard.grading.remaining_s(dashboard.config.grading.rounds_max, dashboard.now_s)
        return "ETA -" if seconds is None else f"ETA at most {format_clock(seconds)}"
    return "ETA -" if seconds is None else f"ETA {format_clock(seconds)}"


def remaining_s(dashboard: DashboardState) -> float | None:
    """A guess of the seconds until the last episode is over, from the mean of those that are; None before the first."""
    begun = [(row.started_s, row.ended_s) for row in dashboard.rows if row.started_s is not None]
    durations_s = [ended_s - started_s for started_s, ended_s in begun if ended_s is not None]
    if not durations_s:
        return None
    mean_s = sum(durations_s) / len(durations_s)
    going = [dashboard.now_s - started_s for started_s, ended_s in begun if ended_s is None]
    to_come = sum(row.phase is Phase.WAITING for row in dashboard.rows)
    work_s = mean_s * to_come + sum(max(0.0, mean_s - so_far_s) for so_far_s in going)
    return work_s / max(1, min(dashboard.config.concurrency, to_come + len(going)))


def format_clock(seconds: float) -> str:
    """As a clock shows it: 02:13, or 1:02:13."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60:02d}:{rest % 60:02d}"
