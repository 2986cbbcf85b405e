"""Do gradings that measure at once disturb each other? Several slots side by side against one that measures alone. Pure.

Two things may suffer: the level (a shared memory bus, a clock frequency that falls with the number of busy cores) and the
spread. A slot keeps its place only where neither differs from what is seen alone by more than the certificate of the host
could tell: what is smaller than that moves no verdict.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

from runner.grading.calibration.certificates import SPREAD_ERROR
from runner.grading.calibration.study import ORACLE_RUN, Study
from runner.grading.intervals import round_difference
from runner.records.grading import Sample


@dataclass(frozen=True, slots=True)
class Beside:
    """One slot while all of them measured, against the host with nothing beside.

    Attributes:
        slot, slots: which of how many, from 1.
        baseline_times: how many times as long as alone the baseline takes.
        ratio_times: how many times as large the ratio of baseline to solution is.
        ratio_sd: of the log of a round's ratio.
        disturbed: why the slot cannot be measured in; empty where it can.
    """

    slot: int
    slots: int
    baseline_times: float
    ratio_times: float
    ratio_sd: float
    disturbed: str


def compare_with_alone(
    slot: int, slots: int, beside: tuple[Sequence[Sample], Study], alone: tuple[Sequence[Sample], Study]
) -> Beside:
    """What the others do to a slot.

    Args:
        beside, alone: samples of the same files, and the study of them.
    """
    (samples, of_slot), (of_host, host) = beside, alone
    baseline_times = math.exp(_mean_log_baseline(samples) - _mean_log_baseline(of_host))
    ratio_times = math.exp(_mean_log_ratio(samples) - _mean_log_ratio(of_host))
    return Beside(
        slot=slot,
        slots=slots,
        baseline_times=baseline_times,
        ratio_times=ratio_times,
        ratio_sd=of_slot.ratio_sd,
        disturbed=_disturbed(baseline_times, ratio_times, of_slot, host),
    )


def _disturbed(baseline_times: float, ratio_times: float, of_slot: Study, host: Study) -> str:
    told = host.min_detectable_ratio
    for name, times in (("the baseline's time", baseline_times), ("the ratio", ratio_times)):
        if not 1.0 / told <= times <= told:
            return f"{name} is {times:.3f} times what it is alone, and {told:.3f} can be told"
    # The spread by an F test of the two variances, as a job's sentinels are held against a certificate.
    bound = float(special.fdtri(of_slot.rounds - 1, host.rounds - 1, 1.0 - SPREAD_ERROR))
    if of_slot.ratio_sd**2 > bound * host.ratio_sd**2:
        return f"a round's ratio varies by {100 * of_slot.ratio_sd:.1f} %, alone by {100 * host.ratio_sd:.1f} %"
    return ""


def _mean_log_baseline(samples: Sequence[Sample]) -> float:
    return statistics.fmean(math.log(sample.seconds) for sample in samples if sample.side == "baseline")


def _mean_log_ratio(samples: Sequence[Sample]) -> float:
    rounds = sorted({sample.round for sample in samples})
    sides = [
        (
            [sample.seconds for sample in samples if sample.round == number and sample.side == "baseline"],
            [sample.seconds for sample in samples if sample.round == number and sample.run == ORACLE_RUN],
        )
        for number in rounds
    ]
    return statistics.fmean(round_difference(*side) for side in sides)
