"""An agent: observation in, turn out. It does not own the loop, and it never sees a sandbox."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from runner.records.transcript import ToolAnswer, Turn
from runner.task import Task


@dataclass(frozen=True, slots=True)
class Observation:
    """What an agent gets to see before its next turn.

    Attributes:
        instruction: what it has to do; the same in every observation.
        answers: one for each call of its last turn, in order; empty before the first.
        turns_left, seconds_left: what its limits leave.
    """

    instruction: str
    answers: tuple[ToolAnswer, ...]
    turns_left: int
    seconds_left: float


class Agent(Protocol):
    """Whatever plays an episode."""

    def act(self, observation: Observation) -> Turn:
        """The next turn; one without calls ends the episode."""
        ...


MakeAgent = Callable[[Task, int], Agent]
