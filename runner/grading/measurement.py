"""What the samples of one candidate say about its speed, and its scores about its quality. Pure."""

import math
import statistics
from collections.abc import Sequence

from runner.grading.hiccups import TIMED, counted_samples
from runner.grading.intervals import audit_interval, quality_bounds, round_difference, speedup
from runner.records.grading import Interval, Measurement, Quality, QualityRound, Rules, Sample

Sides = tuple[list[float], list[float]]  # seconds of the baseline and of the candidate in one round


def samples_of_run(samples: Sequence[Sample], run: int) -> tuple[Sample, ...]:
    """A candidate's samples and controls, and baseline and sentinel of the rounds that it took part in."""
    rounds = {sample.round for sample in samples if sample.run == run and sample.side == "candidate"}
    return tuple(sample for sample in samples if sample.round in rounds and sample.run in (0, run))


def summarize_times(samples: Sequence[Sample], run: int, rules: Rules, seeds: Sequence[int]) -> Measurement:
    """What the samples say about one candidate's speed; seeds[r-1] is round r's."""
    samples_taken = samples_of_run(samples, run)
    counted = counted_samples(samples_taken, run)
    timed = timed_rounds([*(s for s in samples_taken if not s.run), *counted])
    differences = [round_difference(*sides) for sides in timed]
    baseline_s = [seconds for baseline, _ in timed for seconds in baseline]
    candidate_s = [sample.seconds for sample in counted]
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
        audit=_audit(samples_taken, run, rules),
    )


def measured_rounds(samples: Sequence[Sample]) -> int:
    """How many rounds there are with a baseline: what looks and limits count."""
    return len({sample.round for sample in samples if sample.side == "baseline"})


def data_sets(samples: Sequence[Sample], run: int) -> int:
    """On how many data sets the candidate has a time."""
    return len({sample.round for sample in samples if sample.run == run and sample.side == "candidate"})


def round_differences(samples: Sequence[Sample], run: int) -> list[float]:
    """d_r of each round in which both sides have a time, of the samples that count."""
    mine = [*(sample for sample in samples if not sample.run), *counted_samples(samples, run)]
    return [round_difference(*sides) for sides in timed_rounds(mine)]


def fastest_ratio(samples: Sequence[Sample], run: int, number: int) -> float:
    """What the candidate's fastest sample of a round makes of the baseline's time in it; 0 where either has none."""
    timed = [s for s in samples if s.round == number and s.ending in TIMED and s.seconds > 0.0]
    baseline_s = [sample.seconds for sample in timed if sample.side == "baseline"]
    candidate_s = [sample.seconds for sample in timed if sample.run == run and sample.side in ("candidate", "repeat")]
    return max(baseline_s) / min(candidate_s) if baseline_s and candidate_s else 0.0


def audit_differences(samples: Sequence[Sample], run: int) -> list[tuple[float, int]]:
    """(d, samples) of each audit: the baseline's mean over the rounds that it ran in, less the candidate's on these data."""
    measured = {sample.round for sample in samples if sample.side == "baseline"}
    level = _mean([math.log(s.seconds) for s in samples if s.side == "baseline" and s.ending in TIMED])
    audits: dict[int, list[float]] = {}
    for sample in counted_samples(samples, run):
        if sample.round not in measured:
            audits.setdefault(sample.round, []).append(math.log(sample.seconds))
    return [] if level is None else [(level - sum(logs) / len(logs), len(logs)) for _, logs in sorted(audits.items())]


def _audit(samples: Sequence[Sample], run: int, rules: Rules) -> Interval | None:
    """The ratio over all data sets; None without one that has no baseline."""
    measured, audits = round_differences(samples, run), [value for value, _ in audit_differences(samples, run)]
    if not measured or not audits:
        return None
    baseline, sentinel = (
        [math.log(s.seconds) for s in samples if s.side == side and s.ending in TIMED]
        for side in ("baseline", "sentinel")
    )
    return audit_interval([*measured, *audits], baseline, sentinel, rules.confidence, rules.attempts)


def log_ratios(samples: Sequence[Sample], run: int, target: float | None) -> list[float]:
    """log(ratio / target) of every round in which both sides have a time that counts; empty without a target."""
    return [] if target is None else [value - math.log(target) for value in round_differences(samples, run)]


def timed_rounds(samples: Sequence[Sample]) -> list[Sides]:
    """(baseline seconds, candidate seconds) of every round in which both sides have a time."""
    sides = []
    for number in sorted({sample.round for sample in samples}):
        baseline, candidate = (
            [s.seconds for s in samples if s.round == number and s.side in names and s.ending in TIMED]
            for names in (("baseline",), ("candidate", "repeat"))
        )
        if baseline and candidate:
            sides.append((baseline, candidate))
    return sides


def _total_ratio(timed: Sequence[Sides]) -> float | None:
    """Sum of the baseline's times over the sum of the candidate's, both as means of their rounds."""
    if not timed:
        return None
    baseline, candidate = (sum(sum(sides[side]) / len(sides[side]) for sides in timed) for side in (0, 1))
    return float(baseline / candidate)


def summarize_quality(rounds: Sequence[QualityRound], rules: Rules) -> Quality:
    """What the scored samples say about a candidate's quality."""
    baseline = _mean([entry.baseline for entry in rounds if entry.baseline is not None])
    compared = compared_rounds(rounds, rules)
    low, high = quality_bounds(compared, rules.confidence, rules.attempts) if compared else (None, None)
    bar = rules.minimum
    if rules.tolerance is not None:
        bar = None if baseline is None else baseline - rules.tolerance
    return Quality(
        name=rules.quality,
        baseline=baseline,
        candidate=_mean([entry.candidate for entry in compared]),
        bar=bar,
        tolerance=rules.tolerance,
        low=low,
        high=high,
        rounds=tuple(rounds),
    )


def compared_rounds(rounds: Sequence[QualityRound], rules: Rules) -> list[QualityRound]:
    """The data sets on which the candidate could be compared with what it is held to; audits lack the baseline."""
    return [entry for entry in rounds if rules.tolerance is None or entry.baseline is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
