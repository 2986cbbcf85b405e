"""Run: one number in the report; an episode and the grading of what it submitted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.records.correctness import Correctness
from runner.records.finding import Finding
from runner.records.measurement import Measurement
from runner.records.outcome import Outcome
from runner.records.rules import Rules
from runner.records.snapshot import Snapshot
from runner.records.submission import Submission
from runner.records.usage import Usage


@dataclass(frozen=True, slots=True)
class EpisodeSummary:
    """The episode in figures.

    Attributes:
        turns, calls: answers of the agent, and tools that it called.
        seconds: wall clock, without the time in which its sandbox was frozen.
        ending: why it ended (`submitted`, `ended`, or the limit's name).
        dollars: what the model cost; 0.0 for agents that need none.
        usage: the model's tokens.
        working_s: of the seconds, without waits for room at the model's endpoint.
        facts: what the agent says of itself, as JSON has it.
    """

    turns: int
    calls: int
    seconds: float
    ending: str
    dollars: float = 0.0
    usage: Usage = Usage()
    working_s: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


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
