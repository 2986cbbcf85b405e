"""A job's folder: output/<job>/, its paths, and writing that leaves no half file behind.

output/<job>/job.json            what was asked for; written before anything starts
output/<job>/lock.json           what it ran with: image, task hash, versions
output/<job>/journal.jsonl       what is final, a line each, on the disk before it is told (`runner.store.journal`)
output/<job>/results.json        every run so far and the totals; rewritten whole after each verdict
output/<job>/job.log             the log, JSON lines (`runner.store.log`)
output/<job>/run_<i>/transcript.jsonl    the episode, one event a line, flushed
output/<job>/run_<i>/transcript_<n>.jsonl    what is there of one that was interrupted, before it began again
output/<job>/run_<i>/<file>      the submission, as bytes
output/<job>/run_<i>/snapshots/<sha256>.<ext>    states of that file while the agent worked
output/latest                    a link to the newest job
"""

import contextlib
import itertools
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.faults import UsageFault
from runner.records.events import AT, KIND, Event, event_to_json
from runner.store.files import guard_writing, write_file
from runner.store.folder_lock import FolderLock
from runner.store.journal import Journal

NAME_BYTES_MAX = 200  # chosen: what file systems allow (255), and room for the ends of our own names
NAMES_MAX = 100  # chosen: more jobs than anybody begins in one second


class JobFolder:
    """Opened by `open_job_folder`; holds a lock on the folder while it lives.

    Attributes:
        path: as the user named it.
        root: the same, absolute: where everything is written, also when the working directory changes, which an
            agent of the user's own can bring about.
    """

    def __init__(self, path: Path, lock: FolderLock) -> None:
        self.path = path
        self.root = path.absolute()
        self._lock = lock
        self._writing = threading.Lock()
        self._journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """The job's journal; opened, and repaired where its last line is torn, on first use.

        Raises:
            UsageFault: it cannot be read.
        """
        if self._journal is None:
            self._journal = Journal(self.root)
        return self._journal

    def run_folder(self, number: int) -> Path:
        """Where a run's files go, absolute; made on first use."""
        folder = self.root / f"run_{number}"
        guard_writing(folder, lambda: folder.mkdir(exist_ok=True))
        return folder

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Replace a file of the job's folder, whole or not at all.

        Raises:
            StoreFault: it cannot be written.
        """
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        with self._writing:
            write_file(self.root / name, text)

    def keep_submission(self, number: int, name: str, content: bytes) -> Path:
        """Keep a submission's bytes, which the host never runs; returns where, as the user named the job's folder.

        Raises:
            StoreFault: it cannot be written.
        """
        path = self.run_folder(number) / name
        write_file(path, content)
        return self._as_named(path)

    def keep_snapshot(self, number: int, name: str, content: bytes) -> Path:
        """Keep one state of a run's file, under the name of its hash; returns where, as the user named the job's folder.

        Raises:
            StoreFault: it cannot be written.
        """
        folder = self.run_folder(number) / "snapshots"
        guard_writing(folder, lambda: folder.mkdir(exist_ok=True))
        write_file(folder / name, content)
        return self._as_named(folder / name)

    def keep_file(self, number: int, name: str, content: bytes) -> None:
        """Keep a file of a run that another host played.

        Args:
            name: of the file, or `snapshots/` and its name; checked by the caller to be no other path.

        Raises:
            StoreFault: it cannot be written.
        """
        path = self.run_folder(number) / name
        guard_writing(path, lambda: path.parent.mkdir(exist_ok=True))
        write_file(path, content)

    def _as_named(self, path: Path) -> Path:
        return self.path / path.relative_to(self.root)

    def append_event(self, number: int, event: Event, at: str) -> None:
        """Append one event to a run's transcript, and flush it.

        Args:
            at: date and time, ISO 8601.

        Raises:
            StoreFault: it cannot be written.
        """
        line = json.dumps({KIND: event.kind, AT: at, **event_to_json(event)}, ensure_ascii=True, default=str) + "\n"
        path = self.run_folder(number) / "transcript.jsonl"

        def append() -> None:
            with path.open("a", encoding="ascii") as file:
                file.write(line)

        guard_writing(path, append)

    def set_transcript_aside(self, number: int) -> Path | None:
        """Keep what is there of an interrupted episode's transcript under another name; where, if there is one.

        Raises:
            StoreFault: it cannot be renamed.
        """
        path = self.run_folder(number) / "transcript.jsonl"
        if not path.exists():
            return None
        names = (path.with_name(f"transcript_{number}.jsonl") for number in itertools.count(1))
        aside = next(each for each in names if not each.exists())
        guard_writing(aside, lambda: path.rename(aside))
        return aside

    def close(self) -> None:
        self._lock.release()


def interrupted_transcripts(run_folder: Path) -> list[Path]:
    """The transcripts of a run's episodes that were interrupted and begun again, in order."""
    return sorted(run_folder.glob("transcript_*.jsonl"), key=lambda path: (len(path.name), path.name))


