"""A job, its runs and their totals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.records.episode import EpisodeSummary, Limits, Snapshot, Submission
from runner.records.grading import Correctness, Finding, Measurement, Rules
from runner.records.outcome import Outcome

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class JobConfig:
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


@dataclass(frozen=True, slots=True)
class SnapshotGrade:
    """A snapshot, and what it would have come to.

    Attributes:
        outcome, measurement, correctness: None where it was not graded.
    """

    snapshot: Snapshot
    stored_at: str = ""
    outcome: Outcome | None = None
    measurement: Measurement | None = None
    correctness: Correctness | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it is reported.

    Attributes:
        number: from 1.
        rules: what it was held to; with findings, samples and qualities they give the verdict again.
        notes: what happened to its grading on the way.
        enforced: for `agent`, `baseline` and `candidate`: what the engine said it enforced, place masked.
        stored_at: where the submission's file was kept, relative to the working directory; empty without one.
        snapshots: states of the submission's file while the agent worked, graded where that was asked for.
    """

    number: int
    outcome: Outcome
    episode: EpisodeSummary | None = None
    submission: Submission | None = None
    findings: tuple[Finding, ...] = ()
    measurement: Measurement | None = None
    correctness: Correctness | None = None
    rules: Rules | None = None
    notes: tuple[str, ...] = ()
    enforced: Mapping[str, Any] = field(default_factory=dict)
    stored_at: str = ""
    snapshots: tuple[SnapshotGrade, ...] = ()
