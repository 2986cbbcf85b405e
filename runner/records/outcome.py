"""Outcome: how a run ended. A closed union, each with its evidence; `match` on it ends in `assert_never`."""

from dataclasses import dataclass
from typing import ClassVar, assert_never


@dataclass(frozen=True, slots=True)
class Passed:
    """Fast enough with confidence, accurate, components work, safe."""

    name: ClassVar[str] = "passed"
    reason: str


@dataclass(frozen=True, slots=True)
class TooSlow:
    """The speed-up lies under the target, with confidence."""

    name: ClassVar[str] = "too_slow"
    reason: str


@dataclass(frozen=True, slots=True)
class Inaccurate:
    """The quality lies under the bar."""

    name: ClassVar[str] = "inaccurate"
    reason: str


@dataclass(frozen=True, slots=True)
class MissingComponent:
    """A required class or method is absent or does not work."""

    name: ClassVar[str] = "missing_component"
    reason: str


@dataclass(frozen=True, slots=True)
class NotEquivalent:
    """It computes something else than the baseline, where the policy forbids that."""

    name: ClassVar[str] = "not_equivalent"
    reason: str


@dataclass(frozen=True, slots=True)
class Unsafe:
    """A safety check failed; the reason names it."""

    name: ClassVar[str] = "unsafe"
    reason: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """The submission raised, or its process ended, under measurement."""

    name: ClassVar[str] = "crashed"
    reason: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No answer within the time that a sample may take."""

    name: ClassVar[str] = "timed_out"
    reason: str


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The kernel ended it for memory."""

    name: ClassVar[str] = "out_of_memory"
    reason: str


@dataclass(frozen=True, slots=True)
class BadAnswer:
    """The answer does not have the declared form."""

    name: ClassVar[str] = "bad_answer"
    reason: str


@dataclass(frozen=True, slots=True)
class SandboxBroken:
    """The agent ruined its own sandbox before it submitted."""

    name: ClassVar[str] = "sandbox_broken"
    reason: str


@dataclass(frozen=True, slots=True)
class NoSubmission:
    """The agent ended, or ran out of a limit, without submitting; the reason says which."""

    name: ClassVar[str] = "no_submission"
    reason: str


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """The host is too noisy to call it at the allowed cost."""

    name: ClassVar[str] = "inconclusive"
    reason: str


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """An engine, API or host fault: ours, and no failure of the agent's."""

    name: ClassVar[str] = "infrastructure"
    reason: str
    hint: str = ""


Failure = (
    TooSlow
    | Inaccurate
    | MissingComponent
    | NotEquivalent
    | Unsafe
    | Crashed
    | TimedOut
    | OutOfMemory
    | BadAnswer
    | SandboxBroken
    | NoSubmission
)
Verdict = (
    Passed
    | TooSlow
    | Inaccurate
    | MissingComponent
    | NotEquivalent
    | Unsafe
    | Crashed
    | TimedOut
    | OutOfMemory
    | BadAnswer
    | Inconclusive
)
Outcome = Passed | Failure | Inconclusive | Infrastructure


def reward(outcome: Outcome) -> float | None:
    """1 for `passed`, 0 for the other outcomes that count, None for those shown apart."""
    match outcome:
        case Passed():
            return 1.0
        case Inconclusive() | Infrastructure():
            return None
        case (
            TooSlow()
            | Inaccurate()
            | MissingComponent()
            | NotEquivalent()
            | Unsafe()
            | Crashed()
            | TimedOut()
            | OutOfMemory()
            | BadAnswer()
            | SandboxBroken()
            | NoSubmission()
        ):
            return 0.0
        case _:
            assert_never(outcome)
