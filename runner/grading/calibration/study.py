"""An A/A study: the same file on both sides, in the geometry of a real round; what a host's noise does to ratios. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from runner.grading.intervals import LOOKS_CERTIFIED, error_at_a_look, half_width, round_difference, t_interval
from runner.records.grading import Certificate, Ending, Interval, Sample
from runner.tasks.task import Array

ORACLE_RUN, BASELINE_RUN, NOOP_RUN = 1, 2, 3  # the runs' numbers in a calibration's samples
ROUNDS_MIN = 3  # two degrees of freedom: fewer say nothing about a variance
CONFIDENCE = 0.95  # of the intervals that a study prints; the usual one


@dataclass(frozen=True, slots=True)
class Study:
    """What a calibration found; standard deviations are of logs of seconds or of ratios, so relative.

    Attributes:
        rounds: how many it rests on.
        ratio_sd: of d_r, the log of a round's ratio of baseline to oracle; what the certificate holds.
        baseline_sd, oracle_sd: of a single sample of each.
        baseline: the baseline against itself: the ratio, which is 1, with its 95 % bounds.
        oracle: the oracle against itself (odd against even samples of a round), likewise.
        autocorrelation: of the baseline's times from one round to the next (lag 1).
        call_overhead_s: median seconds of a file that returns zeros at once: what frame, file and call cost alone; None
            where it was not measured.
        min_detectable_ratio: the smallest factor by which a ratio can be told from a target at the last look.
        sentinel_log_mean, sentinel_log_sd: of the log of the sentinels' seconds.
    """

    rounds: int
    ratio_sd: float
    baseline_sd: float
    oracle_sd: float
    baseline: Interval
    oracle: Interval
    autocorrelation: float
    call_overhead_s: float | None
    min_detectable_ratio: float
    sentinel_log_mean: float
    sentinel_log_sd: float


def study(samples: Sequence[Sample], confidence: float) -> Study:
    """The study of samples in which run ORACLE_RUN was the oracle, and run BASELINE_RUN the baseline once more.

    Args:
        confidence: of the verdicts whose resolution it states, such as 0.95.

    Raises:
        ValueError: fewer than three rounds.
    """
    rounds = sorted({sample.round for sample in samples})
    if len(rounds) < ROUNDS_MIN:
        raise ValueError(f"a calibration needs at least {ROUNDS_MIN} rounds (got {len(rounds)})")

    def seconds(number: int, side: str, run: int = 0) -> list[float]:
        return [s.seconds for s in samples if (s.round, s.side, s.run) == (number, side, run)]

    oracle_s = {number: seconds(number, "candidate", ORACLE_RUN) for number in rounds}
    ratio_logs = [round_difference(seconds(n, "baseline"), oracle_s[n]) for n in rounds]
    baseline_logs = [round_difference(seconds(n, "baseline"), seconds(n, "candidate", BASELINE_RUN)) for n in rounds]
    oracle_logs = [round_difference(oracle_s[n][0::2], oracle_s[n][1::2]) for n in rounds]
    sentinel_logs = [math.log(s.seconds) for s in samples if s.side == "sentinel"]
    noop_s = [s.seconds for s in samples if s.run == NOOP_RUN and s.ending == Ending.ANSWERED]
    variance, last_look = statistics.variance(ratio_logs), LOOKS_CERTIFIED[-1]
    df = len(rounds) - 1 + last_look - 1
    error = error_at_a_look(confidence, certified=True)
    return Study(
        rounds=len(rounds),
        ratio_sd=math.sqrt(variance),
        baseline_sd=statistics.stdev(baseline_logs) / math.sqrt(2.0),  # a difference of two samples
        oracle_sd=statistics.stdev([math.log(time) for times in oracle_s.values() for time in times]),
        baseline=t_interval(baseline_logs, CONFIDENCE),
        oracle=t_interval(oracle_logs, CONFIDENCE),
        autocorrelation=_lag_one([math.log(seconds(n, "baseline")[0]) for n in rounds]),
        call_overhead_s=statistics.median(noop_s) if noop_s else None,
        min_detectable_ratio=math.exp(half_width(variance, df, last_look, error)),
        sentinel_log_mean=statistics.fmean(sentinel_logs),
        sentinel_log_sd=statistics.stdev(sentinel_logs),
    )


def noop_submission(entry: str, answer: Sequence[Array]) -> bytes:
    """A file whose entry returns zeros of the declared form at once."""
    arrays = ", ".join(f"{array.name!r}: np.zeros({array.shape!r}, {array.dtype!r})" for array in answer)
    return f"import numpy as np\n\n\ndef {entry}(**inputs):\n    return {{{arrays}}}\n".encode()


def certificate_of(result: Study, name: str) -> Certificate:
    """What verdicts use of a study.

    Args:
        name: identifies the calibration in results.
    """
    return Certificate(
        id=name,
        variance=result.ratio_sd**2,
        df=result.rounds - 1,
        sentinel_log_mean=result.sentinel_log_mean,
        sentinel_log_sd=result.sentinel_log_sd,
    )


def _lag_one(values: Sequence[float]) -> float:
    """Autocorrelation of neighbours; 0 where nothing varies."""
    mean = statistics.fmean(values)
    total = sum((value - mean) ** 2 for value in values)
    pairs = zip(values, values[1:], strict=False)
    return sum((first - mean) * (second - mean) for first, second in pairs) / total if total else 0.0
