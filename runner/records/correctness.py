"""Correctness: how good the answers were, beside the baseline's on the same data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QualityRound:
    """One data set.

    Attributes:
        round: its number.
        baseline, candidate: mean quality over items and samples; `baseline` is None where the task sets a minimum.
        difference: candidate minus baseline (or minus the minimum).
        variance: of that difference, as the spread over the items of this data set makes it.
    """

    round: int
    baseline: float | None
    candidate: float
    difference: float
    variance: float


@dataclass(frozen=True, slots=True)
class Correctness:
    """What the judged samples say about a candidate's quality.

    Attributes:
        name: what the task calls its quality (Accuracy).
        baseline, candidate: means over the rounds; None without an answer.
        bar: the lowest candidate value that is accepted; None without a baseline answer.
        tolerance: how far below the baseline is accepted; None where the task sets a minimum instead.
        low, high: bounds of the difference (candidate minus baseline or minimum); None without an answer.
        rounds: one entry a data set.
    """

    name: str
    baseline: float | None
    candidate: float | None
    bar: float | None
    tolerance: float | None
    low: float | None = None
    high: float | None = None
    rounds: tuple[QualityRound, ...] = ()

    @property
    def difference(self) -> float | None:
        """Candidate minus baseline, signed."""
        if self.baseline is None or self.candidate is None:
            return None
        return self.candidate - self.baseline

    @property
    def accurate(self) -> bool | None:
        """Whether the quality is told to reach the bar (True) or to miss it (False); None while it is not told."""
        if self.low is None or self.high is None:
            return None
        allowed = -(self.tolerance or 0.0)
        if self.low >= allowed:
            return True
        return False if self.high < allowed else None
