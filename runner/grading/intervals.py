"""Intervals of a ratio of times, corrected for looking more than once. Pure.

The unit is the round: d_r = log(baseline_r) - mean(log(candidate_r)), since samples of one round share data, CPU and
the minute in which they ran. A t interval on d_r (the log-ratio form of a paired t test; see Kalibera and Jones, 2013,
"Rigorous benchmarking in reasonable time", for ratios of execution times) is taken at planned looks; each look spends a
part of the error so that looking again cannot buy a verdict (group-sequential testing; Pocock, 1977).
"""

import math
from collections.abc import Sequence

from scipy import stats

from runner.records.measurement import Interval

LOOKS = (3, 4, 6, 8, 12)
# Equal parts of the error. Between Pocock's boundary (too little for so few rounds: the t distribution changes from look
# to look) and Bonferroni's (which ignores that looks are correlated): tests/grading/test_intervals.py simulates it.
SPENDING_EXPONENT = 0.8


def error_at_a_look(confidence: float) -> float:
    """One-sided error probability that each planned look may spend."""
    return float((1.0 - confidence) / (len(LOOKS) + 1) ** SPENDING_EXPONENT)


def round_difference(baseline_s: Sequence[float], candidate_s: Sequence[float]) -> float:
    """d_r of one round: log of the ratio of geometric means; all times in seconds, none empty."""
    return _mean_log(baseline_s) - _mean_log(candidate_s)


def _mean_log(values: Sequence[float]) -> float:
    return sum(math.log(value) for value in values) / len(values)


def speedup(differences: Sequence[float], confidence: float) -> Interval:
    """The ratio that the rounds say, with bounds from two rounds on.

    Raises:
        ValueError: no rounds.
    """
    count = len(differences)
    if count == 0:
        raise ValueError("an interval needs at least one round")
    error = error_at_a_look(confidence)
    mean = sum(differences) / count
    if count < 2:
        return Interval(math.exp(mean), None, None, 1.0 - 2.0 * error, count)
    variance = sum((value - mean) ** 2 for value in differences) / (count - 1)
    half = float(stats.t.ppf(1.0 - error, count - 1)) * math.sqrt(variance / count)
    return Interval(math.exp(mean), _exp(mean - half), _exp(mean + half), 1.0 - 2.0 * error, count)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
