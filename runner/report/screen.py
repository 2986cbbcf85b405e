"""The foot of a terminal, redrawn periodically, under whatever else is written there.

While a screen is open, standard output and error pass through it where they are terminals: for each whole line the drawing
is erased, the line is written as it is, and the drawing comes back at the next tick. The library's own way (redirecting both
into its console) wraps the lines of a report, and sends standard output to the terminal even where it goes to a file.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal, TextIO, cast

from rich.console import Console, RenderableType
from rich.live import Live

PERIOD_S = 0.25  # chosen: four pictures a second look alive and cost nothing


class _Terminal(Console):
    """Standard error."""

    def __init__(self) -> None:
        # Under NO_COLOR the library leaves bold and dim; here nothing but the cursor's moves is not plain then.
        color_system: Literal["auto"] | None = None if Console().no_color else "auto"
        super().__init__(file=sys.stderr, highlight=False, markup=False, color_system=color_system)

    def show_cursor(self, show: bool = True) -> bool:
        """Never hide it: it would stay so when we are killed."""
        return False


def is_drawable_terminal() -> bool:
    """Whether standard error is a terminal that can be drawn on."""
    return sys.stderr.isatty() and _Terminal().is_interactive


class Screen:
    """Draws a view, at most four times a second.

    Args:
        view: what is drawn on this many lines; called by the screen's own thread.
    """

    def __init__(self, view: Callable[[int], RenderableType]) -> None:
        self._console, self._view = _Terminal(), view
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="screen", daemon=True)
        self._streams: tuple[TextIO, TextIO] | None = None
        self._lines: tuple[TextIO, ...] = ()

    def open(self) -> None:
        """Draw from now on."""
        self._streams = (sys.stdout, sys.stderr)
        self._lines = (self._above(sys.stdout), self._above(sys.stderr))
        sys.stdout, sys.stderr = self._lines
        self._thread.start()

    def close(self) -> None:
        """Erase the drawing, and restore the streams."""
        self._over.set()
        with self._lock, contextlib.suppress(OSError):  # the terminal may be gone
            self._erase()
        self._thread.join()
        for stream in self._lines:
            if isinstance(stream, _LineAbove):
                with contextlib.suppress(OSError):
                    stream.release()
        if self._streams is not None:
            sys.stdout, sys.stderr = self._streams

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is drawn meanwhile."""
        with self._lock:
            self._erase()
            yield

    def _above(self, stream: TextIO) -> TextIO:
        return cast(TextIO, _LineAbove(stream, self)) if stream.isatty() else stream

    def _tick(self) -> None:
        while not self._over.wait(PERIOD_S):
            with self._lock:
                if self._over.is_set():
                    return
                try:
                    self._draw()
                except OSError:  # the terminal is gone
                    return

    def _draw(self) -> None:
        if self._live is not None:
            self._live.refresh()
            return
        # A new one each time: the library's remembers how high the drawing was that it took away.
        self._live = Live(
            console=self._console, get_renderable=lambda: self._view(self._console.height), auto_refresh=False,
            transient=True, redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop",
        )  # fmt: skip
        self._live.start(refresh=True)

    def _erase(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()


class _LineAbove:
    """A standard stream whose whole lines come out above the drawing."""

    def __init__(self, stream: TextIO, screen: Screen) -> None:
        self._stream, self._screen = stream, screen
        self._lock = threading.RLock()
        self._begun = ""

    def write(self, text: str) -> int:
        with self._lock:
            whole, newline, self._begun = (self._begun + text).rpartition("\n")
            if newline:
                with self._screen.paused():
                    self._stream.write(whole + newline)
                    self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """Nothing: a line that has not ended yet waits for its end."""

    def release(self) -> None:
        """Write the line that has not ended."""
        begun, self._begun = self._begun, ""
        self._stream.write(begun)
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
