"""Exit statuses of the program, and which one a job ends with."""

from collections.abc import Sequence

from runner.records.outcome import OutcomeKind
from runner.records.run import Run, Totals

# 2 is what shells and typer use for a wrong command line, 130 is 128 and the number of SIGINT; the others are ours.
OK, BELOW_THRESHOLD, USAGE, INFRASTRUCTURE, BUDGET, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


def exit_status(
    runs: Sequence[Run], totals: Totals, *, interrupted: bool, fail_under: float | None, budget_ended: bool = False
) -> int:
    """The first that holds of: interrupted, the job's budget, infrastructure, under the pass rate, inconclusive, fine."""
    if interrupted:
        return INTERRUPTED
    if budget_ended:
        return BUDGET
    if any(run.outcome.kind is OutcomeKind.INFRASTRUCTURE for run in runs):
        return INFRASTRUCTURE
    if fail_under is not None and (totals.pass_rate is None or totals.pass_rate < fail_under):
        return BELOW_THRESHOLD
    if any(run.outcome.kind is OutcomeKind.INCONCLUSIVE for run in runs):
        return INCONCLUSIVE
    return OK
