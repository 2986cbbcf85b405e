"""Standard output and error that cannot end a job: everything that is printed goes through here.

A reader may leave (`| head -1`), a disk may be full, a descriptor closed, a terminal gone, an encoding too small for a check
mark. None of it is a reason to lose a verdict, or to end with an exit status that means something else: what a stream cannot
take is dropped from then on, and a character that it cannot show is written as its escape. Whoever prints need not know.
Nor does it matter that code of others wraps, detaches or closes the streams, or their descriptors: they are written to under
numbers of their own.

Once code of others runs in the process (`main_threads_output`), standard output belongs to the main thread: what other
threads print, what programs write that they start, and what comes out at the end of the process (buffers of others,
`atexit`) goes to standard error, or it would stand in the midst of `--json`, or after it.

A reader that does not read is waited for, as everywhere, until the process is told to end (`runner.budget.stopped`).
"""

import contextlib
import errno
import io
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from runner.budget.stopped import stopped_since_s
from runner.tasks.authors_code import standard_descriptors

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = 0, 1, 2  # POSIX, unistd.h
CHUNK_BYTES = select.PIPE_BUF  # so many a pipe that has room takes at once
POLL_S = 0.1  # chosen: how late it is noticed that the process was told to end
STOPPED_S = 5.0  # chosen: a reader that reads at all takes what is left within it


class _Descriptor(io.RawIOBase):
    """A standard descriptor whose first error is kept, and after which nothing more is written.

    Attributes:
        number: the standard one.
        own: the one that is written to, which leads to where the standard one led, and which nobody else knows.
        is_moved: whether the standard number leads to standard error by now.
        error: why nothing is written any more; None while it is.
    """

    def __init__(self, number: int) -> None:
        self.number = self.own = number
        with contextlib.suppress(OSError):  # there are no more descriptors
            self.own = os.dup(number)
        self.is_moved = False
        self.error: OSError | None = None

    def close(self) -> None:
        """Stay open: whoever wrapped the stream may go, and others write on."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def isatty(self) -> bool:
        return os.isatty(self.own)

    def reopen(self) -> None:
        """Have the standard number again where somebody closed it: the next file or socket would get it."""
        try:
            os.fstat(self.number)
        except OSError:
            with contextlib.suppress(OSError):
                os.dup2(STANDARD_ERROR if self.is_moved else self.own, self.number)

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of it, or drop it; returns the number of bytes in either case."""
        left = whole = memoryview(data).cast("B")
        while left and self.error is None:
            try:
                self._wait_for_room()
                left = left[os.write(self.own, left[:CHUNK_BYTES]) :]
            except BlockingIOError:  # somebody made it non-blocking, and somebody else took the room
                continue
            except OSError as error:
                self.error = error
        return len(whole)

    def _wait_for_room(self) -> None:
        """
        Raises:
            BrokenPipeError: the process was told to end, and its reader does not read.
        """
        room, end_s = select.poll(), None
        room.register(self.own, select.POLLOUT)
        while not room.poll(1000 * POLL_S):
            if end_s is None and stopped_since_s() is not None:
                end_s = time.monotonic() + STOPPED_S
            if end_s is not None and time.monotonic() >= end_s:
                raise BrokenPipeError(errno.EPIPE, "nobody reads it")


class _Text(io.TextIOWrapper):
    """A standard stream's text; whoever closes it has written all that they wanted, and others go on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_aside = threading.local()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """In it, what this thread prints here goes to standard error: code of others runs, and this is the report's."""
        before, self._is_aside.now = getattr(self._is_aside, "now", False), True
        try:
            yield
        finally:
            self._is_aside.now = before

    def write(self, text: str, /) -> int:
        """Write it here, or where this thread's code of others prints."""
        if not getattr(self._is_aside, "now", False):
            return super().write(text)
        self._is_aside.now = False  # standard error may be a stream that writes here
        try:
            return sys.stderr.write(text)
        finally:
            self._is_aside.now = True

    def close(self) -> None:
        self.flush()

    def detach(self) -> Any:
        """What is below it, for whoever wants to write bytes; it is not taken away from others."""
        self.flush()
        return self.buffer

    def reconfigure(self, **how: Any) -> None:
        """As any text stream, but for one thing: what an encoding cannot show stays an escape."""
        super().reconfigure(**{**how, "errors": "backslashreplace"})


@contextlib.contextmanager
def unbreakable_output() -> Iterator[None]:
    """From now on nothing that is printed raises; at its end, an output that was lost is named on standard error.

    A reader that left is not named: it has seen what it wanted. The streams stay to the process's end, when Python would
    make a failure of what others print.
    """
    _fill_closed_descriptors()
    out, err = _unbreakable(sys.stdout, STANDARD_OUTPUT), _unbreakable(sys.stderr, STANDARD_ERROR)
    sys.stdout, sys.stderr = out, err
    standard_descriptors[:] = [end for end in map(_descriptor_of, (err, out)) if end is not None]
    try:
        yield
    finally:
        standard_descriptors.clear()
        out.flush()
        _report_lost(out)
        err.flush()
        if (descriptor := _descriptor_of(out)) is not None:
            descriptor.own = STANDARD_OUTPUT  # where it was moved from, there is standard error
        sys.stdout, sys.stderr = out, err


@contextlib.contextmanager
def main_threads_output() -> Iterator[None]:
    """While it is open, standard output is the main thread's alone; what others write there goes to standard error.

    The process's own stays moved: what others left is written at its end.
    """
    before, errors = sys.stdout, sys.stderr
    descriptor = _descriptor_of(before)
    if descriptor is not None:
        _move(descriptor)
    alone = sys.stdout = cast(TextIO, _OfMainThread(before))
    try:
        yield
    finally:
        before.flush()
        sys.stdout, sys.stderr = before if descriptor is None else alone, errors


def _move(descriptor: _Descriptor) -> None:
    """Keep what it writes to under its own number alone; under the standard one there is standard error."""
    if descriptor.own == STANDARD_OUTPUT:
        descriptor.own = os.dup(STANDARD_OUTPUT)
    moved, descriptor.is_moved = descriptor.own, True
    os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)

    def give_up() -> None:
        """In a child that somebody forks, which has a main thread of its own."""
        with contextlib.suppress(OSError):
            os.close(moved)
        descriptor.own = STANDARD_OUTPUT

    os.register_at_fork(after_in_child=give_up)


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


def _descriptor_of(stream: TextIO) -> _Descriptor | None:
    end = getattr(stream, "buffer", None)
    return end if isinstance(end, _Descriptor) else None


def _report_lost(out: TextIO) -> None:
    descriptor = _descriptor_of(out)
    error = descriptor.error if descriptor is not None else None
    if error is not None and error.errno != errno.EPIPE:
        print(
            f"error: standard output cannot be written: {os.strerror(error.errno or 0)}\n"
            "  hint: make room, or send it elsewhere; a job's runs are in its folder: `python -m runner show`",
            file=sys.stderr,
        )
