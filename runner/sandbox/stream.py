"""One attached stream: a thread that drains it, and whoever waits for an answer.

An attach socket that nobody reads makes the engine's kill and inspect calls for that container hang, so the thread
starts with the stream and reads until the end. Only a thread that waits for an answer reads itself meanwhile: to be woken
by another one would take it longer than all that is done with a frame. Whoever reads notes the host's monotonic time when
the last byte of a frame is there: that is the clock of a measurement.
"""

import contextlib
import math
import os
import select
import socket
import ssl
import struct
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runner.faults import InfrastructureFault
from runner.sandbox.canaries import Tripwire
from runner.sandbox.readiness import Readiness
from runner.sandbox.tls import OneAtATime
from runner.sandbox.wire import TO_GUEST, TO_HOST, Decoder, Demultiplexer, Frame, Kind, NotMultiplexed, Seal, WireError

READ_BYTES = 1024 * 1024  # chosen: an answer of some MiB in a few reads
STDERR_BYTES_MAX = 64 * 1024  # chosen: the end of it, for messages
WAIT_STEP_S = 0.25  # chosen: how late a close may be noticed
# chosen: a thread that wakes so much later than it asked to was not let run: the process was stopped, or its machine
STILL_S = 2.0
# Chosen: a request has one answer; more bounds what a guest can fill the host's memory with.
FRAMES_WAITING_MAX, WAITING_BYTES_MAX = 64, 32 * 1024 * 1024
BESIDE = (Kind.DATA, Kind.TAKEN)
OnFrame = Callable[[Frame], None]


@dataclass(frozen=True, slots=True)
class Received:
    """A frame, and when its last byte came.

    Attributes:
        at_s: host monotonic clock, seconds.
    """

    frame: Frame
    at_s: float


class CloseCause(StrEnum):
    """Why a stream ended."""

    CLOSED = "closed"  # by us
    ENDED = "ended"  # by the other side
    MALFORMED = "malformed"  # no frames came: not trusted any further
    GARBLED = "garbled"  # by the engine, or by what stands between it and us
    LEAKED = "leaked"  # what only the host has came out
    UNSENT = "unsent"  # a frame to it was begun and not finished: nothing after it could be understood


NOT_READ_ON = (CloseCause.MALFORMED, CloseCause.GARBLED, CloseCause.LEAKED)


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """Nothing will come any more."""

    why: CloseCause
    detail: str


# Of a thread: whether it lets others read what it waits for.
_reading = threading.local()


def leave_reading() -> None:
    """This thread never reads a stream itself: exceptions may be raised in it from outside, in the middle of anything."""
    _reading.is_left = True


def _may_read() -> bool:
    is_main = threading.current_thread() is threading.main_thread()  # where a signal's handler may raise
    return not is_main and not getattr(_reading, "is_left", False)


CLOSED = StreamClosed(CloseCause.CLOSED, "closed by the runner")
# Sockets whose end tells somebody that this process is gone, or is done with what they stand for.
_own: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def keep_from_children(held: Any) -> None:
    """A process that this one forks, as an agent's library may, gets no copy of a socket, which would outlive our own."""
    if isinstance(held, socket.socket):
        _own.add(held)


def _close_in_child() -> None:
    for held in list(_own):
        with contextlib.suppress(OSError):
            os.close(held.detach())


os.register_at_fork(after_in_child=_close_in_child)


# (option of TCP's, value): what forwards a connection does not forget it, and one that is gone is told of.
# chosen: after a minute without a word, which is less than most commands may take
_KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
# Of Linux's `struct tcp_info` (linux/tcp.h): how often what was sent last was sent again without an answer.
_TCP_INFO, _RETRANSMITS = struct.Struct("8B"), 2


def _is_tcp(connection: socket.socket) -> bool:
    return connection.family in (socket.AF_INET, socket.AF_INET6)


def _keep_alive(connection: socket.socket) -> None:
    if not _is_tcp(connection):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):  # not on every platform
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def close_attached(attached: Any) -> None:
    """Close what `attach_socket` gave: its socket for both sides, and the HTTP answer that it came with.

    The answer before its socket: from Python 3.13 on, one that lost its socket complains on stderr when it is collected.
    """
    connection = getattr(attached, "_sock", attached)
    steps: tuple[Callable[[], object], ...] = (
        lambda: connection.shutdown(socket.SHUT_RDWR),
        lambda: attached._response.raw._fp.close(),
        lambda: connection.close(),  # there is none any more, the second time
        attached.close,
    )
    for step in steps:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            step()


def no_threads_left() -> InfrastructureFault:
    """What it means that this process gets no more threads."""
    return InfrastructureFault(
        cause="this host gives the runner no more threads",
        hint="raise its limits (`ulimit -u`, `ulimit -v`, a cgroup's pids and memory), or lower --concurrency",
    )


