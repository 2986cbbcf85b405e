"""The clock that everything else is given, so that a test can stop it."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the runner may ask about time."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never set back."""
        ...

    def now(self) -> datetime:
        """The date and time, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The host's own clock (CLOCK_MONOTONIC)."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
