"""Standard output and error that cannot end a job: everything that is printed goes through here.

A reader may leave (`| head -1`), a disk may be full, a descriptor closed, a terminal gone, an encoding too small for a check
mark. None of it is a reason to lose a verdict, or to end with an exit status that means something else: what a stream cannot
take is dropped from then on, and a character that it cannot show is written as its escape. Whoever prints need not know.
"""

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = 0, 1, 2


class _Descriptor(io.RawIOBase):
    """A descriptor whose first error is kept, and after which nothing more is written.

    Attributes:
        error: why nothing is written any more; None while it is.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of it, or drop it; returns the number of bytes in either case."""
        left = whole = memoryview(data).cast("B")
        while left and self.error is None:
            try:
                left = left[os.write(self._number, left) :]
            except BlockingIOError:  # somebody made the pipe non-blocking, and its reader is slow
                select.select([], [self._number], [])
            except OSError as error:
                self.error = error
        return len(whole)


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
    return io.TextIOWrapper(
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
