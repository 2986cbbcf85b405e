"""One runner at a time in a job's folder: a lock of the kernel on a file in it, which says who holds it.

The kernel lets it go when the holder ends, however it ends, so that no lock is ever left behind. The file is removed under
the lock; whoever locked a file that was removed in between opens the new one.
"""

import contextlib
import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from runner.faults import UsageFault

NAME = ".lock"
# What is read of it: three short fields. chosen: far more than they need
HOLDER_BYTES_MAX = 4096
_held: set[int] = set()


def _close_in_child() -> None:
    """A process that this one forks, as an agent's library may, does not hold its folders: it may outlive it."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


class FolderLock:
    """Held from its making until `release`."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            UsageFault: another runner holds it; says which.
        """
        self._path = folder.resolve() / NAME  # output/latest may be another job's folder by the time it is let go
        self._descriptor = _take(folder, self._path)
        _held.add(self._descriptor)
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with contextlib.suppress(OSError):  # a full disk: it is held all the same, without a name
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)

    def release(self) -> None:
        """Let it go; the file is removed first, so that nobody waits for one that is no longer there."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        _held.discard(self._descriptor)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def _take(folder: Path, path: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageFault(
                cause=f"{folder} cannot be locked: {os.strerror(error.errno or 0)}",
                hint="name the folder of a job that you may write, such as output/latest",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise UsageFault(
                cause=f"another runner works on {folder}: {holder_words(path)}",
                hint="wait until it has ended, or end it",
            ) from error
        except OSError as error:  # a network's file system may have no locks
            os.close(descriptor)
            raise UsageFault(
                cause=f"{folder} cannot be locked: {os.strerror(error.errno or 0)}",
                hint="choose an --output whose file system has locks",
            ) from error
        if _is_the_same(descriptor, path):
            return descriptor
        os.close(descriptor)


def _is_the_same(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one with that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def holder_words(path: Path) -> str:
    """Who holds a lock, as its file says."""
    try:
        with path.open("rb") as file:
            holder = json.loads(file.read(HOLDER_BYTES_MAX))
        return f"process {int(holder['pid'])} on {holder['host']!s}, since {holder['since']!s}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its lock does not say which"


def is_held(folder: Path) -> bool:
    """Whether a runner works on a job's folder now; nothing is changed."""
    try:
        descriptor = os.open(folder.absolute() / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it has no locks: nobody holds one
        return False
    finally:
        os.close(descriptor)
    return False
