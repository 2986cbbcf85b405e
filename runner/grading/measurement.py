"""What the samples of one candidate say about its speed, and its scores about its quality. Pure."""

import math
import statistics
from collections.abc import Sequence

from runner.grading.intervals import quality_bounds, round_difference, speedup
from runner.records.grading import Ending, Measurement, Quality, QualityRound, Rules, Sample

# Endings whose time counts: a sample that was cut took at least that long.
TIMED = (Ending.ANSWERED, Ending.CUT)


def samples_of_run(samples: Sequence[Sample], run: int) -> tuple[Sample, ...]:
    """A candidate's samples and controls, and baseline and sentinel of the rounds that it took part in."""
    rounds = {sample.round for sample in samples if sample.run == run and sample.side == "candidate"}
    return tuple(sample for sample in samples if sample.round in rounds and sample.run in (0, run))


def summarize_times(samples: Sequence[Sample], run: int, rules: Rules, seeds: Sequence[int]) -> Measurement:
    """What the samples say about one candidate's speed; seeds[r-1] is round r's."""
    samples_taken = samples_of_run(samples, run)
    timed = _timed(samples_taken)
    differences = [round_difference(*sides) for sides in timed]
    baseline_s = [seconds for baseline, _ in timed for seconds in baseline]
    candidate_s = [seconds for _, candidate in timed for seconds in candidate]
    rounds = sorted({sample.round for sample in samples_taken})
    return Measurement(
        samples=samples_taken,
        speedup=speedup(differences, rules.confidence, rules.certificate, rules.attempts) if differences else None,
        baseline_s=_mean(baseline_s),
        candidate_s=_mean(candidate_s),
        seeds=tuple(seeds[number - 1] for number in rounds),
        median_ratio=math.exp(statistics.median(differences)) if differences else None,
        total_ratio=_total_ratio(timed),
        slowest_over_median=max(candidate_s) / statistics.median(candidate_s) if candidate_s else None,
        drift=baseline_s[-1] / baseline_s[0] if len(baseline_s) > 1 else None,
    )


def log_ratios(samples: Sequence[Sample], target: float | None) -> list[float]:
    """log(ratio / target) of every round in which both sides have a time; empty without a target."""
    return [] if target is None else [round_difference(*sides) - math.log(target) for sides in _timed(samples)]


def _timed(samples: Sequence[Sample]) -> list[tuple[list[float], list[float]]]:
    """(baseline seconds, candidate seconds) of every round in which both sides have a time."""
    sides = []
    for number in sorted({sample.round for sample in samples}):
        baseline, candidate = (
            [s.seconds for s in samples if s.round == number and s.side == side and s.ending in TIMED]
            for side in ("baseline", "candidate")
        )
        if baseline and candidate:
            sides.append((baseline, candidate))
    return sides


def _total_ratio(timed: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float | None:
    """Sum of the baseline's times over the sum of the candidate's, both as means of their rounds."""
    if not timed:
        return None
    baseline, candidate = (sum(sum(sides[side]) / len(sides[side]) for sides in timed) for side in (0, 1))
    return float(baseline / candidate)


def summarize_quality(rounds: Sequence[QualityRound], rules: Rules) -> Quality:
    """What the scored samples say about a candidate's quality."""
    baseline = _mean([entry.baseline for entry in rounds if entry.baseline is not None])
    low, high = quality_bounds(rounds, rules.confidence, rules.attempts) if rounds else (None, None)
    bar = rules.minimum
    if rules.tolerance is not None:
        bar = None if baseline is None else baseline - rules.tolerance
    return Quality(
        name=rules.quality,
        baseline=baseline,
        candidate=_mean([entry.candidate for entry in rounds]),
        bar=bar,
        tolerance=rules.tolerance,
        low=low,
        high=high,
        rounds=tuple(rounds),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
