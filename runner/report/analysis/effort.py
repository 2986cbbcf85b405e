"""Where an episode's turns and seconds went: reading, editing, running, asking the model."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from runner.records.events import EndEvent, Event, ResponseEvent, ToolResultEvent, TurnEvent

# What a tool is for; a tool of a later version counts as running.
KINDS = {"view": "reading", "create": "editing", "str_replace": "editing", "insert": "editing", "submit": "submitting"}
RUNNING, ASKING = "running", "asking the model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What an episode took.

    Attributes:
        turns, calls: of the agent.
        seconds: of the episode, wall clock; None where its end was not recorded.
        by_kind: seconds of `reading`, `editing`, `running`, `submitting` (of the tools) and `asking the model` (of its
            attempts).
        errors: calls that were wrong.
    """

    turns: int
    calls: int
    seconds: float | None
    by_kind: dict[str, float]
    errors: int


def effort_of(events: Iterable[Event]) -> Effort:
    """What a transcript's events say."""
    tools: dict[str, str] = {}
    seconds: dict[str, float] = defaultdict(float)
    turns = errors = 0
    total: float | None = None
    for event in events:
        match event:
            case TurnEvent():
                turns += 1
                tools |= {call.id: call.tool for call in event.calls}
            case ToolResultEvent():
                seconds[KINDS.get(tools.get(event.call, ""), RUNNING)] += event.seconds
                errors += event.is_error
            case ResponseEvent():
                seconds[ASKING] += sum(attempt.seconds for attempt in event.tries)
            case EndEvent():
                total = event.seconds
            case _:
                pass
    return Effort(turns=turns, calls=len(tools), seconds=total, by_kind=dict(seconds), errors=errors)