def check_new_folder(output: Path, name: str) -> Path:
    """The path of a job's folder that can be made, as far as can be told without making it.

    Raises:
        UsageFault: it exists already, the name cannot be a folder's, or the output cannot be written.
    """
    if not name or "/" in name or name.startswith(".") or name == "latest" or not name.isprintable():
        raise UsageFault(cause=f"{name!r} cannot be the name of a job", hint="use letters, digits, `-` and `_`")
    if len(os.fsencode(name)) > NAME_BYTES_MAX:
        raise UsageFault(
            cause=f"{name[:20]}... is too long for the name of a job", hint=f"use at most {NAME_BYTES_MAX} characters"
        )
    path = output / name
    nearest = next(folder for folder in (output, *output.absolute().parents) if os.path.lexists(folder))
    if not nearest.exists():
        raise UsageFault(
            cause=f"{nearest} is a link to {nearest.readlink()}, which does not exist",
            hint="make that folder, remove the link, or choose another --output",
        )
    if output.exists() and not output.is_dir():
        raise UsageFault(cause=f"{output} is not a directory", hint="choose another --output")
    if path.exists():
        raise _exists(path)
    parent = next(folder for folder in (output.absolute(), *output.absolute().parents) if folder.exists())
    if not os.access(parent, os.W_OK):
        raise UsageFault(cause=f"{path} cannot be made: {parent} is not writable", hint="choose another --output")
    return path


class _Exists(UsageFault):
    """A job has the folder."""


def _exists(path: Path) -> UsageFault:
    return _Exists(
        cause=f"{path} exists already", hint="choose another --name, or move that folder away; nothing was changed"
    )


def _cannot_be_made(path: Path, error: OSError) -> UsageFault:
    return UsageFault(
        cause=f"{path} cannot be made: {os.strerror(error.errno or 0)}",
        hint="choose another --output that you may write",
    )


def free_name(output: Path, name: str) -> str:
    """The name of a job whose name nobody chose: where another job has it already, with a number."""
    numbered = (name, *(f"{name}_{number}" for number in range(2, NAMES_MAX)))
    return next((each for each in numbered if not (output / each).exists()), name)


def open_next_job_folder(output: Path, name: str) -> JobFolder:
    """As `open_job_folder`, for a name that nobody chose: another job may take it first, and then it gets a number.

    Raises:
        UsageFault: the output cannot be written.
    """
    for _ in range(NAMES_MAX):
        try:
            return open_job_folder(output, free_name(output, name))
        except _Exists:
            continue
    return open_job_folder(output, name)


def open_job_folder(output: Path, name: str, *, newest: bool = True) -> JobFolder:
    """Make a job's folder, lock it, and point output/latest at it if it is a job's.

    Raises:
        UsageFault: it exists already, the name cannot be that of a folder, or the output cannot be written.
    """
    path = check_new_folder(output, name)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_be_made(path, error) from error
    try:
        path.mkdir()
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise _cannot_be_made(path, error) from error
    lock = FolderLock(path)
    if newest:
        _point_latest(output, name)
    return JobFolder(path, lock)


def reopen_job_folder(path: Path) -> JobFolder:
    """The folder of a job that has ended, locked.

    Raises:
        UsageFault: it is not there, or another runner works on it.
    """
    root = path.resolve()  # once: a job that begins now makes another folder the latest
    return JobFolder(root, FolderLock(root))


def _point_latest(output: Path, name: str) -> None:
    fresh = output / f".latest-{os.getpid()}"
    # A file system without links, or a folder of that name: the job's folder is there all the same.
    with contextlib.suppress(OSError):
        fresh.unlink(missing_ok=True)  # of a runner of the same number that was killed just here
        fresh.symlink_to(name)
        try:
            fresh.replace(output / "latest")
        finally:
            fresh.unlink(missing_ok=True)
