"""Paths that a command is told to write to, looked at before it does any work."""

from pathlib import Path

from runner.cli.declaring import expand_home
from runner.faults import UsageFault
from runner.settings import is_special


def file_to_write(path: Path | None) -> Path | None:
    """A flag's path that becomes a file, or None where the flag is not given.

    Raises:
        UsageFault: it is a folder, or must not be replaced.
    """
    if path is not None and _expanded(path).is_dir():
        raise UsageFault(cause=f"{path} is a folder", hint="name a file in it")
    return file_or_folder_to_write(path)


def file_or_folder_to_write(path: Path | None) -> Path | None:
    """The same, where a folder may be named, too.

    Raises:
        UsageFault: it must not be replaced.
    """
    if path is not None and _is_special(_expanded(path)):
        raise UsageFault(
            cause=f"{path} is neither a file nor a folder, and would be replaced by a file", hint="name a file"
        )
    return path


def folder_to_write(path: Path | None) -> Path | None:
    """A flag's path that becomes a folder, or is one; None where the flag is not given.

    Raises:
        UsageFault: something else is there.
    """
    if path is not None and _expanded(path).exists() and not _expanded(path).is_dir():
        raise UsageFault(cause=f"{path} is not a folder", hint="name one that is new, or is there")
    return path


def _expanded(path: Path) -> Path:
    return Path(expand_home(str(path)))


def _is_special(path: Path) -> bool:
    """Whether a device, a pipe or a socket is there, or a link to an open file, such as /dev/stdout.

    A file is written beside its place and renamed, so root would take /dev/null from every program on the machine.
    """
    try:
        mode = path.stat().st_mode
        is_descriptor = path.is_symlink() and str(path.readlink()).startswith("/proc/")
    except OSError:
        return False  # nothing is there, or it cannot be looked at: writing says which
    return is_descriptor or is_special(mode)
