"""A host's noise, and what it leaves open: spreads, their comparison, and the prospect of more rounds. Pure.

The host's noise is what the submission does not control: the baseline, the sentinel that opens each round (the task's own
solution), and the certificate.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

from runner.grading.hiccups import counted_samples
from runner.grading.intervals import half_width, pooled
from runner.grading.schedule import SAMPLES_PER_ROUND
from runner.records.grading import Certificate, Sample

# Error probability of the F test of a file's spread against the host's, one-sided. chosen: far smaller than one is used to,
# since times have heavier tails than the test knows of: replayed from a trace it is wrong in two gradings of a hundred.
SPREAD_ERROR = 0.0001
# Rounds that are still named as a prospect. chosen: beyond, nobody would take them.
PROSPECT_MAX = 200


@dataclass(frozen=True, slots=True)
class Spread:
    """How much a logarithm varies from round to round.

    Attributes:
        variance: of one round.
        df: degrees of freedom of that variance.
    """

    variance: float
    df: int

    @property
    def factor(self) -> float:
        """One standard deviation, as a ratio."""
        return math.exp(min(math.sqrt(self.variance), 50.0))


@dataclass(frozen=True, slots=True)
class HostNoise:
    """What a host, and the data sets, make of the log of a sample's time.

    Attributes:
        baseline, short: of the baseline's samples, and of a sample as short as the sentinel's.
        rounds: how many baseline samples there are.
        certified: of d_r, as a calibration found it; None without a certificate.
    """

    baseline: Spread
    short: Spread
    rounds: int
    certified: Spread | None

    def of_round(self, samples: int = SAMPLES_PER_ROUND) -> Spread:
        """Of d_r, with so many samples of the candidate; pooled with the certificate's."""
        df = self.baseline.df
        variance = self.baseline.variance + self.short.variance / samples
        if self.certified is None:
            return Spread(variance, df)
        known = self.certified
        return Spread((variance * df + known.variance * known.df) / (df + known.df), df + known.df)

    def of_audit(self, samples: int) -> Spread:
        """Of an audit's d: the baseline's level is known from few samples."""
        return Spread(self.baseline.variance / self.rounds + self.short.variance / samples, self.baseline.df)


def host_noise(samples: Sequence[Sample], certificate: Certificate | None) -> HostNoise | None:
    """The host's noise from the baseline's and the sentinel's samples; None with fewer than two of one of them.

    A few baseline samples say little of their spread, so that of the sentinel is pooled in: it is the shorter one, and the
    first after a warm-up, so rather noisier. What the data sets add is in both, which is in the submission's favour.
    """
    baseline, sentinel = ([math.log(s.seconds) for s in samples if s.side == side] for side in ("baseline", "sentinel"))
    known = None if certificate is None else Spread(certificate.sentinel_log_sd**2, certificate.df)
    short = spread_of(sentinel if len(sentinel) > 1 else baseline, known)
    if short is None or not baseline:
        return None
    whole = spread_of(baseline, short) if len(sentinel) > 1 else short
    certified = None if certificate is None else Spread(certificate.variance, certificate.df)
    return HostNoise(whole or short, short, len(baseline), certified)


def spread_of(values: Sequence[float], known: Spread | None = None) -> Spread | None:
    """The spread of some values, pooled with what is known beforehand; None where that leaves no degree of freedom."""
    found = pooled(values, known.variance, known.df) if known else pooled(values, 0.0, 0) if values else None
    return None if found is None else Spread(*found)


def within_rounds(samples: Sequence[Sample], run: int) -> Spread | None:
    """Of the candidate's samples on one data set around their mean; None where no data set has two."""
    by_round: dict[int, list[float]] = {}
    for sample in counted_samples(samples, run):
        by_round.setdefault(sample.round, []).append(math.log(sample.seconds))
    df = sum(len(logs) - 1 for logs in by_round.values())
    if df == 0:
        return None
    return Spread(
        sum(statistics.variance(logs) * (len(logs) - 1) for logs in by_round.values() if len(logs) > 1) / df, df
    )


def varies_more(own: Spread, host: Spread) -> bool:
    """Whether a file's rounds vary more than the host explains (an F test of the two variances)."""
    if own.df < 1 or host.variance <= 0.0:
        return own.variance > 0.0
    return own.variance / host.variance > float(special.fdtri(own.df, host.df, 1.0 - SPREAD_ERROR))


def noise_alone_would_tell(distance: float, noise: Spread, rounds: int, error: float) -> bool:
    """Whether so many rounds with this noise alone tell a value at this distance from what it is held to."""
    return abs(distance) > half_width(noise.variance, noise.df, rounds, error)


def chance_to_tell(distance: float, own: Spread, rounds: int, rounds_max: int, error: float) -> float:
    """How likely the interval after `rounds_max` rounds leaves out the target, given this mean distance after `rounds`.

    The predictive distribution of the final mean: what is still to come varies as what came, around a mean that is itself
    known from `rounds` rounds only (conditional power averaged over it; Spiegelhalter, Freedman and Blackburn, 1986).
    """
    if rounds >= rounds_max:
        return 0.0
    if own.variance <= 0.0:
        return 1.0 if distance else 0.0
    half = half_width(own.variance, own.df + rounds_max - rounds, rounds_max, error)
    sd = math.sqrt(own.variance * (rounds_max - rounds) / (rounds_max * rounds))
    below, above = (float(special.stdtr(own.df, (edge - distance) / sd)) for edge in (-half, half))
    return 1.0 - (above - below)


def more_rounds_to_tell(distance: float, own: Spread, rounds: int, error: float) -> int | None:
    """How many more rounds might tell, were the mean to stay where it is; None: more than anybody would take."""
    if distance == 0.0:
        return None
    quantile = float(special.ndtri(1.0 - error))
    needed = math.ceil(own.variance * (quantile / distance) ** 2)
    more = max(1, needed - rounds)
    return more if more <= PROSPECT_MAX else None
