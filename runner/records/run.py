"""Run: one number in the report; an episode and the grading of what it submitted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.records.correctness import Correctness
from runner.records.finding import Finding
from runner.records.measurement import Measurement
from runner.records.outcome import Outcome
from runner.records.rules import Rules
from runner.records.submission import Submission


@dataclass(frozen=True, slots=True)
class EpisodeSummary:
    """The episode in figures.

    Attributes:
        turns, calls: answers of the agent, and tools that it called.
        seconds: wall clock.
        ending: why it ended (`submitted`, `ended`, or the limit's name).
        dollars: what the model cost; 0.0 for agents that need none.
    """

    turns: int
    calls: int
    seconds: float
    ending: str
    dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it is reported.

    Attributes:
        number: from 1.
        rules: what it was held to; with findings, samples and qualities they give the verdict again.
        notes: what happened to its grading on the way.
        enforced: for `agent`, `baseline` and `candidate`: what the engine said it enforced, place masked.
        stored_at: where the submission's file was kept, relative to the working directory; empty without one.
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
