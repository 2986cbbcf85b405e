"""A new task: a copy of a small, whole one, for its author to change."""

import re
from importlib import resources
from pathlib import Path

from runner.faults import UsageFault

NAME_FIELD = "{name}"


def starters_folder() -> Path:
    """Where the starters lie: a folder for each kind of call that there is one for."""
    return Path(str(resources.files("runner.tasks"))) / "starters"


def kinds() -> list[str]:
    """The kinds of call that a new task can have."""
    return sorted(path.parent.name for path in starters_folder().glob("*/task.toml"))


def write_starter(folder: Path, kind: str) -> list[str]:
    """Write a new task into a folder that does not exist or is empty; the files' paths in it.

    Raises:
        UsageFault: there is no starter of that kind, or the folder cannot be used.
    """
    if kind not in kinds():
        raise UsageFault(cause=f"there is no starter for tasks of kind {kind!r}", hint=f"known: {', '.join(kinds())}")
    name = task_name(folder)
    _check_empty(folder)
    source = starters_folder() / kind
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _copy(source, folder)
        toml = folder / "task.toml"
        toml.write_text(toml.read_text(encoding="utf-8").replace(NAME_FIELD, name), encoding="utf-8")
    except OSError as error:
        raise UsageFault(cause=f"{folder} cannot be written: {error.strerror}", hint="choose another folder") from error
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _copy(source: Path, folder: Path) -> None:
    """Copy contents alone: the author may write all of it, also where the installed files and folders are read-only."""
    for path in sorted(source.iterdir()):
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
        elif path.name != "__pycache__":
            (folder / path.name).mkdir()
            _copy(path, folder / path.name)


def task_name(folder: Path) -> str:
    """A task's name from that of its folder: what a name may not have becomes an underscore.

    Raises:
        UsageFault: nothing is left.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", folder.absolute().name).strip("-")
    if not name.strip("_"):
        raise UsageFault(cause=f"{folder} gives a task no name", hint="use letters or digits in the folder's name")
    return name


def _check_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise UsageFault(cause=f"{folder} is there already, and not empty", hint="choose a new folder")
