"""Reading a run's transcript (`runner.records.episode` says what is in it): what is whole is taken, the rest is listed.

A runner that was killed leaves half a line at the end; a disk or a person may have spoiled others. Such a line
is an `UnreadableLine` with its number and reason, and the events around it still stand. An event of a known kind has a
typed record; one of a later version's kind is kept as it is.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from runner.faults import UsageFault
from runner.records.episode import Limits, Spent, ToolCall, Usage

NAME = "transcript.jsonl"
Json = dict[str, Any]
Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class StartEvent:
    """`start`."""

    run: int
    agent: str = ""
    task: str = ""
    image: str = ""
    model: str = ""
    limits: Limits = Limits()
    instruction_sha256: str = ""


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """`request`.

    Attributes:
        body: without messages, system and tools.
        system: of the first request, and where it changed; a program's own may have any form.
        asked_model: what a program in the sandbox asked for; None for an agent of ours.
        too_large: bytes of a body that was not kept.
        api: `chat` where the endpoint speaks chat completions; empty: the Messages API.
    """

    turn: int
    sha256: str
    body: Json = field(default_factory=dict)
    messages_kept: int = 0
    messages: tuple[Json, ...] = ()
    system: Any = None
    tools: tuple[Json, ...] | None = None
    asked_model: str | None = None
    too_large: int = 0
    api: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a request."""

    seconds: float = 0.0
    usage: Usage = Usage()
    dollars: float = 0.0
    request_id: str = ""
    error: str = ""
    is_bound: bool = False


@dataclass(frozen=True, slots=True)
class ResponseEvent:
    """`response`.

    Attributes:
        error: why there is no answer; empty where there is one.
    """

    turn: int
    tries: tuple[Attempt, ...] = ()
    error: str = ""
    stop_reason: str = ""
    content: tuple[Json, ...] = ()
    usage: Usage = Usage()
    request_id: str = ""

    @property
    def usage_of_all(self) -> Usage:
        """Tokens of every try, those that failed included."""
        return sum((one.usage for one in self.tries), Usage())

    @property
    def dollars(self) -> float:
        """What every try cost."""
        return sum(one.dollars for one in self.tries)


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """`turn`.

    Attributes:
        dollars: of the episode so far.
    """

    turn: int
    say: str
    calls: tuple[ToolCall, ...] = ()
    ending: str = ""
    dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class ToolResultEvent:
    """`answer`."""

    call: str
    text: str
    is_error: bool
    seconds: float = 0.0
    exit_status: int | None = None


@dataclass(frozen=True, slots=True)
class SnapshotEvent:
    """`snapshot`."""

    turn: int
    sha256: str
    bytes: int
    stored_at: str = ""


@dataclass(frozen=True, slots=True)
class BudgetEvent:
    """`budget`."""

    turn: int
    spent: Spent = field(default_factory=Spent)
    left: Limits = Limits()


@dataclass(frozen=True, slots=True)
class NoteEvent:
    """`note`."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class EndEvent:
    """`end`."""

    ending: str
    turns: int = 0
    calls: int = 0
    seconds: float = 0.0
    dollars: float = 0.0
    usage: Usage = Usage()
    working_s: float = 0.0


Record = (
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
_SHAPES: dict[str, TypeAdapter[Any]] = {
    kind: TypeAdapter(shape)
    for kind, shape in (
        ("start", StartEvent), ("request", RequestEvent), ("response", ResponseEvent), ("turn", TurnEvent),
        ("answer", ToolResultEvent),
        ("snapshot", SnapshotEvent), ("budget", BudgetEvent), ("note", NoteEvent), ("end", EndEvent),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One line.

    Attributes:
        at: date and time, as written; empty where it has none.
        record: None for a kind that is not known here.
        raw: the whole line, kind included.
    """

    line: int
    kind: str
    at: str
    record: Record | None
    raw: Json


