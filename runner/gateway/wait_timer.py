"""How long a gateway's exchanges waited, together: what several waited at the same time counts once."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


class WaitTimer:
    """Shared by the threads of a gateway; calls `tell` with the seconds of each stretch of waiting, as it ends."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell, self._lock = tell, threading.Lock()
        self._waiting, self._since_s = 0, 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """One more exchange waits, within the `with`."""
        with self._lock:
            self._since_s = self._since_s if self._waiting else time.monotonic()
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                stretch_s = 0.0 if self._waiting else time.monotonic() - self._since_s
            if stretch_s:
                self._tell(stretch_s)
