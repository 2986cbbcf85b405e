"""Progress on stderr: one moving line on a terminal, plain lines elsewhere, nothing with --quiet."""

import sys
import threading
import time
from types import TracebackType

from rich.console import Console
from rich.status import Status

from runner.report.safe import shown


class Progress:
    """Shows the step that runs; also a context manager that clears its line."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet, self._lock = quiet, threading.Lock()
        self._console = Console(file=sys.stderr, highlight=False, markup=False)
        self._status: Status | None = None
        self._started = time.monotonic()

    def __enter__(self) -> "Progress":
        if not self._quiet and self._console.is_terminal:
            self._status = Status("", console=self._console)
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, step: str) -> None:
        """Show a step."""
        if self._quiet:
            return
        seconds = time.monotonic() - self._started
        line = f"[{int(seconds) // 60:02d}:{int(seconds) % 60:02d}] {shown(step)}"
        with self._lock:
            if self._status is not None:
                self._status.update(line.replace("[", r"\["))
            else:
                print(line, file=sys.stderr, flush=True)
