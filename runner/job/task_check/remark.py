"""What a check of a task says."""

from dataclasses import dataclass
from typing import Literal

from runner.faults import Fault

Mark = Literal["ok", "warn", "fault"]


@dataclass(frozen=True, slots=True)
class Remark:
    """One line of a task's check.

    Attributes:
        check: what was looked at.
        text: what was seen; may hold a container's words, so hostile text.
        fix: what the author does now; empty where there is nothing to do.
    """

    check: str
    mark: Mark
    text: str
    fix: str = ""


def of_fault(check: str, fault: Fault) -> Remark:
    """A fault as a remark."""
    return Remark(check, "fault", fault.cause, fault.hint)
