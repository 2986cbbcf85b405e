"""Intervals of a ratio of times and of a difference of qualities, corrected for looking more than once. Pure.

The unit is the round: d_r = log(baseline_r) - mean(log(candidate_r)), since samples of one round share data, CPU and
the minute in which they ran. A t interval on d_r (the log-ratio form of a paired t test; see Kalibera and Jones, 2013,
"Rigorous benchmarking in reasonable time", for ratios of execution times) is taken at planned looks; each look spends a
part of the error so that looking again cannot buy a verdict (group-sequential testing; Pocock, 1977; error spending:
Lan and DeMets, 1983). No bootstrap: below about thirty units it covers too little. Never a minimum: it rewards spread.

With a certificate of the host's noise, its variance is pooled in with its degrees of freedom (the conjugate form of a
prior guess of a variance; Box and Tiao, 1973, section 2.3), so that two rounds can decide what lies near the target, too.
"""

import functools
import math
from collections.abc import Sequence

from scipy import special

from runner.records.grading import Certificate, Interval, QualityRound

# The numbers of rounds after which a verdict may be taken. chosen: two degrees of freedom at the least, close together
# where most candidates decide, and 12 as the most that is worth its time; `python bench/decision_errors.py` prints how many
# rounds they take. A certificate's variance has degrees of freedom of its own: two rounds are then a planned look.
LOOKS = (3, 4, 6, 8, 12)
LOOKS_CERTIFIED = (2, *LOOKS)
# Without one, an interval of two rounds has one degree of freedom, and twenty times their spread is its half: it tells only
# what lies far from the target, which most files do. What it leaves open is nobody's doubt, and waits for a planned look.
EARLY_LOOK = 2
# Each look spends an equal part of the error, 1 / PARTS**exponent of it: between Pocock's boundary (too little for so few
# rounds: the t distribution changes from look to look) and Bonferroni's (1 / looks, which ignores that looks are
# correlated). `python bench/decision_errors.py` prints the share of wrong passes that comes of it. With a certificate there
# is a look more, and a prior that may be a little wrong: each look spends less.
PARTS = 6
SPENDING_EXPONENT, SPENDING_EXPONENT_CERTIFIED = 0.8, 0.9
# The spread over the items of a data set counts as much as this many data sets. chosen: as much as a certificate of seven
# rounds; it is known from hundreds of items, but says nothing of what differs from one data set to the next.
QUALITY_PRIOR_DF = 6
EXPONENT_MAX = 700.0  # exp() of more overflows a float64


def looks(certified: bool) -> tuple[int, ...]:
    """The numbers of rounds after which a verdict may be taken."""
    return LOOKS_CERTIFIED if certified else LOOKS


def is_early(rounds: int, *, certified: bool) -> bool:
    """Whether a verdict may be taken after so many rounds only where the interval is far from the target."""
    return not certified and rounds == EARLY_LOOK


def error_at_a_look(confidence: float, attempts: int = 1, *, certified: bool = False) -> float:
    """One-sided error probability that each planned look may spend."""
    exponent = SPENDING_EXPONENT_CERTIFIED if certified else SPENDING_EXPONENT
    return float((1.0 - confidence) / attempts / PARTS**exponent)


def round_difference(baseline_s: Sequence[float], candidate_s: Sequence[float]) -> float:
    """d_r of one round: log of the ratio of geometric means; all times in seconds, none empty."""
    return _mean_log(baseline_s) - _mean_log(candidate_s)


def _mean_log(values: Sequence[float]) -> float:
    return sum(math.log(value) for value in values) / len(values)


def speedup(
    differences: Sequence[float], confidence: float, certificate: Certificate | None = None, attempts: int = 1
) -> Interval:
    """The ratio baseline / candidate that the rounds give, with bounds from two rounds on.

    Args:
        differences: d_r of each round.
        confidence: of a verdict on one side of a target, over all looks and attempts; such as 0.95.
        certificate: of the host; its variance is pooled in.
        attempts: how many gradings of one submission share the error.

    Raises:
        ValueError: no rounds.
    """
    count = len(differences)
    if count == 0:
        raise ValueError("an interval needs at least one round")
    error = error_at_a_look(confidence, attempts, certified=certificate is not None)
    mean = sum(differences) / count
    spread = pooled(differences, *((certificate.variance, certificate.df) if certificate else (0.0, 0)))
    if count < 2 or spread is None:
        return Interval(estimate=math.exp(mean), low=None, high=None, confidence=1.0 - 2.0 * error, rounds=count)
    half = half_width(*spread, count, error)
    return Interval(
        estimate=math.exp(mean),
        low=_exp(mean - half),
        high=_exp(mean + half),
        confidence=1.0 - 2.0 * error,
        rounds=count,
        resolution=_exp(half),
    )


