"""An agent: observation in, turn out. It does not own the loop, and it sees a sandbox only through tools of its own.

A third party brings one with `--agent FILE.py:Class` or an entry point of the group `runner.agents`: the class or function
that is named is called with an `AgentContext` for each run, and the agent that it returns is asked for turns. Besides
`Agent`, an agent may implement `EventListener`, `ReportsFacts` and `SandboxAgent`; each is looked for by its attribute.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pydantic import ValidationError

from runner.budget.ledger import Meter
from runner.records.episode import Limits, ToolCall, ToolResult, Turn
from runner.records.events import KIND, Event, EventSink, NoteEvent, event_from_json
from runner.sandbox.container import GuestExit, Sandbox
from runner.tasks.task import Task


@dataclass(frozen=True, slots=True)
class AgentContext:
    """What an agent is made with.

    Attributes:
        run: number of the run, from 1.
        emit: appends an event to the run's transcript.
        meter: takes what the agent's model uses, as soon as it is known; the limits on tokens and dollars look there.
    """

    task: Task
    run: int
    emit: EventSink = lambda event: None
    meter: Meter = field(default_factory=Meter)

    def note(self, text: str, old_event: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Append a note to the run's transcript.

        Args:
            text: in words.
            more: the same as data, by key; values that JSON can hold.
        """
        if old_event is None:
            self.emit(NoteEvent(text=text, more=more))
        else:  # compatibility, for one version: note(kind, event) of agents written for 1.0
            self._note_of_kind(text, dict(old_event))

    def _note_of_kind(self, kind: str, line: dict[str, Any]) -> None:
        try:
            event = event_from_json({**line, KIND: kind})
        except ValidationError:
            event = None
        self.emit(event or NoteEvent(text=str(line.pop("text", kind)), more={**line, "kind": kind}))


@dataclass(frozen=True, slots=True)
class Observation:
    """What an agent gets to see before its next turn.

    Attributes:
        instruction: what it has to do; the same in every observation.
        answers: the results of its last turn's calls, one for each, in order; empty before the first turn.
        left: what remains of each limit; None: no limit.
    """

    instruction: str
    answers: tuple[ToolResult, ...]
    left: Limits


class Agent(Protocol):
    """What takes the turns of an episode."""

    def act(self, observation: Observation) -> Turn:
        """The next turn; one without calls ends the episode.

        Raises:
            BudgetExceeded: a limit ends the episode before this turn.
            InfrastructureFault: the run cannot go on, by no fault of the agent's.
        """
        ...


@runtime_checkable
class EventListener(Protocol):
    """An agent that wants to be told what is written to its transcript."""

    def on_event(self, event: Event) -> None:
        """An event of its episode, as soon as it is written."""
        ...


@runtime_checkable
class ReportsFacts(Protocol):
    """An agent that has something to say about its episode when it is over."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Kept with the run in results.json."""
        ...


# A tool of an agent's own: it gets the sandbox and the call; `GuestExit` where the sandbox no longer answers.
ExtraTool = Callable[[Sandbox, ToolCall], ToolResult | GuestExit]


@runtime_checkable
class SandboxAgent(Protocol):
    """An agent that brings tools of its own, which act on the episode's sandbox (as `command` does)."""

    @property
    def tools(self) -> Mapping[str, ExtraTool]:
        """By name; they take precedence over the usual ones."""
        ...


MakeAgent = Callable[[AgentContext], Agent]
