"""The boundary to an agent's code: what it raises or returns by mistake is for its author to fix.

It is not a failure of the run that is measured, and not a reason for a stack trace: the run ends as infrastructure, with a
cause that names the agent's file. The frames (without the exception's message, which may contain anything) go to the
transcript.
"""

import inspect
import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from runner.agents.protocol import (
    Agent,
    AgentContext,
    EventListener,
    ExtraTool,
    MakeAgent,
    Observation,
    ReportsFacts,
    SandboxAgent,
)
from runner.budget.limits import EpisodeEnded
from runner.faults import Fault, InfrastructureFault, UsageFault
from runner.records.episode import ToolCall, Turn
from runner.records.events import KIND, Event, EventSink, event_to_json
from runner.untrusted_json import is_too_deep

Made = TypeVar("Made")
MESSAGE_CHARS_MAX = 160  # of an exception: a line of a report
HINT = "fix the agent; this run is not counted, and the frames are in its transcript"


class AgentAdapter:
    """An agent whose mistakes are faults.

    Attributes:
        tools: those of its own, by name.
    """

    def __init__(self, make: MakeAgent, context: AgentContext) -> None:
        """
        Raises:
            InfrastructureFault: it could not be made, for whatever reason: the job that wants it has begun.
        """
        self._context = context
        try:
            self._agent: Agent = _call_agent(lambda: make(context), make, context)
        except EpisodeEnded as ended:
            cause = f"{_name(make)} ended its episode ({ended.ending}) before it began"
            raise InfrastructureFault(cause=cause, hint=HINT) from ended
        self.tools: Mapping[str, ExtraTool] = _call_agent(self._own_tools, make, context)

    def _own_tools(self) -> dict[str, ExtraTool]:
        return dict(self._agent.tools) if isinstance(self._agent, SandboxAgent) else {}

    def act(self, observation: Observation) -> Turn:
        """The agent's turn.

        Raises:
            EpisodeEnded: the episode ends before this turn.
            InfrastructureFault: the agent is wrong, or it says itself that the run cannot go on.
        """
        turn = _call_agent(lambda: self._agent.act(observation), type(self._agent), self._context)
        wrong = turn_error(turn)
        if wrong:
            raise InfrastructureFault(cause=f"{_name(type(self._agent))}: act must return a Turn; {wrong}", hint=HINT)
        return turn

    def with_events(self, emit: EventSink) -> EventSink:
        """Wrap `emit` so that an agent with `on_event` receives every event of its episode."""
        on_event = _event_listener(self._agent)
        if on_event is None:
            return emit

        def emit_to_both(event: Event) -> None:
            emit(event)
            _call_agent(lambda: on_event(event), type(self._agent), self._context)

        return emit_to_both

    @property
    def facts(self) -> dict[str, Any]:
        """What the agent says of its episode in `facts`, as results.json can hold it."""
        try:
            facts = dict(self._agent.facts) if isinstance(self._agent, ReportsFacts) else {}
            return dict(json.loads(json.dumps(facts, allow_nan=False, default=str)))
        except (Exception, SystemExit) as error:  # boundary: an agent is anybody's code; its run is over, and valid
            return {"unreadable": type(error).__name__}


def _event_listener(agent: Agent) -> EventSink | None:
    """What the agent's events go to; None for an agent that does not ask for them."""
    if isinstance(agent, EventListener):
        return agent.on_event
    heard = getattr(
        agent, "heard", None
    )  # compatibility, for one version: heard(kind, event) of agents written for 1.0
    if not callable(heard):
        return None
    return lambda event: heard(event.kind, {key: value for key, value in event_to_json(event).items() if key != KIND})


def turn_error(turn: object) -> str:
    """What is wrong with what an agent returned as its turn; empty: nothing."""
    if not isinstance(turn, Turn):
        return f"it returned {type(turn).__name__}"
    if not isinstance(turn.say, str) or not isinstance(turn.ending, str):
        return "its say and its ending must be text"
    if not isinstance(turn.calls, tuple):
        return f"its calls must be a tuple, not {type(turn.calls).__name__}"
    for call in turn.calls:
        if not isinstance(call, ToolCall):
            return f"its calls hold {type(call).__name__} where a ToolCall must be"
        if not (isinstance(call.id, str) and isinstance(call.tool, str) and isinstance(call.input, dict)):
            return "a call's id and tool must be text, and its input a dict"
        if not isinstance(call.broken, str):
            return "a call's broken must be text"
        if not _is_json(call.input):
            return "a call's input must be what JSON can hold: text for keys, finite numbers, not nested deeply"
    return ""


def _is_json(value: object) -> bool:
    """Whether JSON can represent it as it is; `json.dumps` alone would convert keys that are not text."""
    if is_too_deep(value):
        return False
    try:
        return _has_text_keys(value) and bool(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return False


def _has_text_keys(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _has_text_keys(inner) for key, inner in value.items())
    return all(map(_has_text_keys, value)) if isinstance(value, list | tuple) else True


def _call_agent(call: Callable[[], Made], who: object, context: AgentContext) -> Made:
    try:
        return call()
    except UsageFault as fault:  # of a command line; once the job runs, it would end other runs, too
        raise InfrastructureFault(cause=fault.cause, hint=fault.hint) from fault
    except (Fault, EpisodeEnded):
        raise
    except (Exception, SystemExit) as error:  # boundary: an agent is anybody's code, and may raise anything
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
        context.note("the agent raised", frames=traceback.format_list(frames))
        message = " ".join(str(error).split())[:MESSAGE_CHARS_MAX]
        cause = f"{_name(who)} raised {type(error).__name__}{_line(frames, _file(who))}: {message}"
        raise InfrastructureFault(cause=cause, hint=HINT) from error


def _name(who: object) -> str:
    """An agent's class or maker, and its file."""
    file = _file(who)
    return f"the agent {getattr(who, '__qualname__', repr(who))}" + (f" of {file}" if file else "")


def _file(who: object) -> str:
    try:
        return inspect.getfile(who)  # type: ignore[arg-type]
    except (TypeError, OSError):
        return ""


def _line(frames: Sequence[traceback.FrameSummary], file: str) -> str:
    """Where it was raised: the last frame in the agent's own file, else the last of all."""
    own = [frame for frame in frames if frame.filename == file] or list(frames)
    if not own:
        return ""
    where = "" if own[-1].filename == file else f" of {Path(own[-1].filename).name}"
    return f" in line {own[-1].lineno}{where}"
