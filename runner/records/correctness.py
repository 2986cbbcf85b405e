"""Correctness: how good the answers were, beside the baseline's on the same data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Correctness:
    """Means over all judged samples.

    Attributes:
        name: what the task calls its quality (Accuracy).
        baseline, candidate: mean quality; None without an answer.
        bar: the lowest candidate value that is accepted; None without a baseline answer.
        tolerance: how far below the baseline is accepted; None where the task sets a minimum instead.
    """

    name: str
    baseline: float | None
    candidate: float | None
    bar: float | None
    tolerance: float | None

    @property
    def difference(self) -> float | None:
        """Candidate minus baseline, signed."""
        if self.baseline is None or self.candidate is None:
            return None
        return self.candidate - self.baseline

    @property
    def accurate(self) -> bool | None:
        """Whether the candidate reaches the bar; None when it cannot be told."""
        if self.candidate is None or self.bar is None:
            return None
        return self.candidate >= self.bar