class Stream:
    """Frames over an attach socket. Opened by `runner.sandbox.container`, which closes it.

    Raises:
        InfrastructureFault: this process gets no thread for it.

    Args:
        key: by which frames bear tags, both ways; empty: they bear none.
        canaries: words that only the host has.

    Attributes:
        stood_still_at_s: when it was last seen that this process had stood still, by the monotonic clock.
    """

    def __init__(self, attached: Any, body_bytes_max: int, key: bytes = b"", canaries: Sequence[bytes] = ()) -> None:
        self._tripwire = Tripwire(canaries)
        self._attached = attached  # keeps the HTTP response alive; its socket would be closed with it
        self._socket: socket.socket = getattr(attached, "_sock", attached)
        self._socket.settimeout(WAIT_STEP_S)
        is_tls = isinstance(self._socket, ssl.SSLSocket)
        self._ends: socket.socket | OneAtATime = OneAtATime(self._socket, WAIT_STEP_S) if is_tls else self._socket
        keep_from_children(self._socket)
        _keep_alive(self._socket)
        self._demultiplexer = Demultiplexer()
        self._decoder = Decoder(body_bytes_max, Seal(key, TO_HOST) if key else None)
        self._seal = Seal(key, TO_GUEST) if key else None
        # Not over TLS: what has come may lie in the library, and no descriptor tells of it.
        self._readiness = None if is_tls else Readiness.of(self._socket)
        self._arrival = select.poll()
        self._arrival.register(self._socket, select.POLLIN)
        self._news = threading.Condition()  # with it are guarded:
        self._is_read = False  # whether a thread reads just now
        self._asking = 0  # threads that wait for an answer, and read
        self._sending = threading.Lock()
        self._frames: list[Received] = []
        self._end: StreamClosed | None = None
        self._closing = False
        self.stood_still_at_s = -math.inf
        self._stderr = bytearray()
        self._thread = threading.Thread(target=self._drain, name="sandbox-stream", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._close_readiness()
            close_attached(attached)
            raise no_threads_left() from error

    def limit_body(self, bytes_max: int) -> None:
        """Refuse frames with a larger body from now on."""
        self._decoder.body_bytes_max = bytes_max

    @property
    def stderr(self) -> bytes:
        """The tail of what the guest wrote to stderr, for diagnosis; never protocol."""
        return bytes(self._stderr)

    @property
    def end(self) -> StreamClosed | None:
        """How the stream ended; None while it lives."""
        return self._end

    @property
    def is_unheard(self) -> bool:
        """Whether the engine's machine does not even say that it got what was sent: it is sent again and again."""
        if not hasattr(socket, "TCP_INFO") or not _is_tcp(self._socket):
            return False
        try:
            told = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        except OSError:  # it was closed
            return False
        return bool(_TCP_INFO.unpack(told)[_RETRANSMITS])

    def send(self, data: bytes, left_s: Callable[[], float], *, plain: bool = False) -> bool:
        """Send one frame, whole, unless the deadline passes or the stream ends first. One that was begun and not finished
        ends the stream.

        Args:
            left_s: of real time, also where the guest stands frozen: whoever reads on the other side does not.
            plain: what is sent is no frame, and bears no tag.
        """
        is_mine = False
        try:
            while not is_mine:
                left = left_s()
                if self._end is not None or left <= 0:
                    return False
                began_s = time.monotonic()
                is_mine = self._sending.acquire(timeout=min(left, WAIT_STEP_S))
                self._note_standstill(began_s)
            return self._send(memoryview(data if plain or self._seal is None else data + self._seal.tag(data)), left_s)
        finally:
            if is_mine:
                self._sending.release()

    def _send(self, view: memoryview, left_s: Callable[[], float]) -> bool:
        whole_bytes = len(view)
        try:
            while view:
                if self._end is not None or left_s() <= 0:
                    return False
                began_s = time.monotonic()
                try:
                    view = view[self._ends.send(view) :]
                except TimeoutError:
                    self._note_standstill(began_s)
                except OSError as error:
                    self._finish(StreamClosed(CloseCause.ENDED, f"sending failed: {error}"))
                    return False
        finally:  # `left_s` may raise, too
            if 0 < len(view) < whole_bytes:
                self._finish(StreamClosed(CloseCause.UNSENT, "what was sent to it was not read in time"))
        return True

    def receive(
        self, sequence: int, left_s: Callable[[], float], on_frame: OnFrame | None = None
    ) -> Received | StreamClosed | None:
        """The frame that answers a request; None when the deadline passed.

        Args:
            on_frame: called here with each frame of the request's that comes beside its answer.
        """
        got = self._next(sequence, left_s)
        while on_frame is not None and isinstance(got, Received) and got.frame.kind in BESIDE:
            on_frame(got.frame)
            got = self._next(sequence, left_s)
        return got

    def _next(self, sequence: int, left_s: Callable[[], float]) -> Received | StreamClosed | None:
        if self._readiness is None or not _may_read():
            return self._wait(sequence, left_s, may_read=False)
        with self._news:
            self._asking += 1
            if self._asking == 1:
                self._readiness.rest()
        try:
            return self._wait(sequence, left_s, may_read=True)
        finally:
            with self._news:
                self._asking -= 1
                if not self._asking and not self._closing:
                    self._readiness.watch()

    def _wait(self, sequence: int, left_s: Callable[[], float], *, may_read: bool) -> Received | StreamClosed | None:
        while True:
            with self._news:
                for arrived in self._frames:
                    if arrived.frame.sequence == sequence:
                        self._frames.remove(arrived)
                        return arrived
                if self._end is not None:
                    return self._end
                left = left_s()
                if left <= 0:
                    return None
                step_s = min(left, WAIT_STEP_S)
                if not may_read or self._is_read:
                    began_s = time.monotonic()
                    self._news.wait(step_s)
                    self._note_standstill(began_s)
                    continue
                self._is_read = True
            self._read_in_turn(step_s)

    @property
    def has_surplus(self) -> bool:
        """Whether more came than was asked for: another frame, a part of one, or bytes that are none."""
        return (
            bool(self._frames)
            or self._decoder.has_partial_frame
            or (self._end is not None and self._end.why is CloseCause.MALFORMED)
        )

    def close(self) -> None:
        """End it from our side; the guest's PID 1 sees the end of its stdin."""
        with self._news:
            self._closing = True
        close_attached(self._attached)
        self._finish(CLOSED)

    def _drain(self) -> None:
        readiness, goes_on = self._readiness, True
        while goes_on and not self._closing:
            if readiness is None:
                goes_on = self._read()
                continue
            began_s = time.monotonic()
            readiness.wait(WAIT_STEP_S)  # told of nothing, it looks all the same: nobody else would ever read
            self._note_standstill(began_s)
            with self._news:
                is_mine = not self._asking
                if is_mine:
                    self._is_read = True
            if is_mine:
                goes_on = self._read_in_turn(0.0)
        self._close_readiness()

    def _close_readiness(self) -> None:
        if self._readiness is not None:
            with self._news:
                self._readiness.close()

    def _read_in_turn(self, wait_s: float) -> bool:
        """Read what comes within so many seconds, and let others read; False at the end of the stream."""
        try:
            began_s = time.monotonic()
            has_arrived = self._arrival.poll(wait_s * 1000)
            self._note_standstill(began_s)
            return self._read() if has_arrived else True
        finally:
            with self._news:
                self._is_read = False
                self._news.notify_all()

    def _read(self) -> bool:
        """Take what comes within a step; False at the end of the stream."""
        began_s = time.monotonic()
        try:
            chunk = self._ends.recv(READ_BYTES)
        except TimeoutError:
            self._note_standstill(began_s)
            return True
        except (OSError, ValueError) as error:
            self._finish(StreamClosed(CloseCause.ENDED, f"reading failed: {error}"))
            return False
        at_s = self._note_standstill(began_s)
        if not chunk:
            self._finish(StreamClosed(CloseCause.ENDED, "the container closed the stream"))
            return False
        if self._end is None or self._end.why not in NOT_READ_ON:
            self._take(chunk, at_s)
        return True

    def _note_standstill(self, began_s: float) -> float:
        """Look whether a wait took longer than it could; the time now."""
        now_s = time.monotonic()
        if now_s - began_s > WAIT_STEP_S + STILL_S:
            self.stood_still_at_s = now_s
        return now_s

    def _take(self, chunk: bytes, at_s: float) -> None:
        try:
            for stream, piece in self._demultiplexer.feed(chunk):
                if self._tripwire.is_tripped(stream, piece):
                    self._finish(StreamClosed(CloseCause.LEAKED, "a word that only the host has came out of it"))
                    return
                if stream == Demultiplexer.STDERR:
                    self._stderr = (self._stderr + piece)[-STDERR_BYTES_MAX:]
                else:
                    self._deliver(piece, at_s)
        except NotMultiplexed as error:
            self._finish(StreamClosed(CloseCause.GARBLED, str(error)))
        except WireError as error:
            # It is drained on; what comes is thrown away.
            self._finish(StreamClosed(CloseCause.MALFORMED, str(error)))

    def _deliver(self, piece: bytes, at_s: float) -> None:
        for frame in self._decoder.feed(piece):
            with self._news:
                waiting_bytes = sum(len(arrived.frame.body) for arrived in self._frames)
                if len(self._frames) >= FRAMES_WAITING_MAX or waiting_bytes > WAITING_BYTES_MAX:
                    raise WireError("frames that nobody asked for")
                self._frames.append(Received(frame, at_s))
                self._news.notify_all()

    def _finish(self, end: StreamClosed) -> None:
        with self._news:
            is_open = self._end is None or self._end.why is CloseCause.UNSENT
            if is_open and self._closing:  # an end that comes while we close it is our own doing
                self._end = CLOSED
            elif self._end is None:
                self._end = end
            self._news.notify_all()
