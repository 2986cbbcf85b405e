"""Usage: tokens of an answer, as the API counts them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens; `input` does not hold those that were written to or read from the cache.

    Attributes:
        input, cache_write, cache_read: what was sent, in three parts.
        output: what came back, thinking included.
    """

    input: int = 0
    cache_write: int = 0
    cache_read: int = 0
    output: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input + other.input,
            self.cache_write + other.cache_write,
            self.cache_read + other.cache_read,
            self.output + other.output,
        )

    @property
    def sent(self) -> int:
        """Tokens of the request."""
        return self.input + self.cache_write + self.cache_read

    @property
    def total(self) -> int:
        return self.sent + self.output

    @property
    def cache_hit_rate(self) -> float | None:
        """Share of the sent tokens that came from the cache; None where nothing was sent."""
        return self.cache_read / self.sent if self.sent else None
