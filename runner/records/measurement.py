"""Measurement: the samples of both sides and what they say about the speed-up."""

from dataclasses import dataclass

from runner.records.sample import Sample


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio baseline / candidate.

    Attributes:
        estimate: geometric mean over the rounds.
        low, high: confidence bounds; None where there are too few rounds for an interval.
        confidence: of the bounds at this look, two-sided, corrected for looking more than once.
        rounds: how many rounds it rests on.
    """

    estimate: float
    low: float | None
    high: float | None
    confidence: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """All samples of one candidate, and of the baseline beside it.

    Attributes:
        speedup: None when no round has an answer from both sides.
        baseline_s, candidate_s: mean seconds of the answered samples; None without any.
        seeds: the data seed of each round, to replay a grading.
    """

    samples: tuple[Sample, ...]
    speedup: Interval | None
    baseline_s: float | None
    candidate_s: float | None
    seeds: tuple[int, ...]
