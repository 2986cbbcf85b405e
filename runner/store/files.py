"""Writing a file whole or not at all."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from runner.faults import StoreFault
from runner.settings import replace_file


def read_regular(path: Path) -> bytes:
    """A file's bytes; a pipe, which would be waited for, is none.

    Raises:
        OSError: it cannot be read.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return path.read_bytes()


def write_file(path: Path, content: bytes | str) -> None:
    """Replace a file; who reads it sees the old content or the new, never a part. A text is written as UTF-8.

    Raises:
        StoreFault: it cannot be written.
    """
    encoded = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    guard_writing(path, lambda: replace_file(path, encoded))


def guard_writing(path: Path, act: Callable[[], object]) -> None:
    """Do something to a path; what the operating system refuses becomes a fault that names the path.

    Raises:
        StoreFault: it could not be done.
    """
    try:
        act()
    except OSError as error:
        raise StoreFault(
            cause=f"{path} cannot be written: {os.strerror(error.errno or 0)}",
            hint="make room or give permission; what was written before is whole",
        ) from error
