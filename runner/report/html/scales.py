"""Where a value lies on an axis, in percent of its length, and which values are written beside it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

TICKS_MAX = 8  # chosen: what a phone's width can hold without overlap
VALUE_MAX = 1e100  # chosen: no time or ratio of any run; beyond it, and under its inverse, an axis cannot be computed
ROOM = 1.12  # chosen: free space past the outermost values, as a factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A value that is written beside an axis; `at` is in percent."""

    at: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogScale:
    """A logarithmic axis from `low` to `high`, both over 0."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float]) -> "LogScale":
        """An axis that holds these values, with some room; one of a factor of two where there is none to hold."""
        known = [value for value in values if 1.0 / VALUE_MAX <= value <= VALUE_MAX] or [1.0, 2.0]
        low, high = min(known) / ROOM, max(known) * ROOM
        return cls(low=low, high=max(high, 2.0 * low))

    def at(self, value: float) -> float:
        """Percent of the axis; what lies outside is put on its end."""
        inside = min(max(value, self.low), self.high)
        return round(100.0 * math.log(inside / self.low) / math.log(self.high / self.low), 2)

    def ticks(self, unit: str) -> tuple[Tick, ...]:
        """Values of 1, 2 and 5 times powers of ten, or every so manieth power where these are too many."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        powers = range(first, last + 1)
        steps = -(-len(powers) // TICKS_MAX)
        fine = self._inside([factor * 10.0**power for power in powers for factor in (1, 2, 5)])
        kept = fine if len(fine) <= TICKS_MAX else self._inside([10.0**power for power in powers[::steps]])
        return tuple(Tick(at=self.at(value), words=f"{value:g}{unit}") for value in kept)

    def _inside(self, values: Iterable[float]) -> list[float]:
        return [value for value in values if self.low <= value <= self.high]
