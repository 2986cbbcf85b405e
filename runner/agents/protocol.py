"""An agent: observation in, turn out. It does not own the loop, and it never sees a sandbox.

A third party brings one with `--agent FILE.py:Class` or an entry point of the group `runner.agents`: whatever it names is
called with an `AgentContext` for each run, and what comes back is asked for turns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from runner.budget.ledger import Meter
from runner.records.episode import Limits, Note, ToolResult, Turn
from runner.tasks.task import Task


@dataclass(frozen=True, slots=True)
class AgentContext:
    """What the maker of an agent is told.

    Attributes:
        run: number of the run, from 1.
        note: appends an event (kind, JSON object) to the run's transcript.
        meter: takes what the agent's model uses, as soon as it is known; the limits on tokens and dollars look there.
    """

    task: Task
    run: int
    note: Note = lambda kind, event: None
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True, slots=True)
class Observation:
    """What an agent gets to see before its next turn.

    Attributes:
        instruction: what it has to do; the same in every observation.
        answers: one for each call of its last turn, in order; empty before the first.
        left: what its limits leave.
    """

    instruction: str
    answers: tuple[ToolResult, ...]
    left: Limits


class Agent(Protocol):
    """Whatever plays an episode."""

    def act(self, observation: Observation) -> Turn:
        """The next turn; one without calls ends the episode.

        Raises:
            BudgetExceeded: a limit ends the episode before this turn.
            InfrastructureFault: the run cannot go on, by no fault of the agent's.
        """
        ...


MakeAgent = Callable[[AgentContext], Agent]
