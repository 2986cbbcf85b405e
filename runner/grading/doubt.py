"""Whose doubt it is, where a verdict is open: the submission's own, which counts, or the host's, which does not. Pure.

The burden of proof is the submission's, the blame for noise the host's. An undecided ratio is the host's doubt only where
the host's noise explains it. Where an honest file on this host would have been told to be too slow by now, or where the
file's times vary more than the host makes any vary, it is the file's own; and no data set makes up for another one on
which a file is wrong, or slow, by more than noise.
"""

import math
import statistics
from collections.abc import Sequence

from scipy import special

from runner.grading.hiccups import TIMED, counted_samples
from runner.grading.intervals import QUALITY_PRIOR_DF, error_at_a_look, half_width, pooled
from runner.grading.measurement import audit_differences, compared_rounds, round_differences
from runner.grading.noise import (
    HostNoise,
    Spread,
    chance_to_tell,
    host_noise,
    more_rounds_to_tell,
    noise_alone_would_tell,
    spread_of,
    varies_more,
    within_rounds,
)
from runner.grading.stalls import held_up_by_others, host_is_busy, of_its_own
from runner.records.grading import Measurement, Quality, Rules, Sample
from runner.records.outcome import Outcome, OutcomeKind

# A chance to decide under which no more rounds are taken. chosen: a file at its target is then told so after five or six
# rounds in place of nine, and of those a tenth above it 98 % are decided still.
CHANCE_MIN = 0.3
# Error probability of the test of each data set on its own, one-sided. chosen: sixteen of them find fault with one file in
# thirty that is exactly at the target, and with none of those that are a seventh above it.
DATA_SET_ERROR = 0.002
# A file whose spread is this many times the host's (as variances) is measured to the last round, though it can hardly be
# decided: until then it may show whose doubt it is. chosen.
SUSPICIOUS_FACTOR = 4.0
# How many times its median one the slowest sample of the task's own files takes on a host that may do the same, and more, to
# the shorter samples of another. In 400 recorded ones it was 1.22 times.
HOSTS_SLOWEST_MAX = 2.0
ROUND_TO_ROUND = "from round to round"


def judge_speed_doubt(
    question: str, measurement: Measurement, run: int, rules: Rules, rounds: int, *, last: bool
) -> Outcome | None:
    """Whose doubt an undecided ratio is; None while further rounds may well decide it.

    Args:
        question: what stands in the way of a pass.
    """
    assert rules.target is not None
    measured, audits = round_differences(measurement.samples, run), audit_differences(measurement.samples, run)
    values = [value - math.log(rules.target) for value in (*measured, *(value for value, _ in audits))]
    certificate, distance = rules.certificate, sum(values) / len(values)
    prior = (certificate.variance, certificate.df) if certificate is not None else (0.0, 0)
    error = error_at_a_look(rules.confidence, rules.attempts, certified=certificate is not None)
    expected = Spread(*(pooled(values, *prior) or (0.0, 1)))
    seen_at_most = len(values) + rules.rounds_max - rounds
    if not last and chance_to_tell(distance, expected, len(values), seen_at_most, error) >= CHANCE_MIN:
        return None
    noise = host_noise(measurement.samples, certificate)
    comparisons = [] if noise is None else _comparisons(measurement.samples, run, values, noise)
    told_by_noise = noise is not None and noise_alone_would_tell(distance, noise.of_round(), len(values), error)
    for own, host, where in comparisons:
        if varies_more(own, host) or (distance < 0.0 and told_by_noise and where == ROUND_TO_ROUND):
            factors = f"its own times vary by a factor of {own.factor:.2f} {where}, this host's by {host.factor:.2f}"
            return Outcome(OutcomeKind.UNSTABLE, f"Not shown: {question}: {factors}")
    if not last and any(own.variance > SUSPICIOUS_FACTOR * host.variance for own, host, _ in comparisons):
        return None
    more = more_rounds_to_tell(distance, expected, len(values), error)
    prospect = (
        f"about {more} more rounds might tell" if more else "no number of rounds that is worth its time would tell"
    )
    return Outcome(OutcomeKind.INCONCLUSIVE, f"{question}; {prospect}")


def _comparisons(
    samples: Sequence[Sample], run: int, values: Sequence[float], noise: HostNoise
) -> list[tuple[Spread, Spread, str]]:
    """(the file's spread, the host's, where it shows): on the same data, and over the data sets.

    Args:
        values: log of the ratio over the target, on each data set.
    """
    of_samples, of_rounds = within_rounds(samples, run), spread_of(values)
    found = [(of_samples, noise.short, "on the same data"), (of_rounds, noise.of_round(), ROUND_TO_ROUND)]
    return [(own, host, where) for own, host, where in found if own is not None]