@dataclass(frozen=True, slots=True)
class UnreadableLine:
    """A line that cannot be read, and why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """A turn with everything around it, as far as it was recorded; the last may be cut off.

    Attributes:
        events: in order, requests first, the budget last.
    """

    events: tuple[Event, ...]

    def all(self, kind: type[Kind]) -> list[Kind]:
        """The records of one kind."""
        return [event.record for event in self.events if isinstance(event.record, kind)]

    @property
    def said(self) -> TurnEvent | None:
        """The agent's turn; None where it never came to one."""
        return next(iter(self.all(TurnEvent)), None)

    @property
    def number(self) -> int | None:
        """Of the turn; None for events that belong to none."""
        if self.said is not None:
            return self.said.turn
        return next((one.turn for one in self.all(RequestEvent)), None)

    @property
    def is_whole(self) -> bool:
        """Whether the episode went on after it."""
        return bool(self.all(BudgetEvent))


@dataclass(frozen=True, slots=True)
class Transcript:
    """A run's events in order, and the lines that are none."""

    path: Path
    events: tuple[Event, ...]
    unread: tuple[UnreadableLine, ...]

    def all(self, kind: type[Kind]) -> list[Kind]:
        """The records of one kind."""
        return [event.record for event in self.events if isinstance(event.record, kind)]

    def first(self, kind: type[Kind]) -> Kind | None:
        """The first record of a kind, if there is one."""
        return next(iter(self.all(kind)), None)

    @property
    def steps(self) -> list[Step]:
        """The events by turns, without `start` and `end`: a budget closes a turn, and so does the next one's beginning."""
        steps: list[list[Event]] = [[]]
        for event in self.events:
            if isinstance(event.record, StartEvent | EndEvent):
                continue
            begun = any(isinstance(one.record, TurnEvent) for one in steps[-1])
            closed = any(isinstance(one.record, BudgetEvent) for one in steps[-1])
            if closed or (begun and isinstance(event.record, TurnEvent)):
                steps.append([])
            steps[-1].append(event)
        return [Step(tuple(events)) for events in steps if events]


def read_transcript(path: Path) -> Transcript:
    """A transcript, as far as it can be read.

    Raises:
        UsageFault: there is no such file.
    """
    events: list[Event] = []
    unread: list[UnreadableLine] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                read = _read(number, line)
                if isinstance(read, Event):
                    events.append(read)
                elif read is not None:
                    unread.append(read)
    except OSError as error:
        raise UsageFault(
            cause=f"{path} cannot be read: {error.strerror}",
            hint="name a job such as output/latest, one of its runs, or a transcript.jsonl",
        ) from error
    return Transcript(path, tuple(events), tuple(unread))


def _read(number: int, line: bytes) -> Event | UnreadableLine | None:
    if not line.strip():
        return None
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        cut = "" if line.endswith(b"\n") else "cut off: "
        return UnreadableLine(number, f"{cut}no JSON: {error}")
    kind = raw.get("event") if isinstance(raw, dict) else None
    if not isinstance(kind, str):
        return UnreadableLine(number, "no event: it is no object with a kind")
    try:
        record = _SHAPES[kind].validate_python(raw) if kind in _SHAPES else None
    except ValidationError as error:
        wrong = error.errors()[0]
        return UnreadableLine(number, f"no {kind}: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}")
    return Event(number, kind, str(raw.get("at", "")), record, raw)


def transcripts_of(path: Path) -> list[Path]:
    """The transcripts that a path means: a file's own, a run folder's, or those of a job's runs in their order.

    Raises:
        UsageFault: there is none.
    """
    if path.is_file():
        return [path]
    found = [path / NAME] if (path / NAME).is_file() else [path / NAME for path in _run_folders(path)]
    if not found:
        raise UsageFault(
            cause=f"there is no transcript in {path}",
            hint="name a job such as output/latest, one of its runs, or a transcript.jsonl",
        )
    return found


def transcripts_by_run(job: Path) -> dict[int, Path]:
    """The transcripts of a job's runs by their numbers; runs that left none are not among them."""
    return {int(folder.name.removeprefix("run_")): folder / NAME for folder in _run_folders(job)}


def _run_folders(job: Path) -> Sequence[Path]:
    def found() -> Iterator[tuple[int, Path]]:
        for folder in job.glob("run_*"):
            number = folder.name.removeprefix("run_")
            if number.isascii() and number.isdigit() and (folder / NAME).is_file():
                yield int(number), folder

    return [folder for _, folder in sorted(found())]
