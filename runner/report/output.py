"""Standard output and error that cannot end a job: everything that is printed goes through here.

A reader may leave (`| head -1`), a disk may be full, a descriptor closed, a terminal gone, an encoding too small for a check
mark. None of it is a reason to lose a verdict, or to end with an exit status that means something else: what a stream cannot
take is dropped from then on, and a character that it cannot show is written as its escape. Whoever prints need not know.

While code of others runs in the process (`main_threads_output`), standard output belongs to the main thread: what other
threads print, and what programs write that they start, goes to standard error, or it would stand in the midst of `--json`.
"""

import contextlib
import errno
import io
import os
import select
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = 0, 1, 2  # POSIX, unistd.h


class _Descriptor(io.RawIOBase):
    """A descriptor whose first error is kept, and after which nothing more is written.

    Attributes:
        error: why nothing is written any more; None while it is.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def isatty(self) -> bool:
        return os.isatty(self.number)

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of it, or drop it; returns the number of bytes in either case."""
        left = whole = memoryview(data).cast("B")
        while left and self.error is None:
            try:
                left = left[os.write(self.number, left) :]
            except BlockingIOError:  # somebody made the pipe non-blocking, and its reader is slow
                select.select([], [self.number], [])
            except OSError as error:
                self.error = error
        return len(whole)


class _Text(io.TextIOWrapper):
    """A standard stream's text; whoever closes it has written all that they wanted, and others go on."""

    def close(self) -> None:
        self.flush()


@contextlib.contextmanager
def unbreakable_output() -> Iterator[None]:
    """While it is open, nothing that is printed raises; at its end, an output that was lost is named on standard error.

    A reader that left is not named: it has seen what it wanted.
    """
    _fill_closed_descriptors()
    before = sys.stdout, sys.stderr
    out, err = _unbreakable(sys.stdout, STANDARD_OUTPUT), _unbreakable(sys.stderr, STANDARD_ERROR)
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        out.flush()
        _report_lost(out)
        err.flush()
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def main_threads_output() -> Iterator[None]:
    """While it is open, standard output is the main thread's alone; what others write there goes to standard error."""
    before, errors = sys.stdout, sys.stderr
    descriptor = getattr(before, "buffer", None)
    with contextlib.ExitStack() as stack:
        if isinstance(descriptor, _Descriptor):
            stack.enter_context(_moved(descriptor))
        sys.stdout = cast(TextIO, _OfMainThread(before))
        try:
            yield
        finally:
            before.flush()
            sys.stdout, sys.stderr = before, errors  # somebody may have put others there, and not come back


@contextlib.contextmanager
def _moved(descriptor: _Descriptor) -> Iterator[None]:
    """Keep what it writes to under a number that no other program inherits; under its own there is standard error."""
    number, descriptor.number = descriptor.number, os.dup(descriptor.number)
    os.dup2(STANDARD_ERROR, number)
    try:
        yield
    finally:
        moved, descriptor.number = descriptor.number, number
        os.dup2(moved, number)
        os.close(moved)


class _OfMainThread:
    """A stream for the main thread, and standard error for all others."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        is_main = threading.current_thread() is threading.main_thread()
        return getattr(self._stream if is_main else sys.stderr, name)


def _fill_closed_descriptors() -> None:
    """Open the null device where a standard descriptor is closed: else the next file or socket would get its number."""
    for number in (STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest number that is free: this one


def _unbreakable(stream: TextIO | None, number: int) -> TextIO:
    """The same stream, unbreakable; as it is where somebody replaced the process's own by another object."""
    if stream is None:  # it was closed when Python started; its number may be anybody's by now
        return Path(os.devnull).open("w", encoding="utf-8")
    try:
        if stream.fileno() != number:
            return stream
    except (AttributeError, OSError, ValueError):
        return stream
    descriptor: Any = _Descriptor(number)  # it writes whole: a buffer below the text's own would have nothing to do
    return _Text(
        descriptor,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=getattr(stream, "write_through", False),
    )


def _report_lost(out: TextIO) -> None:
    descriptor = getattr(out, "buffer", None)
    error = descriptor.error if isinstance(descriptor, _Descriptor) else None
    if error is not None and error.errno != errno.EPIPE:
        print(
            f"error: standard output cannot be written: {os.strerror(error.errno or 0)}\n"
            "  hint: make room, or send it elsewhere; a job's runs are in its folder: `python -m runner show`",
            file=sys.stderr,
        )
