"""How far a pass rate could have come out otherwise by the noise of the measurement alone. Pure.

Rounds are resampled, not verdicts: the verdicts of one job share the baseline's samples, and so their errors.
"""

import random
from collections.abc import Sequence

from runner.grading.measurement import differences
from runner.records.outcome import Infrastructure, Passed, TooSlow, reward
from runner.records.run import Run, Totals

REPLICATES = 2000
LEVEL = 0.95


def pass_rate_interval(runs: Sequence[Run]) -> tuple[float, float] | None:
    """Bounds of the pass rate over rounds drawn again with replacement; None where nothing counts.

    Runs whose outcome does not rest on a speed-up keep it. The draws are the same for the same runs.
    """
    fixed, logs = 0, []
    for run in runs:
        if reward(run.outcome) is None:
            continue
        speeds = _over_target(run)
        if speeds is None:
            fixed += isinstance(run.outcome, Passed)
        logs.append(speeds)
    if not logs:
        return None
    draw, open_ones = random.Random(len(logs)), [speeds for speeds in logs if speeds is not None]
    rates = []
    for _ in range(REPLICATES):
        places = [draw.random() for _ in range(max(map(len, open_ones), default=0))]
        passed = sum(
            sum(speeds[int(place * len(speeds))] for place in places[: len(speeds)]) >= 0 for speeds in open_ones
        )
        rates.append((fixed + passed) / len(logs))
    rates.sort()
    tail = int((1.0 - LEVEL) / 2.0 * REPLICATES)
    return rates[tail], rates[-1 - tail]


def _over_target(run: Run) -> list[float] | None:
    """log(ratio / target) of each round, where that decided the run; else None."""
    if not isinstance(run.outcome, Passed | TooSlow) or run.measurement is None or run.rules is None:
        return None
    return differences(run.measurement.samples, run.rules.target) or None


def total(runs: Sequence[Run], seconds: float) -> Totals:
    """The totals of these runs."""
    counted = [run for run in runs if reward(run.outcome) is not None]
    passed = sum(isinstance(run.outcome, Passed) for run in counted)
    faults = sum(isinstance(run.outcome, Infrastructure) for run in runs)
    return Totals(
        runs=len(runs),
        counted=len(counted),
        passed=passed,
        failed=len(counted) - passed,
        inconclusive=len(runs) - len(counted) - faults,
        infrastructure=faults,
        pass_rate=passed / len(counted) if counted else None,
        seconds=seconds,
        dollars=sum(run.episode.dollars for run in runs if run.episode is not None),
    )
