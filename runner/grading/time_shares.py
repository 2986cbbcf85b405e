"""Whose time is up: each run of a grading has an equal share of it, and what one does not use goes to all. Pure.

The samples of a run, of its snapshots too, are its own doing: one that takes long, or brings dozens of files, must not leave
the others without rounds to be judged by. What is done for all samples alike (containers, checks) counts evenly for each.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from runner.records.grading import Sample


def out_of_time(
    owners: Mapping[int, int], samples: Sequence[Sample], elapsed_s: float, seconds_max: float
) -> frozenset[int]:
    """The candidates that get no further round.

    Once the time is over, that is all of them, unless it would not be over without what some runs took beyond their shares:
    then it is the candidates of those alone. A run's own submission answers for no snapshot of it: else whoever keeps
    dozens of slow ones would not be judged.

    Args:
        owners: the run of each candidate of the grading, by the candidate's number.
        samples: that were taken, those of the task's own files and repeated ones included.
    """
    if elapsed_s < seconds_max:
        return frozenset()
    spent_s = _spent_s(samples, elapsed_s)
    of_runs: dict[int, float] = defaultdict(float)
    for candidate, seconds in spent_s.items():
        of_runs[owners[candidate]] += seconds
    share_s = seconds_max / len(set(owners.values()))
    beyond_s = sum(max(0.0, seconds - share_s) for seconds in of_runs.values())
    if elapsed_s - beyond_s >= seconds_max:
        return frozenset(owners)
    return frozenset(c for c, run in owners.items() if (spent_s if c == run else of_runs)[run] > share_s)


def _spent_s(samples: Sequence[Sample], elapsed_s: float) -> dict[int, float]:
    """Seconds by candidate: of its samples, and its part of what no sample took."""
    mine = [sample for sample in samples if sample.run]
    besides_s = max(0.0, elapsed_s - sum(sample.seconds for sample in samples)) / max(1, len(mine))
    spent_s: dict[int, float] = defaultdict(float)
    for sample in mine:
        spent_s[sample.run] += sample.seconds + besides_s
    return spent_s
