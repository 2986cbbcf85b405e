"""The boundary to an agent's code: what it raises or returns by mistake is for its author to fix.

It is not a failure of the run that is measured, and not a reason for a stack trace: the run ends as infrastructure, with a
cause that names the agent's file. The frames (without the exception's message, which may contain anything) go to the
transcript.
"""

import inspect
import json
import math
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from runner.agents.agent_thread import AgentThread, DirectCalls, GivenUp
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
from runner.budget.limits import BudgetExceeded, EpisodeEnded
from runner.faults import InfrastructureFault, Interrupted, UsageFault
from runner.records.episode import Limit, ToolCall, ToolResult, Turn
from runner.records.events import KIND, Event, EventSink, event_to_json
from runner.records.untrusted_json import is_too_deep, parse_object
from runner.sandbox.container import GuestExit, Sandbox
from runner.tasks.authors_code import reopen_descriptors

Made = TypeVar("Made")
MESSAGE_CHARS_MAX = 160  # of an exception: a line of a report
FAULT_CHARS_MAX = 1000  # chosen: of a fault that an agent raises itself: some sentences
AROUND_S = 10.0  # chosen: for what is no turn of a third party (its tools, on_event, facts); these say, and do not work
HINT = "fix the agent; this run is not counted, and the frames are in its transcript"


@dataclass(frozen=True, slots=True)
class ThirdPartyAgent:
    """A maker that others wrote: what it makes runs in threads that can be left behind.

    Attributes:
        stopped: the job is being stopped; nobody waits for these agents any more.
    """

    make: MakeAgent
    stopped: threading.Event = field(default_factory=threading.Event)

    def __call__(self, context: AgentContext) -> Agent:
        return self.make(context)

    def stop(self) -> None:
        """Give up every call that is under way."""
        self.stopped.set()


class AgentAdapter:
    """An agent whose mistakes are faults, and whose turns end at the limits, also where it does not come back.

    Args:
        made_within_s: the longest that a third party's agent may take to be made, in seconds; None: no limit.

    Attributes:
        tools: those of its own, by name.
        time_limit: asked again and again while a third party's agent is at work: the limit whose time is up.
    """

    def __init__(self, make: MakeAgent, context: AgentContext, made_within_s: float | None = None) -> None:
        """
        Raises:
            InfrastructureFault: it could not be made, for whatever reason: the job that wants it has begun.
            Interrupted: we are stopping.
        """
        self.time_limit: Callable[[], Limit | None] = lambda: None
        self._calls: AgentThread | DirectCalls = DirectCalls()
        self._stopped = threading.Event()
        if isinstance(make, ThirdPartyAgent):
            self._calls, self._stopped = AgentThread(f"agent of run {context.run}"), make.stopped
            make, emit = make.make, context.emit
            context = replace(context, emit=lambda event: None if self._calls.over else emit(event))
        self._context = context
        try:
            self._agent = self._made(make, made_within_s)
            in_time = self._within(AROUND_S, make, "did not name its tools")
            self.tools: Mapping[str, ExtraTool] = self._call(self._own_tools, make, in_time)
        except BaseException:
            self.close()
            raise

    def _made(self, make: MakeAgent, within_s: float | None) -> Agent:
        try:
            return self._call(lambda: make(self._context), make, self._within(within_s, make, "was not made"))
        except EpisodeEnded as ended:
            cause = f"{_name(make)} ended its episode ({ended.ending}) before it began"
            raise InfrastructureFault(cause=cause, hint=HINT) from ended

    def act(self, observation: Observation) -> Turn:
        """The agent's turn.

        Raises:
            EpisodeEnded: the episode ends before this turn.
            InfrastructureFault: the agent is wrong, or it says itself that the run cannot go on.
            Interrupted: we are stopping.
        """
        turn, wrong = self._call(self._turn_of(observation), type(self._agent), self._within_limits)
        if wrong:
            raise InfrastructureFault(cause=f"{_name(type(self._agent))}: act must return a Turn; {wrong}", hint=HINT)
        return turn

    def _turn_of(self, observation: Observation) -> Callable[[], tuple[Turn, str]]:
        """What asks for a turn, and looks at it: objects of the agent's own are asked there, too."""

        def act() -> tuple[Turn, str]:
            turn = self._agent.act(observation)
            return turn, turn_error(turn)

        return act

    def with_events(self, emit: EventSink) -> EventSink:
        """Wrap `emit` so that an agent with `on_event` receives every event of its episode."""
        on_event = self._listen(lambda: _event_listener(self._agent))
        if on_event is None:
            return emit

        def emit_to_both(event: Event) -> None:
            emit(event)
            if not self._calls.over:
                self._listen(lambda: on_event(event))

        return emit_to_both

    def _listen(self, function: Callable[[], Made]) -> Made:
        who = type(self._agent)
        return self._call(function, who, self._within(AROUND_S, who, "did not come back from on_event"))

    def close(self) -> None:
        """The episode is over: nothing more is asked of the agent."""
        self._calls.close()

    # Calls of its code

    def _call(self, function: Callable[[], Made], who: object, check: Callable[[], None]) -> Made:
        """
        Raises:
            InfrastructureFault: its code is wrong, or says that the run cannot go on.
            Exception: what `check` raised to give the call up.
        """
        known = function if isinstance(self._calls, DirectCalls) else lambda: _of_third_party(function)
        return self._calls.call(lambda: _call_agent(known, who, self._context), check)

    def _within_limits(self) -> None:
        """
        Raises:
            BudgetExceeded: a limit is reached.
            Interrupted: we are stopping.
        """
        if self._stopped.is_set():
            raise Interrupted
        limit = self.time_limit()
        if limit is not None:
            self._context.note(f"the agent had not answered when the limit on {limit} was reached; it was given up")
            raise BudgetExceeded(limit)

    def _within(self, seconds: float | None, who: object, what: str) -> Callable[[], None]:
        """A check of a call that no limit of the episode covers."""
        end_s = math.inf if seconds is None else time.monotonic() + seconds

        def check() -> None:
            if self._stopped.is_set():
                raise Interrupted
            if time.monotonic() > end_s:
                raise InfrastructureFault(cause=f"{_name(who)} {what} in {seconds:g} s", hint=HINT)

        return check

    def _own_tools(self) -> dict[str, ExtraTool]:
        tools = dict(self._agent.tools) if isinstance(self._agent, SandboxAgent) else {}
        if isinstance(self._calls, DirectCalls):
            return tools
        return {name: self._tool(name, tool) for name, tool in tools.items()}

    def _tool(self, name: str, tool: ExtraTool) -> ExtraTool:
        """A tool of a third party's: its mistakes are faults, and the limits end it."""
        who = type(self._agent)

        def run(sandbox: Sandbox, call: ToolCall) -> ToolResult | GuestExit:
            def use() -> tuple[ToolResult | GuestExit, str]:
                result = tool(sandbox, call)
                return result, result_error(result)

            result, wrong = self._call(use, who, self._within_limits)
            if wrong:
                cause = f"{_name(who)}: its tool {name} must return a ToolResult; {wrong}"
                raise InfrastructureFault(cause=cause, hint=HINT)
            return result

        return run

    @property
    def facts(self) -> dict[str, Any]:
        """What the agent says of its episode in `facts`, as results.json can hold it."""
        if self._calls.over:
            return {"unreadable": "the agent did not come back"}
        try:
            return self._calls.call(
                self._read_facts, self._within(AROUND_S, type(self._agent), "did not say its facts")
            )
        except Interrupted:
            raise
        except BaseException as error:  # boundary: an agent is anybody's code; its run is over, and valid
            return {"unreadable": type(error).__name__}

    def _read_facts(self) -> dict[str, Any]:
        facts = dict(self._agent.facts) if isinstance(self._agent, ReportsFacts) else {}
        return parse_object(json.dumps(facts, allow_nan=False, default=str))


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


