"""Ending a call from another thread, as Ctrl-C ends a command."""

import threading
from collections.abc import Callable


class Stop:
    """Ends what it was given to: `run_job` keeps what is finished and returns, `grade` raises `Interrupted`.

    It may be set at any time, from any thread, also before the call; it stays set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []
        self._is_set = False

    def set(self) -> None:
        """End what runs, and whatever is begun with it from now on."""
        with self._lock:
            self._is_set, ends = True, list(self._ends)
        for end in ends:
            end()

    def calls(self, end: Callable[[], None]) -> None:
        """Have something called when it is set; at once where it was."""
        with self._lock:
            self._ends.append(end)
            is_set = self._is_set
        if is_set:
            end()
