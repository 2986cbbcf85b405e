"""A job's journal, output/<job>/journal.jsonl: what is final, a line each, and never changed again.

results.json is written again after each verdict and can be made from the journal; `--resume` reads the journal. A line
is a JSON object with its number and, as the last key, a checksum of all that stands before it. A line is on the disk before
anything is said of it.

Damage is of two kinds. A last line without its end was torn by the end of the runner that wrote it: what it would have said
was never said anywhere, so that it is cut off. Any other line that is not what was written is named, and the rest is kept.
"""

import contextlib
import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from runner.faults import StoreFault, UsageFault
from runner.store.files import guard_writing, read_regular

NAME = "journal.jsonl"
CHECK_DIGITS = 16  # chosen: 64 bits; damage is to be seen, and nobody is to be kept from forging
_CHECKED = re.compile(rb'(?P<content>.+), "sha256": "(?P<check>[0-9a-f]{16})"}', re.DOTALL)


class EntryKind(StrEnum):
    """What a line says."""

    BEGUN = "begun"  # a runner began, or went on with the job
    SUBMITTED = "submitted"  # an episode is over, and what it left waits to be graded
    FINISHED = "finished"  # a run's outcome is final


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line.

    Attributes:
        number: of the line's entry, from 1.
        at: date and time, ISO 8601.
    """

    number: int
    kind: str
    at: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReadJournal:
    """What a journal says.

    Attributes:
        damage: what cannot be read, a sentence each; empty where all of it is as it was written.
        torn_bytes: length of a last line that has no end; it is no damage.
        whole_bytes: length of what stands before that.
        ends_open: the last line is whole but for its line end.
    """

    entries: tuple[JournalEntry, ...] = ()
    damage: tuple[str, ...] = ()
    torn_bytes: int = 0
    whole_bytes: int = 0
    ends_open: bool = False


def line_of(entry: JournalEntry) -> bytes:
    """An entry as its line."""
    about = {"entry": entry.number, "kind": entry.kind, "at": entry.at}
    text = json.dumps({**about, "content": entry.content}, ensure_ascii=True, allow_nan=False)
    content = text.encode("ascii")[:-1]
    return content + f', "sha256": "{_check(content)}"}}\n'.encode("ascii")


def read_journal(data: bytes) -> ReadJournal:
    """A journal's bytes, as far as they can be read; never an error."""
    lines = data.split(b"\n")
    last = lines.pop()
    entries: list[JournalEntry] = []
    damage: list[str] = []
    for number, line in enumerate(lines, 1):
        _take(number, _read(line), entries, damage)
    ends_open = bool(last) and isinstance(_read(last), JournalEntry)
    if ends_open:
        _take(len(lines) + 1, _read(last), entries, damage)
    whole = len(data) - (0 if ends_open else len(last))
    damage += _missing(entries, len(damage))
    return ReadJournal(tuple(entries), tuple(damage), len(data) - whole, whole, ends_open)


def _take(line: int, read: JournalEntry | str, entries: list[JournalEntry], damage: list[str]) -> None:
    """Add what a line says, where it can be read and follows what was before."""
    before = entries[-1].number if entries else 0
    if isinstance(read, str):
        damage.append(f"line {line}: {read}")
    elif read.number <= before:
        damage.append(f"line {line}: entry {read.number} stands after entry {before}")
    else:
        entries.append(read)


def _missing(entries: list[JournalEntry], damaged_lines: int) -> list[str]:
    """What to say of entries that are not there, nor could have been on a damaged line."""
    missing = (entries[-1].number if entries else 0) - len(entries) - damaged_lines
    return [f"{missing} entries are missing"] if missing > 0 else []


def _read(line: bytes) -> JournalEntry | str:
    """An entry, or why the line is none."""
    checked = _CHECKED.fullmatch(line)
    if checked is None:
        return "it has no checksum at its end"
    content = checked["content"]
    if _check(content) != checked["check"].decode():
        return "it is not what was written: its checksum differs"
    try:
        raw = json.loads(content + b"}")
        return JournalEntry(int(raw["entry"]), str(raw["kind"]), str(raw["at"]), dict(raw["content"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return f"it is not an entry: {error!r}"


def _check(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:CHECK_DIGITS]


class Journal:
    """The journal of a job whose folder this process holds. What was there is read once, at the beginning."""

    def __init__(self, folder: Path) -> None:
        """Open it; a torn last line is cut off.

        Raises:
            UsageFault: it cannot be read.
            StoreFault: it cannot be repaired.
        """
        self._path = folder / NAME
        try:
            data = read_regular(self._path) if self._path.exists() else b""
        except OSError as error:
            raise UsageFault(
                cause=f"{self._path} cannot be read: {error.strerror}", hint="give read permission"
            ) from error
        self.found = read_journal(data)
        self._writing = threading.Lock()
        self._go_on_after(self.found)

    def _go_on_after(self, found: ReadJournal) -> None:
        """
        Raises:
            StoreFault: it cannot be repaired.
        """
        self._number = found.entries[-1].number if found.entries else 0
        self._length = found.whole_bytes
        if found.torn_bytes:
            guard_writing(self._path, lambda: os.truncate(self._path, self._length))
        if found.ends_open:
            self._append(b"\n")

    def append(self, kind: EntryKind, content: Mapping[str, Any], at: str) -> None:
        """Write an entry, and have it on the disk when this returns.

        Raises:
            StoreFault: it cannot be written; the journal is as it was.
        """
        with self._writing:
            try:
                self._append(line_of(JournalEntry(self._number + 1, kind, at, content)))
                self._number += 1
            except KeyboardInterrupt:  # whoever waits for the disk may be stopped: the line is there, in part, or not
                with contextlib.suppress(OSError, StoreFault):
                    self._go_on_after(read_journal(read_regular(self._path)))
                raise

    def _append(self, line: bytes) -> None:
        def write() -> None:
            with self._path.open("ab", buffering=0) as file:
                try:
                    _write_all(file.fileno(), line)
                    os.fsync(file.fileno())
                except OSError:
                    with contextlib.suppress(OSError):  # a part of a line must not stand before the next one
                        file.truncate(self._length)
                    raise

        guard_writing(self._path, write)
        self._length += len(line)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
