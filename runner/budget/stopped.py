"""When this process was told to end: from then on nothing waits much longer for others, an engine, say, or a reader."""

import time

_since_s: float | None = None


def note_stop() -> None:
    """The process was told to end. Takes no lock, so that the handler of a signal may call it wherever it comes."""
    global _since_s
    if _since_s is None:
        _since_s = time.monotonic()


def stopped_since_s() -> float | None:
    """Since when, by the monotonic clock; None: it was not told."""
    return _since_s