def audit_interval(
    values: Sequence[float],
    baseline_logs: Sequence[float],
    sentinel_logs: Sequence[float],
    confidence: float,
    attempts: int = 1,
) -> Interval:
    """The ratio over all data sets, where some have no baseline: these are held to the baseline's mean on the others.

    The mean of the baseline is then known from fewer data sets than the candidate's: its variance (pooled with the
    sentinel's, since a few rounds say little of it) adds what the missing ones leave open.

    Args:
        values: d on each data set, at least two.
        baseline_logs: of its seconds in the rounds that it ran in, at least one.
        sentinel_logs: of its seconds in all rounds; may be empty.
    """
    count = len(values)
    variance, df = pooled(values, 0.0, 0) or (0.0, 1)
    prior = (pooled(sentinel_logs, 0.0, 0) if sentinel_logs else None) or (variance, df)
    of_baseline, _ = pooled(baseline_logs, *prior) or prior
    missing = of_baseline * (1.0 / len(baseline_logs) - 1.0 / count)
    error, mean = error_at_a_look(confidence, attempts), sum(values) / count
    half = _quantile(error, df) * math.sqrt(variance / count + missing)
    return Interval(
        estimate=math.exp(mean),
        low=_exp(mean - half),
        high=_exp(mean + half),
        confidence=1.0 - 2.0 * error,
        rounds=count,
        resolution=_exp(half),
    )


def pooled(values: Sequence[float], prior: float, prior_df: int) -> tuple[float, int] | None:
    """(variance, degrees of freedom) of values, pooled with a variance known beforehand.

    None without any degree of freedom. Values must not be empty.
    """
    mean = sum(values) / len(values)
    df = prior_df + len(values) - 1
    if df == 0:
        return None
    return (prior_df * prior + sum((value - mean) ** 2 for value in values)) / df, df


def t_interval(differences: Sequence[float], confidence: float) -> Interval:
    """Student's t interval of a ratio, two-sided, looked at once; differences are logs, at least two of them."""
    mean, count = sum(differences) / len(differences), len(differences)
    variance, df = pooled(differences, 0.0, 0) or (0.0, 1)
    half = half_width(variance, df, count, (1.0 - confidence) / 2.0)
    return Interval(
        estimate=math.exp(mean),
        low=_exp(mean - half),
        high=_exp(mean + half),
        confidence=confidence,
        rounds=count,
        resolution=_exp(half),
    )


@functools.lru_cache(maxsize=1024)
def _quantile(error: float, df: int) -> float:
    # What scipy.stats.t.ppf calls; that module takes half a second to import, which every command would pay.
    return float(special.stdtrit(df, 1.0 - error))


def half_width(variance: float, df: int, count: int, error: float) -> float:
    """Half the width of a t interval of a mean of `count` values, for a one-sided error probability."""
    return _quantile(error, df) * math.sqrt(variance / count)


def quality_bounds(rounds: Sequence[QualityRound], confidence: float, attempts: int = 1) -> tuple[float, float]:
    """(low, high) of the mean difference of quality over data sets; the unit is the data set.

    Two data sets say little about their own spread. The spread over the items within them says how much a difference can
    wobble by the choice of items alone, and is pooled in.

    Raises:
        ValueError: no rounds.
    """
    if not rounds:
        raise ValueError("bounds need at least one data set")
    values = [entry.difference for entry in rounds]
    prior = sum(entry.variance for entry in rounds) / len(rounds)
    variance, df = pooled(values, prior, QUALITY_PRIOR_DF) or (prior, QUALITY_PRIOR_DF)
    half = half_width(variance, df, len(values), error_at_a_look(confidence, attempts))
    mean = sum(values) / len(values)
    return mean - half, mean + half


def _exp(value: float) -> float:
    return math.exp(max(min(value, EXPONENT_MAX), -EXPONENT_MAX))
