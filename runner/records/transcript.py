"""Transcript: what was said and done in an episode, one event a line of run_<i>/transcript.jsonl.

Every line has `event` (its kind) and `at` (date and time). Kinds, in the order in which a turn makes them:

start     run, agent, task, image, instruction and system prompt by hash, limits
request   what the model was asked, exactly: `body` without messages, `messages_kept` (so many of the messages of the request
          before stay), `messages` (what follows them), `sha256` of the whole body as it was sent; `api` where it is not the
          Messages API's (messages and tools are in that wire's words then)
response  what it said, exactly: content, stop reason, usage, dollars, request id, seconds, all tries
          (`is_bound`: its dollars are the most that it can have cost)
turn      what the agent says and asks for: say, calls, usage, dollars
answer    what a call came to: text, is_error, seconds, facts
snapshot  the submission's file changed: turn, sha256, bytes, where it is kept
budget    after each turn: what was spent, what is left
note      something that a reader must know (tool outputs cleared from the context, a replay that differs)
end       why the episode ended, and its sums
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Note = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The agent asks for a tool.

    Attributes:
        id: ties the answer to the call.
        tool: a tool's name, or whatever the agent made up.
        input: the tool's arguments; hostile until checked.
        broken: why the input could not even be read; empty where it could.
    """

    id: str
    tool: str
    input: dict[str, Any]
    broken: str = ""


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What the agent gets to see of a call.

    Attributes:
        text: output or error, capped; bytes that are no UTF-8 are replaced.
        is_error: the call itself was wrong; an exit status other than 0 is no such error.
        seconds: on the host's clock.
        facts: exit status, why it ended, bytes cut.
        ends: the limit that was used up while it ran, and ends the episode; empty: none.
    """

    call_id: str
    text: str
    is_error: bool
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    ends: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of the agent.

    Attributes:
        say: its text.
        calls: the tools that it asks for; none ends the episode, unless `goes_on`.
        ending: how the agent itself calls its end (`refused`, say); empty: `ended`.
        goes_on: a turn without calls that is not the last (its answer was cut off).
    """

    say: str
    calls: tuple[ToolCall, ...] = ()
    ending: str = ""
    goes_on: bool = False