def slow_data_set(samples: Sequence[Sample], run: int, rules: Rules) -> str | None:
    """Where the file is under the target on one data set by more than the host's noise; no other makes up for it."""
    noise = host_noise(samples, rules.certificate)
    if noise is None or rules.target is None:
        return None
    sets = [(value, noise.of_round()) for value in round_differences(samples, run)]
    sets += [(value, noise.of_audit(count)) for value, count in audit_differences(samples, run)]
    for value, spread in sets:
        allowed = half_width(spread.variance, spread.df, 1, DATA_SET_ERROR / rules.attempts)
        if value < math.log(rules.target) - allowed:
            return f"on one data set it reached {math.exp(value):.2f}x, this host's noise is a factor of {spread.factor:.2f}"
    return None


def judge_slow_data_set(question: str, samples: Sequence[Sample], run: int, rules: Rules) -> Outcome:
    """The verdict on a file that was under the target on one data set, which no further round can take back.

    It is the host's doing where, on a busy host, no data set is slow without the time that others had.
    """
    if rules.edition > 3 and host_is_busy(samples):
        alone = [of_its_own(sample) for sample in samples]
        if slow_data_set(alone, run, rules) is None:
            return Outcome(OutcomeKind.INCONCLUSIVE, f"{question}; others had the CPU, too: without them it was not")
    return Outcome(OutcomeKind.UNSTABLE, question)


def judge_slowest(
    question: str, samples: Sequence[Sample], run: int, slowest_max: float, hosts_max: float = HOSTS_SLOWEST_MAX
) -> Outcome:
    """The verdict on a file that is far slower now and then, which no further round can take back.

    Args:
        slowest_max: the slowest sample over the median one, past which a file does not pass.
        hosts_max: the same of the task's own files, past which the host may have made the file slow.
    """
    hosts = max(_slowest_over_median(samples, side) for side in ("baseline", "sentinel"))
    mine = counted_samples(samples, run)
    median_s = statistics.median(sample.seconds for sample in mine)
    slow = [sample for sample in mine if sample.seconds > slowest_max * median_s]
    if host_is_busy(samples) and all(map(held_up_by_others, slow)):
        return Outcome(OutcomeKind.INCONCLUSIVE, f"{question}; others had the CPU in most of that time")
    kind = OutcomeKind.UNSTABLE if hosts <= hosts_max else OutcomeKind.INCONCLUSIVE
    return Outcome(kind, f"{question}; this host's own slowest took {hosts:.1f} times")


def _slowest_over_median(samples: Sequence[Sample], side: str) -> float:
    seconds = [sample.seconds for sample in samples if sample.side == side and sample.ending in TIMED]
    return max(seconds) / statistics.median(seconds) if seconds else 1.0


def wrong_data_set(quality: Quality, rules: Rules) -> str | None:
    """Where the quality on one data set is under the bar by more than its items' noise; no other makes up for it."""
    quantile, allowed = float(special.ndtri(1.0 - DATA_SET_ERROR / rules.attempts)), -(quality.tolerance or 0.0)
    for entry in quality.rounds:
        if entry.difference + quantile * math.sqrt(entry.variance) < allowed:
            figures = f"difference {entry.difference:+.4f}, allowed {allowed:+.4f}"
            return f"{quality.name} {entry.candidate:.4f} on the data of round {entry.round} ({figures})"
    return None


def judge_quality_doubt(question: str, quality: Quality, rules: Rules) -> Outcome:
    """The host has no part in quality: what the items of the data leave open is nobody's doubt, the rest is the file's."""
    compared = compared_rounds(quality.rounds, rules)
    if not compared:
        return Outcome(OutcomeKind.INCONCLUSIVE, question)
    allowed = -(quality.tolerance or 0.0)
    distance = sum(entry.difference for entry in compared) / len(compared) - allowed
    items = Spread(sum(entry.variance for entry in compared) / len(compared), QUALITY_PRIOR_DF)
    error = error_at_a_look(rules.confidence, rules.attempts)
    if distance < 0.0 or noise_alone_would_tell(distance, items, len(compared), error):
        return Outcome(OutcomeKind.INACCURATE, f"Not shown to reach the bar: {question}")
    return Outcome(OutcomeKind.INCONCLUSIVE, question)
