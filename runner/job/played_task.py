"""The task of a job that is over: the folder that it was played from, else what bears its name."""

from collections.abc import Iterable
from pathlib import Path

from runner.faults import Fault, TaskFault
from runner.job.setup import load_task
from runner.records.run import JobConfig
from runner.settings import Settings
from runner.store.files import read_regular
from runner.store.journal import NAME, EntryKind, JournalEntry, read_journal
from runner.tasks.task import Task, read_task


def recorded_task_folder(job: Path) -> Path | None:
    """Where a job's task lay, as its journal says; None where it does not say.

    Args:
        job: the job's folder.
    """
    try:
        lines = read_regular(job / NAME).split(b"\n")
    except OSError:
        return None
    return task_folder_in(entry for line in lines for entry in read_journal(line).entries)  # mostly the first line's


def task_folder_in(entries: Iterable[JournalEntry]) -> Path | None:
    """The same of what a journal holds."""
    named = (entry.content.get("task") for entry in entries if entry.kind == EntryKind.BEGUN)
    return next((Path(path) for path in named if isinstance(path, str) and Path(path).is_absolute()), None)


def task_to_read(settings: Settings, config: JobConfig, recorded: Path | None) -> Task:
    """A job's task, for the texts that it holds.

    Args:
        recorded: the folder that the job's records name.

    Raises:
        TaskFault: neither that folder nor the name leads to a task.
    """
    played = _task_in(recorded)
    if played is not None and played.digest == config.task_digest:
        return played
    try:
        return load_task(settings, config.task)
    except TaskFault:
        if played is None or played.name != config.task:
            raise
        return played


def task_to_run(settings: Settings, named: str, config: JobConfig, recorded: Path | None) -> Task:
    """A job's task, of which code will run on this host: its name or its user says where it lies, and no record does.

    A job's folder may come from somebody else, and with it the path that it names.

    Args:
        named: what the user gave; empty where nothing.
        recorded: the folder that the job's records name, for the hint.

    Raises:
        TaskFault: there is none, or it is broken.
    """
    try:
        return load_task(settings, named or config.task)
    except TaskFault as fault:
        if named or _task_in(recorded) is None:
            raise
        hint = f"the job was played from another folder: give --task {recorded}"
        raise TaskFault(cause=fault.cause, hint=hint) from fault


def _task_in(folder: Path | None) -> Task | None:
    try:
        return read_task(folder) if folder is not None else None
    except Fault:
        return None
