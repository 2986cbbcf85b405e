"""Progress on stderr: a table of the runs (or one line) on a terminal, plain lines elsewhere, nothing with --quiet."""

import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType

from rich.console import RenderableType
from rich.text import Text

from runner.records.events import EndEvent, Event, NoteEvent, StartEvent, ToolResultEvent, TurnEvent
from runner.records.run import JobConfig, Run
from runner.report.escape import shown
from runner.report.live import DashboardState, Row, apply_event, apply_outcome, minutes, view
from runner.report.screen import Screen, can_draw

# What is said while the measuring slot is somebody else's: nothing stands frozen yet.
NOT_YET = "waiting for"


class Progress:
    """Shows the step that runs, and with `job` what each run does; also a context manager that clears what it drew.

    Any thread may call it. Nobody waits for the terminal there: a thread of the screen's own draws.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet, self._lock = quiet, threading.Lock()
        self._screen: Screen | None = None
        self._started = time.monotonic()
        self._step = ""
        self._config: JobConfig | None = None
        self._rows: dict[int, Row] = {}
        self._measuring = False

    def __enter__(self) -> "Progress":
        if not self._quiet and can_draw():
            self._screen = Screen(self._view)
            self._screen.open()
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
        if isinstance(event, NoteEvent) or self._screen is None or self._config is None:
            for line in _lines(number, event):
                self.say(line)

    def finished(self, run: Run) -> None:
        """A run's outcome is final."""
        with self._lock:
            row = self._rows.get(run.number, Row(run.number))
            self._rows[run.number] = apply_outcome(row, run, time.monotonic())
            self._measuring = self._measuring and any(row.phase == "over" for row in self._rows.values())
        self.say(f"run {run.number}: {run.outcome.kind}")

    def measuring(self, step: str) -> None:
        """Show a step of a grading."""
        with self._lock:
            self._measuring = not step.startswith(NOT_YET)
        self.say(step)

    def say(self, step: str) -> None:
        """Show a step."""
        if self._quiet:
            return
        with self._lock:
            self._step = shown(step)
            if self._screen is None:
                print(f"[{minutes(time.monotonic() - self._started)}] {self._step}", file=sys.stderr, flush=True)

    def _view(self, lines_max: int) -> RenderableType:
        now_s = time.monotonic()
        with self._lock:
            if self._config is None:
                line = f"[{minutes(now_s - self._started)}] {self._step}"
                return Text(line, no_wrap=True, overflow="ellipsis")
            rows = tuple(self._rows.values())
            scene = DashboardState(self._config, rows, self._measuring, self._step, self._started, now_s)
        return view(scene, lines_max)


def _lines(number: int, event: Event) -> Iterator[str]:
    """An event in words."""
    match event:
        case StartEvent():
            yield f"run {number}: episode starts"
        case TurnEvent():
            tools = ", ".join(call.tool for call in event.calls) or "no tool"
            yield f"run {number}: turn {event.turn}: {tools}"
        case ToolResultEvent():
            yield f"run {number}: answered in {event.seconds:.2f} s"
        case EndEvent():
            yield f"run {number}: episode over ({event.ending})"
        case NoteEvent():
            yield f"run {number}: {event.text}"
