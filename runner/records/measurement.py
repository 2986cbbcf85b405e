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
        resolution: the smallest factor from the target that could have been told at this look; None without bounds.
    """

    estimate: float
    low: float | None
    high: float | None
    confidence: float
    rounds: int
    resolution: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """All samples of one candidate, and of the baseline beside it.

    Attributes:
        speedup: None when no round has a time from both sides.
        baseline_s, candidate_s: mean seconds of the timed samples (a cut one counts with its limit); None without any.
        median_ratio: median over the rounds of baseline / candidate.
        total_ratio: sum of the baseline's times over the sum of the candidate's mean times.
        slowest_over_median: the candidate's slowest sample over its median one.
        drift: the baseline's last time over its first; None with fewer than two.
        seeds: the data seed of each round, to replay a grading.
    """

    samples: tuple[Sample, ...]
    speedup: Interval | None
    baseline_s: float | None
    candidate_s: float | None
    seeds: tuple[int, ...]
    median_ratio: float | None = None
    total_ratio: float | None = None
    slowest_over_median: float | None = None
    drift: float | None = None
