"""Reading a run's transcript (`runner.records.events` says what is in it): whole lines are read, the rest is listed.

A runner that was killed leaves half a line at the end; a disk or a person may have spoiled others. Such a line
is an `UnreadableLine` with its number and reason, and the events around it are read all the same. An event of a kind that
only a later version knows is kept as it is.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from runner.faults import UsageFault
from runner.records.events import (
    AT,
    KIND,
    BudgetEvent,
    EndEvent,
    Event,
    Json,
    RequestEvent,
    StartEvent,
    TurnEvent,
    event_from_json,
)

NAME = "transcript.jsonl"
Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        line: its number, from 1.
        at: date and time, as written; empty where it has none.
        event: None for a kind that is not known here.
        raw: the whole line, kind included.
    """

    line: int
    kind: str
    at: str
    event: Event | None
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
        entries: in order, requests first, the budget last.
    """

    entries: tuple[Entry, ...]

    def all(self, kind: type[Kind]) -> list[Kind]:
        """The events of one kind."""
        return [entry.event for entry in self.entries if isinstance(entry.event, kind)]

    @property
    def turn(self) -> TurnEvent | None:
        """The agent's turn; None where it never came to one."""
        return next(iter(self.all(TurnEvent)), None)

    @property
    def number(self) -> int | None:
        """Of the turn; None for events that belong to none."""
        if self.turn is not None:
            return self.turn.turn
        return next((request.turn for request in self.all(RequestEvent)), None)

    @property
    def is_whole(self) -> bool:
        """Whether the episode went on after it."""
        return bool(self.all(BudgetEvent))


@dataclass(frozen=True, slots=True)
class Transcript:
    """A run's events in order, and the lines that cannot be read."""

    path: Path
    entries: tuple[Entry, ...]
    unreadable: tuple[UnreadableLine, ...]

    def all(self, kind: type[Kind]) -> list[Kind]:
        """The events of one kind."""
        return [entry.event for entry in self.entries if isinstance(entry.event, kind)]

    def first(self, kind: type[Kind]) -> Kind | None:
        """The first event of a kind, if there is one."""
        return next(iter(self.all(kind)), None)

    @property
    def steps(self) -> list[Step]:
        """The events by turns, without `start` and `end`: a budget closes a turn, and so does the next one's beginning."""
        steps: list[list[Entry]] = [[]]
        for entry in self.entries:
            if isinstance(entry.event, StartEvent | EndEvent):
                continue
            begun = any(isinstance(before.event, TurnEvent) for before in steps[-1])
            closed = any(isinstance(before.event, BudgetEvent) for before in steps[-1])
            if closed or (begun and isinstance(entry.event, TurnEvent)):
                steps.append([])
            steps[-1].append(entry)
        return [Step(tuple(entries)) for entries in steps if entries]


def read_transcript(path: Path) -> Transcript:
    """A transcript, as far as it can be read.

    Raises:
        UsageFault: there is no such file.
    """
    entries: list[Entry] = []
    unreadable: list[UnreadableLine] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                read = _read(number, line)
                if isinstance(read, Entry):
                    entries.append(read)
                elif read is not None:
                    unreadable.append(read)
    except OSError as error:
        raise UsageFault(
            cause=f"{path} cannot be read: {error.strerror}",
            hint="name a job such as output/latest, one of its runs, or a transcript.jsonl",
        ) from error
    return Transcript(path, tuple(entries), tuple(unreadable))


def transcript_or_reason(path: Path) -> Transcript | str:
    """A transcript, or why it cannot be read."""
    try:
        return read_transcript(path)
    except UsageFault as fault:
        return fault.cause


def _read(number: int, line: bytes) -> Entry | UnreadableLine | None:
    if not line.strip():
        return None
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        cut = "" if line.endswith(b"\n") else "cut off: "
        return UnreadableLine(number, f"{cut}not JSON: {error}")
    kind = raw.get(KIND) if isinstance(raw, dict) else None
    if not isinstance(kind, str):
        return UnreadableLine(number, "not an event: it is not an object with a kind")
    try:
        event = event_from_json(raw)
    except ValidationError as error:
        wrong = error.errors()[0]
        return UnreadableLine(number, f"not a valid {kind} event: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}")
    return Entry(number, kind, str(raw.get(AT, "")), event, raw)


def transcripts_of(path: Path) -> list[Path]:
    """The transcripts that a path means: a file's own, a run folder's, or those of a job's runs in their order.

    Raises:
        UsageFault: there is none.
    """
    if path.is_file():
        return [path]
    paths = [path / NAME] if (path / NAME).is_file() else [folder / NAME for folder in _run_folders(path)]
    if not paths:
        raise UsageFault(
            cause=f"there is no transcript in {path}",
            hint="name a job such as output/latest, one of its runs, or a transcript.jsonl",
        )
    return paths


def transcripts_by_run(job: Path) -> dict[int, Path]:
    """The transcripts of a job's runs by their numbers; runs that left none are not among them."""
    return {int(folder.name.removeprefix("run_")): folder / NAME for folder in _run_folders(job)}


def _run_folders(job: Path) -> Sequence[Path]:
    def numbered() -> Iterator[tuple[int, Path]]:
        for folder in job.glob("run_*"):
            number = folder.name.removeprefix("run_")
            if number.isascii() and number.isdigit() and (folder / NAME).is_file():
                yield int(number), folder

    return [folder for _, folder in sorted(numbered())]