def result_error(result: object) -> str:
    """What is wrong with what an agent's own tool returned; empty: nothing."""
    if isinstance(result, GuestExit):
        return ""
    if not isinstance(result, ToolResult):
        return f"it returned {type(result).__name__}"
    if not (isinstance(result.call_id, str) and isinstance(result.text, str) and isinstance(result.is_error, bool)):
        return "its call_id and text must be text, and its is_error a bool"
    if not (isinstance(result.seconds, int | float) and math.isfinite(result.seconds)):
        return "its seconds must be a finite number"
    if not (isinstance(result.facts, dict) and _is_json(result.facts, default=str)):
        return "its facts must be a dict that can be written as JSON: text for keys, finite numbers, not nested deeply"
    if not (result.limit_reached is None or isinstance(result.limit_reached, Limit)):
        return "its limit_reached must be a Limit, or None"
    return ""


def _is_json(value: object, default: Callable[[object], str] | None = None) -> bool:
    """Whether JSON can represent it as it is; `json.dumps` alone would convert keys that are not text.

    Args:
        default: makes text of what JSON does not know; None: nothing may be of that kind.
    """
    if is_too_deep(value):
        return False
    try:
        return _has_text_keys(value) and bool(json.dumps(value, allow_nan=False, default=default))
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
    except (InfrastructureFault, Interrupted, GivenUp):
        raise
    except (
        BaseException
    ) as error:  # boundary: an agent is anybody's code, and may raise anything; it has no main thread
        if isinstance(error, EpisodeEnded) and isinstance(error.ending, str):
            raise
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
        context.note("the agent raised", frames=traceback.format_list(frames))
        cause = f"{_name(who)} raised {type(error).__name__}{_line(frames, _file(who))}: {message_of(error)}"
        raise InfrastructureFault(cause=cause, hint=HINT) from error


def message_of(error: BaseException) -> str:
    """What it says of itself, on a line."""
    try:
        return " ".join(str(error).split())[:MESSAGE_CHARS_MAX]
    except BaseException as other:  # boundary: that is the agent's code, too
        return f"its message raised {type(other).__name__}"


def _of_third_party(function: Callable[[], Made]) -> Made:
    """What it returns; a third party cannot say that the user stops the job, and its faults have short texts."""
    try:
        return function()
    except Interrupted as error:
        raise RuntimeError("Interrupted") from error
    except InfrastructureFault as fault:
        kind = next(known for known in type(fault).__mro__ if known.__module__ == InfrastructureFault.__module__)
        raise kind(cause=_text_in(fault, "cause"), hint=_text_in(fault, "hint")) from fault
    finally:
        reopen_descriptors()


def _text_in(fault: InfrastructureFault, name: str) -> str:
    """A fault's text, of a subclass or with contents that may be anything."""
    try:
        return str(getattr(fault, name))[:FAULT_CHARS_MAX]
    except BaseException as error:  # boundary: that is the agent's code, too
        return f"its {name} cannot be read: {type(error).__name__}"


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
