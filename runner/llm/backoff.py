"""One pause for all: where the endpoint says that it has no room, every episode of the job holds off, not one after
another into the same wall."""

import random
import threading
from collections.abc import Callable

from runner.clock import Clock

FIRST_S, LONGEST_S = 1.0, 60.0
# Those that waited together do not come back together.
SPREAD_SHARE, SPREAD_S = 0.1, 0.25


class Backoff:
    """Shared by the threads of a job's episodes."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._until_s, self._refusals = 0.0, 0

    def refused(self, asked_s: float) -> float:
        """The endpoint had no room and asked for a pause (0: it did not say how long); the pause that everyone takes."""
        with self._lock:
            now_s = self._clock.monotonic()
            # Those that were under way together ran into one wall, not into ten.
            if now_s >= self._until_s or not self._refusals:
                self._refusals += 1
            pause_s = asked_s or min(LONGEST_S, FIRST_S * 2.0 ** (self._refusals - 1))
            self._until_s = max(self._until_s, now_s + pause_s)
            return pause_s

    def answered(self) -> None:
        """The endpoint has room again."""
        with self._lock:
            self._refusals = 0

    def wait(self, sleep: Callable[[float], None]) -> None:
        """Hold off while everyone does; `sleep` may raise to give up."""
        while (left_s := self._left_s()) > 0:
            sleep(left_s + random.uniform(0.0, SPREAD_S + SPREAD_SHARE * left_s))

    def _left_s(self) -> float:
        with self._lock:
            return self._until_s - self._clock.monotonic()
