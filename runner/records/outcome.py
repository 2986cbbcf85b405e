"""Outcome: how a run ended, with its reason; and what each kind of outcome means, in one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal


class OutcomeKind(StrEnum):
    """Every way in which a run can end; the values are what results.json holds."""

    PASSED = "passed"
    TOO_SLOW = "too_slow"
    UNSTABLE = "unstable"
    INACCURATE = "inaccurate"
    MISSING_COMPONENT = "missing_component"
    NOT_EQUIVALENT = "not_equivalent"
    UNSAFE = "unsafe"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    BAD_ANSWER = "bad_answer"
    BUILD_FAILED = "build_failed"
    SANDBOX_BROKEN = "sandbox_broken"
    NO_SUBMISSION = "no_submission"
    INCONCLUSIVE = "inconclusive"
    INFRASTRUCTURE = "infrastructure"

    @property
    def words(self) -> str:
        """The kind as a person reads it."""
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        reason: one sentence with the figures that decided it; may hold names from the submission, so hostile text.
        hint: what the user can do about it; only where the host, not the agent, is the cause.
    """

    kind: OutcomeKind
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class OutcomeProperties:
    """What follows from a kind of outcome.

    Attributes:
        reward: 1.0 or 0.0; None for an outcome that does not count in the pass rate.
        by: whose doing it is.
        colour: of its name on a terminal.
        meaning: one line for the documents.
    """

    reward: float | None
    by: Literal["submission", "agent", "host"]
    colour: Literal["green", "red", "yellow"]
    meaning: str

    @property
    def counts(self) -> bool:
        """Whether it is part of the pass rate."""
        return self.reward is not None


def _failure(meaning: str, by: Literal["submission", "agent"] = "submission") -> OutcomeProperties:
    return OutcomeProperties(0.0, by, "red", meaning)


PROPERTIES: Mapping[OutcomeKind, OutcomeProperties] = MappingProxyType(
    {
        OutcomeKind.PASSED: OutcomeProperties(
            1.0, "submission", "green", "fast enough with confidence, accurate, components work, safe"
        ),
        OutcomeKind.TOO_SLOW: _failure("the speed-up is under the target, with confidence"),
        OutcomeKind.UNSTABLE: _failure("not shown to be fast enough, because its own times vary more than the host's"),
        OutcomeKind.INACCURATE: _failure("the quality is under the bar, or on one data set far under it"),
        OutcomeKind.MISSING_COMPONENT: _failure("a required class or method is absent, or does not work"),
        OutcomeKind.NOT_EQUIVALENT: _failure(
            "a component computes something other than the baseline's, where the policy forbids that"
        ),
        OutcomeKind.UNSAFE: _failure("a safety check failed; the reason names it"),
        OutcomeKind.CRASHED: _failure("the submission raised, or its process ended, while it was measured"),
        OutcomeKind.TIMED_OUT: _failure("no answer within the time that a sample may take"),
        OutcomeKind.OUT_OF_MEMORY: _failure("the kernel ended it, or a process that it had started, for memory"),
        OutcomeKind.BAD_ANSWER: _failure("the answer does not have the declared form"),
        OutcomeKind.BUILD_FAILED: _failure("the program does not build; the reason ends with what the compiler said"),
        OutcomeKind.SANDBOX_BROKEN: _failure("the agent ruined its own sandbox before it submitted", "agent"),
        OutcomeKind.NO_SUBMISSION: _failure("the agent ended, or reached a limit, without submitting", "agent"),
        OutcomeKind.INCONCLUSIVE: OutcomeProperties(
            None,
            "host",
            "yellow",
            "the host is too noisy to decide at the allowed cost, or a program's repetitions differ by no doing of its own",
        ),
        OutcomeKind.INFRASTRUCTURE: OutcomeProperties(
            None, "host", "yellow", "an engine, API or host fault, with its cause and a hint"
        ),
    }
)


def properties(outcome: Outcome) -> OutcomeProperties:
    """What follows from an outcome."""
    return PROPERTIES[outcome.kind]


def reward(outcome: Outcome) -> float | None:
    """1.0 for `passed`, 0.0 for the other outcomes that count, None for those that do not."""
    return PROPERTIES[outcome.kind].reward


def infrastructure(cause: str, hint: str) -> Outcome:
    """The outcome of a run that a fault of engine, host or endpoint ended."""
    return Outcome(OutcomeKind.INFRASTRUCTURE, cause, hint)
