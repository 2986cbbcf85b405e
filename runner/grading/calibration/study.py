"""An A/A study: the same file on both sides, in the geometry of a real round; what a host's noise does to ratios. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from runner.grading.intervals import LOOKS_CERTIFIED, error_at_a_look, half_width, plain_bounds, round_difference
from runner.records.grading import Certificate, Ending, Interval, Sample
from runner.tasks.task import Array

ORACLE_RUN, BASELINE_RUN, NOOP_RUN = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Study:
    """What a calibration found.

    Attributes:
        rounds: how many it rests on.
        ratio_sd: of d_r, the log of a round's ratio of baseline to oracle; what the certificate holds.
        baseline: the baseline against itself: the ratio, which is 1, with its 95 % bounds.
        oracle: the oracle against itself (odd against even samples of a round), likewise.
        autocorrelation: of the baseline's times from one round to the next (lag 1).
        call_overhead_s: median seconds of a file that returns zeros at once: what frame, file and call cost alone; None
            where it was not measured.
        smallest: the smallest factor that a ratio must be away from 1 to be told from it at the last look.
    """

    rounds: int
    ratio_sd: float
    baseline_sd: float
    oracle_sd: float
    baseline: Interval
    oracle: Interval
    autocorrelation: float
    call_overhead_s: float | None
    smallest: float
    sentinel_log_mean: float
    sentinel_log_sd: float


def study(samples: Sequence[Sample], confidence: float) -> Study:
    """The study of samples in which run 1 was the oracle, and run 2 the baseline once more.

    Raises:
        ValueError: fewer than three rounds.
    """
    rounds = sorted({sample.round for sample in samples})
    if len(rounds) < 3:
        raise ValueError("a calibration needs at least three rounds")

    def seconds(number: int, side: str, run: int = 0) -> list[float]:
        return [s.seconds for s in samples if (s.round, s.side, s.run) == (number, side, run)]

    ratios = [round_difference(seconds(n, "baseline"), seconds(n, "candidate", ORACLE_RUN)) for n in rounds]
    bases = [round_difference(seconds(n, "baseline"), seconds(n, "candidate", BASELINE_RUN)) for n in rounds]
    oracles = []
    for number in rounds:
        mine = seconds(number, "candidate", ORACLE_RUN)
        oracles.append(round_difference(mine[0::2], mine[1::2]))
    levels = [math.log(seconds(n, "baseline")[0]) for n in rounds]
    sentinels = [math.log(s.seconds) for s in samples if s.side == "sentinel"]
    nothing = [s.seconds for s in samples if s.run == NOOP_RUN and s.ending == Ending.ANSWERED]
    variance, last = statistics.variance(ratios), LOOKS_CERTIFIED[-1]
    df = len(rounds) - 1
    return Study(
        rounds=len(rounds),
        ratio_sd=math.sqrt(variance),
        baseline_sd=statistics.stdev(bases) / math.sqrt(2.0),
        oracle_sd=statistics.stdev([math.log(t) for n in rounds for t in seconds(n, "candidate", ORACLE_RUN)]),
        baseline=plain_bounds(bases, 0.95),
        oracle=plain_bounds(oracles, 0.95),
        autocorrelation=_lag_one(levels),
        call_overhead_s=statistics.median(nothing) if nothing else None,
        smallest=math.exp(half_width(variance, df + last - 1, last, error_at_a_look(confidence, certified=True))),
        sentinel_log_mean=statistics.fmean(sentinels),
        sentinel_log_sd=statistics.stdev(sentinels),
    )


def noop_submission(entry: str, answer: Sequence[Array]) -> bytes:
    """A file whose entry returns zeros of the declared form at once."""
    arrays = ", ".join(f"{array.name!r}: np.zeros({array.shape!r}, {array.dtype!r})" for array in answer)
    return f"import numpy as np\n\n\ndef {entry}(**given):\n    return {{{arrays}}}\n".encode()


def certificate(found: Study, name: str) -> Certificate:
    """What a verdict uses of a study."""
    return Certificate(name, found.ratio_sd**2, found.rounds - 1, found.sentinel_log_mean, found.sentinel_log_sd)


def _lag_one(values: Sequence[float]) -> float:
    mean = statistics.fmean(values)
    total = sum((value - mean) ** 2 for value in values)
    pairs = zip(values, values[1:], strict=False)
    return sum((a - mean) * (b - mean) for a, b in pairs) / total if total else 0.0
