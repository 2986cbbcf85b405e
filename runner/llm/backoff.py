"""One pause for all: where the endpoint has no room, every episode of the job pauses, not one after another."""

import random
import threading
from collections.abc import Callable

from runner.budget.clock import Clock

# Chosen: the first pause is as of a single retry (model.py), and the longest is the period of the vendors' limits per
# minute.
FIRST_S, LONGEST_S = 1.0, 60.0
# Chosen: those that paused together resume spread out, by a tenth of the pause and at least a request's connection time.
SPREAD_SHARE, SPREAD_S = 0.1, 0.25


class Backoff:
    """Shared by the threads of a job's episodes."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._until_s, self._refusals = 0.0, 0

    def on_rate_limited(self, asked_s: float) -> float:
        """The endpoint had no room; returns the seconds that all pause.

        Args:
            asked_s: the pause that the endpoint asked for, in seconds; 0: it did not say.
        """
        with self._lock:
            now_s = self._clock.monotonic()
            # Requests that were under way together met one limit, not ten.
            if now_s >= self._until_s or not self._refusals:
                self._refusals += 1
            pause_s = asked_s or min(LONGEST_S, FIRST_S * 2.0 ** (self._refusals - 1))
            self._until_s = max(self._until_s, now_s + pause_s)
            return pause_s

    def on_success(self) -> None:
        """The endpoint has room again."""
        with self._lock:
            self._refusals = 0

    def wait(self, sleep: Callable[[float], None]) -> None:
        """Pause while all do; `sleep` gets seconds, and may raise to give up."""
        while (left_s := self._left_s()) > 0:
            sleep(left_s + random.uniform(0.0, SPREAD_S + SPREAD_SHARE * left_s))

    def _left_s(self) -> float:
        with self._lock:
            return self._until_s - self._clock.monotonic()
