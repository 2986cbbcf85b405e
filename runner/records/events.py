"""A transcript's events: what was said and done in an episode, one event a line of run_<i>/transcript.jsonl.

Every line is a JSON object with `event` (its kind), `at` (date and time, ISO 8601) and the fields of the class of that kind.
Whoever writes an event makes an object of one of these classes, and whoever reads one gets it: the live view, `show`,
replay and export as well as the transcript itself. In the order in which a turn makes them: start, request, response, turn,
answer, snapshot, budget, note, end.

A field that says so in its declaration is left out of the line where it has its default; `more` and `facts` are not nested,
their keys stand in the line itself. What a later version adds to a kind is ignored here, and what an earlier one did not
write yet has its default.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, TypeAlias

from pydantic import TypeAdapter

from runner.records.episode import LEFT_OUT, Limits, Spent, ToolCall, Usage

Json: TypeAlias = dict[str, Any]
INLINE = {"inline": True}
# Keys of every line, which are not fields of its event.
KIND, AT = "event", "at"
# Key of the note of an episode that was taken up again: US dollars of the turns that were not paid a second time.
REPEATED_DOLLARS = "repeated_dollars"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartEvent:
    """The episode begins.

    Attributes:
        run: number of the run, from 1.
        agent: name of the agent.
        task: name of the task.
        image: id of the image that its sandbox runs.
        model: that the agent asks; empty for agents without one.
        limits: what the episode may use.
        instruction_sha256: of the task's instruction, hex.
        more: what else the agent is set up with (its system prompt's hash, its tools), by key.
    """

    kind: ClassVar[str] = "start"
    run: int
    agent: str = ""
    task: str = ""
    image: str = ""
    model: str = field(default="", metadata=LEFT_OUT)
    limits: Limits = Limits()
    instruction_sha256: str = ""
    more: Json = field(default_factory=dict, metadata=INLINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEvent:
    """What the model was asked, exactly. The whole request can be put together again from this and the events before it.

    Attributes:
        turn: number of the turn, from 1.
        body: the request without messages, system prompt and tools.
        messages_kept: this many of the messages of the request before come first.
        messages: the messages that follow them.
        system: the system prompt, of the first request and where it changed; a program's own may have any form.
        tools: the tools as the request lists them, of the first request and where they changed.
        asked_model: the model that a program in the sandbox asked for; absent for an agent of ours.
        too_large: bytes of a request that was not kept.
        sha256: of the whole body as it was sent, hex.
        api: `chat` where the endpoint speaks chat completions (messages and tools are in that wire's words then);
            absent: the Messages API.
    """

    kind: ClassVar[str] = "request"
    turn: int
    body: Json = field(default_factory=dict)
    messages_kept: int = 0
    messages: tuple[Json, ...] = ()
    system: Any = field(default=None, metadata=LEFT_OUT)
    tools: tuple[Json, ...] | None = field(default=None, metadata=LEFT_OUT)
    asked_model: str | None = field(default=None, metadata=LEFT_OUT)
    too_large: int = field(default=0, metadata=LEFT_OUT)
    sha256: str
    api: str = field(default="", metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a request, and how it ended.

    Attributes:
        seconds: wall clock.
        usage: tokens, as the endpoint reported them.
        dollars: US dollars.
        request_id: the endpoint's name for it.
        error: empty for the one that was answered.
        is_bound: it broke off before its last word on usage: `dollars` is the most that it can have cost, not what it did.
    """

    seconds: float = 0.0
    usage: Usage = Usage()
    dollars: float = 0.0
    request_id: str = ""
    error: str = ""
    is_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseEvent:
    """What the model said, exactly, with every attempt that it took.

    Attributes:
        turn: number of the turn, from 1.
        tries: the attempts, in order; empty: the request was never sent.
        error: why there is no answer; absent where there is one.
        stop_reason: why the answer ended, in the API's words.
        content: the answer's blocks.
        broken: calls whose input could not be read, by id: the text that came.
        usage: tokens of the attempt that was answered.
        request_id: the endpoint's name for that attempt.
        too_large: bytes of a content that was not kept.
        sha256: of a content that was not kept, hex.
    """

    kind: ClassVar[str] = "response"
    turn: int
    tries: tuple[Attempt, ...] = ()
    error: str = field(default="", metadata=LEFT_OUT)
    stop_reason: str = ""
    content: tuple[Json, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)
    usage: Usage = Usage()
    request_id: str = ""
    too_large: int = field(default=0, metadata=LEFT_OUT)
    sha256: str = field(default="", metadata=LEFT_OUT)

    @property
    def usage_of_all(self) -> Usage:
        """Tokens of every attempt, those that failed included."""
        return sum((attempt.usage for attempt in self.tries), Usage())

    @property
    def dollars(self) -> float:
        """What every attempt cost, US dollars."""
        return sum(attempt.dollars for attempt in self.tries)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEvent:
    """A turn of the agent: what it says, and the tools that it calls.

    Attributes:
        turn: its number, from 1.
        say: the agent's text.
        calls: the calls, each with `id`, `tool`, `input`, and `broken` where its input could not be read.
        dollars: US dollars of the episode so far.
        ending: how the agent itself calls its end; absent: it does not say.
    """

    kind: ClassVar[str] = "turn"
    turn: int
    say: str
    calls: tuple[ToolCall, ...] = ()
    dollars: float = 0.0
    ending: str = field(default="", metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResultEvent:
    """The result of a call, as the agent gets to see it.

    Attributes:
        call: id of the call.
        text: output or error.
        is_error: the call itself was wrong; an exit status other than 0 is not one.
        seconds: wall clock.
        facts: of a command: `exit_status`, `why` it ended (null: by itself), `bytes_cut` of its output, `shell_alive`.
    """

    kind: ClassVar[str] = "answer"
    call: str
    text: str
    is_error: bool
    seconds: float = 0.0
    facts: Json = field(default_factory=dict, metadata=INLINE)

    @property
    def exit_status(self) -> int | None:
        """Of a command; None where the tool has none."""
        status = self.facts.get("exit_status")
        return status if type(status) is int else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotEvent:
    """The submission's file changed.

    Attributes:
        turn: number of the turn after which it was read, from 1.
        sha256: of the file, hex.
        bytes: its size.
        stored_at: where it is kept; empty: nowhere.
    """

    kind: ClassVar[str] = "snapshot"
    turn: int
    sha256: str
    bytes: int
    stored_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetEvent:
    """The end of a turn: what the episode has used, and what remains.

    Attributes:
        turn: number of the turn, from 1.
        spent: used so far (turns, tokens, US dollars, seconds).
        left: what remains of each limit; null: no limit.
    """

    kind: ClassVar[str] = "budget"
    turn: int
    spent: Spent = field(default_factory=Spent)
    left: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteEvent:
    """Something that a reader must know (tool outputs cleared from the context, a replay that differs).

    Attributes:
        text: in words.
        more: the same as data, by key.
    """

    kind: ClassVar[str] = "note"
    text: str = ""
    more: Json = field(default_factory=dict, metadata=INLINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndEvent:
    """The episode is over.

    Attributes:
        ending: why (`submitted`, `ended`, the name of a limit, or an agent's own word).
        turns: answers of the agent, or of the model that a program in the sandbox asked.
        calls: tools that were run.
        seconds: wall clock, without the time in which its sandbox was frozen.
        dollars: US dollars.
        usage: the model's tokens.
        working_s: of the seconds, without waits for the model's endpoint.
        facts: empty; what the agent says of its episode is known only later, and is in results.json.
    """

    kind: ClassVar[str] = "end"
    ending: str
    turns: int = 0
    calls: int = 0
    seconds: float = 0.0
    dollars: float = 0.0
    usage: Usage = Usage()
    working_s: float = 0.0
    facts: Json = field(default_factory=dict)


Event = (
    StartEvent
    | RequestEvent
    | ResponseEvent
    | TurnEvent
    | ToolResultEvent
    | SnapshotEvent
    | BudgetEvent
    | NoteEvent
    | EndEvent
)
EventSink = Callable[[Event], None]

_CLASSES: tuple[type[Event], ...] = (
    StartEvent,
    RequestEvent,
    ResponseEvent,
    TurnEvent,
    ToolResultEvent,
    SnapshotEvent,
    BudgetEvent,
    NoteEvent,
    EndEvent,
)
EVENTS: dict[str, type[Event]] = {cls.kind: cls for cls in _CLASSES}
_ADAPTERS: dict[str, TypeAdapter[Any]] = {kind: TypeAdapter(cls) for kind, cls in EVENTS.items()}


def event_to_json(event: Event) -> Json:
    """An event as its line holds it: its kind under `event`, and its fields. Values that are JSON already are not copied."""
    return {KIND: event.kind, **_fields_to_json(event)}


def event_from_json(line: Json) -> Event | None:
    """The event of a line; None for a kind that is not known here.

    Raises:
        pydantic.ValidationError: the line does not have the form of its kind.
    """
    kind = line.get(KIND)
    if not isinstance(kind, str) or kind not in EVENTS:
        return None
    event: Event = _ADAPTERS[kind].validate_python({**line, **_inline_from_json(EVENTS[kind], line)})
    return event


def _fields_to_json(record: Any) -> Json:
    content: Json = {}
    inline: Json = {}
    for item in fields(record):
        value = getattr(record, item.name)
        if item.metadata == INLINE:
            inline = value
        elif not (item.metadata == LEFT_OUT and value == _default(item)):
            content[item.name] = _to_json(value)
    return {**content, **{key: value for key, value in inline.items() if key not in (KIND, AT, *content)}}


def _default(item: Any) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def _to_json(value: Any) -> Any:
    """Records become objects, tuples of them lists; everything else is JSON already, and may be nested deeply."""
    if is_dataclass(value):
        return _fields_to_json(value)
    return [_to_json(item) for item in value] if isinstance(value, tuple) else value


def _inline_from_json(cls: type[Event], line: Json) -> Json:
    """The keys of a line that are not fields, under the name of the field that takes them; empty where there is none."""
    taker = next((item.name for item in fields(cls) if item.metadata == INLINE), None)
    if taker is None:
        return {}
    own = {item.name for item in fields(cls)} - {taker} | {KIND, AT}
    return {taker: {key: value for key, value in line.items() if key not in own}}
