"""Job: what one command line asked for, and the totals of its runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.records.limits import Limits
from runner.records.outcome import Infrastructure, Passed, reward
from runner.records.run import Run

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for; written to job.json before anything starts.

    Attributes:
        jobs: episodes at a time.
        grade_after_s: a waiting submission is graded after so many seconds even while episodes run (these are frozen
            meanwhile); None: when all episodes are done.
        rounds_max: the most rounds that a grading may take.
        model: that plays; empty for agents without one.
        dollars_max: of the whole job; None: no cap.
        limits: of each episode, by name.
        take_last, grade_snapshots: grade the last state of the file where nothing was submitted; grade every state.
    """

    task: str
    task_digest: str
    scale: str
    agent: str
    runs: int
    jobs: int
    name: str
    grade_after_s: float | None
    rounds_max: int
    target: float | None
    started: str
    model: str = ""
    dollars_max: float | None = None
    limits: Limits = Limits()
    take_last: bool = False
    grade_snapshots: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over the runs; the pass rate leaves out what is shown apart.

    Attributes:
        pass_rate: passed / counted; None when nothing counts.
        pass_rate_low, pass_rate_high: what the noise of the measurement alone could have made of it (95 %).
        seconds: wall clock of the whole job.
    """

    runs: int
    counted: int
    passed: int
    failed: int
    inconclusive: int
    infrastructure: int
    pass_rate: float | None
    seconds: float
    dollars: float
    pass_rate_low: float | None = None
    pass_rate_high: float | None = None


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
