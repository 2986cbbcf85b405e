"""How far a pass rate could have come out otherwise by the noise of the measurement alone. Pure.

Rounds are resampled, not verdicts: the verdicts of one job share the baseline's samples, and so their errors.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from runner.grading.measurement import log_ratios
from runner.records.outcome import OutcomeKind, properties
from runner.records.run import Run, Totals

REPLICATES = 2000  # chosen: 50 of them lie outside either 95 % bound
LEVEL = 0.95  # the usual one


def pass_rate_interval(runs: Sequence[Run]) -> tuple[float, float] | None:
    """Bounds of the pass rate over rounds drawn again with replacement; None where nothing counts.

    Runs whose outcome does not rest on a speed-up keep it. The draws are the same for the same runs.
    """
    fixed, logs = 0, []
    for run in runs:
        if not properties(run.outcome).counts:
            continue
        speeds = _over_target(run)
        if speeds is None:
            fixed += run.outcome.kind is OutcomeKind.PASSED
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


def job_totals(runs: Sequence[Run], seconds: float, spent: float) -> Totals:
    """Counts over a job's runs, with bounds of the pass rate.

    Args:
        seconds: wall clock of the whole job.
        spent: US dollars by the job's ledger, which knows of turns that no run records.
    """
    counted = summarize_runs(runs, seconds)
    low, high = pass_rate_interval(runs) or (None, None)
    return replace(counted, pass_rate_low=low, pass_rate_high=high, dollars=max(counted.dollars, spent))


def _over_target(run: Run) -> list[float] | None:
    """log(ratio / target) of each round, where that decided the run; else None."""
    grading = run.grading
    if run.outcome.kind not in (OutcomeKind.PASSED, OutcomeKind.TOO_SLOW):
        return None
    if grading is None or grading.measurement is None or grading.rules is None:
        return None
    return log_ratios(grading.measurement.samples, run.number, grading.rules.target) or None


def summarize_runs(runs: Sequence[Run], seconds: float) -> Totals:
    """Counts over the runs, without bounds of the pass rate.

    Args:
        seconds: wall clock of the whole job.
    """
    counted = [run for run in runs if properties(run.outcome).counts]
    passed = sum(run.outcome.kind is OutcomeKind.PASSED for run in counted)
    faults = sum(run.outcome.kind is OutcomeKind.INFRASTRUCTURE for run in runs)
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
