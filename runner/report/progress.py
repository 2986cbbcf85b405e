"""Progress on stderr: a live panel (or one line) on a terminal, sparse plain lines elsewhere, nothing with --quiet.

A plain line is written when an episode is over, when a run's outcome is final, when a grading goes on to another phase or
round, for notes, and where nothing else was written for `PLAIN_PERIOD_S`, what the panel's footer says.
"""

import sys
import threading
import time
from types import TracebackType

from rich.console import RenderableType
from rich.text import Text

from runner.records.events import EndEvent, Event, NoteEvent
from runner.records.grading import GradingPhase, GradingStep
from runner.records.run import JobConfig, Run
from runner.report.escape import shown
from runner.report.live import (
    DashboardState,
    GradingState,
    Row,
    apply_event,
    apply_outcome,
    format_clock,
    render,
    summary,
)
from runner.report.screen import Screen, is_drawable_terminal

PLAIN_PERIOD_S = 60.0  # chosen: often enough to see that a job is alive, some lines an hour


class Progress:
    """Shows the present step, and with `job` what each run does; also a context manager that clears what it drew.

    Any thread may call it, and none waits for the terminal: a thread of the screen's own draws.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet, self._lock = quiet, threading.Lock()
        self._screen: Screen | None = None
        self._out = sys.stderr  # also while an agent's library has put something else in its place
        self._started = time.monotonic()
        self._step = ""
        self._written = self._started  # when the last plain line was
        self._config: JobConfig | None = None
        self._rows: dict[int, Row] = {}
        self._grading: GradingState | None = None

    def __enter__(self) -> "Progress":
        if not self._quiet and is_drawable_terminal():
            self._screen = Screen(self._view)
            self._screen.open()
            self._out = sys.stderr
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen is not None:
            self._screen.close()

    def job(self, config: JobConfig) -> None:
        """From now on there is a row for each run of a job."""
        with self._lock:
            self._config = config
            self._rows = {number: Row(number) for number in range(1, config.runs + 1)}

    def event(self, number: int, event: Event) -> None:
        """An event of a run's transcript."""
        with self._lock:
            row = self._rows.get(number, Row(number))
            self._rows[number] = apply_event(row, event, time.monotonic())
        match event:
            case NoteEvent():
                self.say(f"run {number}: {event.text}")
            case EndEvent() if self._screen is None:
                self.say(f"run {number}: episode over ({event.ending}, {event.turns} turns, ${event.dollars:.2f})")
            case _:
                self._say_summary()

    def finished(self, run: Run) -> None:
        """A run's outcome is final."""
        with self._lock:
            row = self._rows.get(run.number, Row(run.number))
            self._rows[run.number] = apply_outcome(row, run, time.monotonic())
            if not any(row.phase == "over" for row in self._rows.values()):
                self._grading = None
        self.say(f"run {run.number}: {run.outcome.kind}")

    def grading(self, step: GradingStep) -> None:
        """Show a step of a grading; as a plain line only one that begins a phase outside of the rounds, or a round."""
        with self._lock:
            before = self._grading
            if step.phase is GradingPhase.WAITING:
                self._grading = None
            elif step.phase not in (GradingPhase.NOTE, GradingPhase.REPEATED):
                self._grading = (before or GradingState(step.phase)).next(step, time.monotonic())
            self._step = shown(step.text)
        if self._screen is None and _is_news(step, before):
            self.say(step.text)

    def say(self, step: str) -> None:
        """Show a step."""
        if self._quiet:
            return
        with self._lock:
            self._step = shown(step)
            if self._screen is None:
                self._write(self._step)

    def _say_summary(self) -> None:
        """What the panel's footer says, where there is no panel, and nothing else was written for a while."""
        now_s = time.monotonic()
        with self._lock:
            if self._quiet or self._screen is not None or self._config is None:
                return
            if now_s - self._written >= PLAIN_PERIOD_S:
                self._write(summary(self._dashboard(self._config, now_s)))

    def _write(self, line: str) -> None:
        """A plain line; the lock is held."""
        self._written = time.monotonic()
        print(f"[{format_clock(self._written - self._started)}] {line}", file=self._out, flush=True)

    def _view(self, lines_max: int) -> RenderableType:
        now_s = time.monotonic()
        with self._lock:
            if self._config is None:
                line = f"[{format_clock(now_s - self._started)}] {self._step}"
                return Text(line, no_wrap=True, overflow="ellipsis")
            dashboard = self._dashboard(self._config, now_s)
        return render(dashboard, lines_max)

    def _dashboard(self, config: JobConfig, now_s: float) -> DashboardState:
        """The job now; the lock is held."""
        rows = tuple(self._rows.values())
        return DashboardState(config, rows, self._grading, self._step, self._started, now_s)


def _is_news(step: GradingStep, before: GradingState | None) -> bool:
    """Whether a plain line says it: a phase outside of the rounds, or the beginning of a round."""
    if step.round_number == 0:
        return step.phase is not GradingPhase.REPEATED
    return before is None or step.round_number != before.round_number
