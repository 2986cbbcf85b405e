"""Transcript: what was said and done in an episode, one event a line."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The agent asks for a tool.

    Attributes:
        id: ties the answer to the call.
        tool: a tool's name, or whatever the agent made up.
        input: the tool's arguments; hostile until checked.
    """

    id: str
    tool: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What the agent gets to see of a call.

    Attributes:
        text: output or error, capped; bytes that are no UTF-8 are replaced.
        is_error: the call itself was wrong; an exit status other than 0 is no such error.
        seconds: on the host's clock.
        facts: exit status, why it ended, bytes cut.
    """

    call_id: str
    text: str
    is_error: bool
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of the agent.

    Attributes:
        say: its text.
        calls: the tools that it asks for; none ends the episode.
        dollars: what the turn cost.
    """

    say: str
    calls: tuple[ToolCall, ...] = ()
    dollars: float = 0.0
