"""Where an episode's turns and seconds went: reading, editing, running, asking the model."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from runner.records.events import EndEvent, Event, ResponseEvent, ToolResultEvent, TurnEvent

# What a tool is for; a tool of a later version counts as running.
KINDS = {"view": "reading", "create": "editing", "str_replace": "editing", "insert": "editing", "submit": "submitting"}
RUNNING, ASKING = "running", "asking the model"
SECONDS_MAX = 1e9  # thirty years: chosen; what says that something took longer, or less than nothing, was spoiled


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
                seconds[KINDS.get(tools.get(event.call, ""), RUNNING)] += _known(event.seconds) or 0.0
                errors += event.is_error
            case ResponseEvent():
                seconds[ASKING] += sum(_known(attempt.seconds) or 0.0 for attempt in event.tries)
            case EndEvent():
                total = _known(event.seconds)
            case _:
                pass
    return Effort(turns=turns, calls=len(tools), seconds=total, by_kind=dict(seconds), errors=errors)


def _known(seconds: float) -> float | None:
    """Seconds that something can have taken; None where it cannot."""
    return seconds if 0.0 <= seconds <= SECONDS_MAX else None
