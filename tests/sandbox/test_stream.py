"""Who reads a stream: a thread of its own, and meanwhile whoever waits for an answer."""

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runner.sandbox.readiness import Readiness
from runner.sandbox.stream import WAIT_STEP_S, CloseCause, Received, Stream, StreamClosed
from runner.sandbox.wire import Frame, Kind, encode
from tests.builders import multiplexed
from tests.conftest import wait_until

ASKERS, QUESTIONS = 8, 200


def answer_to(*sequences: int) -> bytes:
    """As an engine sends what a guest answers."""
    frames = b"".join(encode(Frame(Kind.REPLY, sequence, {"ok": True}, b"%d" % sequence)) for sequence in sequences)
    return multiplexed(frames)


@pytest.fixture
def guest() -> Iterator[tuple[Stream, socket.socket]]:
    """A stream, and the guest's end of it."""
    ours, theirs = socket.socketpair()
    stream = Stream(ours, 1024)
    yield stream, theirs
    stream.close()
    theirs.close()


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """Threads to wait in, none of which is the main one."""
    with ThreadPoolExecutor(ASKERS) as pool:
        yield pool


def note_readers(stream: Stream) -> list[int]:
    """The threads that take something from a stream, from now on."""
    readers: list[int] = []
    feed = stream._demultiplexer.feed

    def noting(chunk: bytes) -> Any:
        readers.append(threading.get_ident())
        return feed(chunk)

    stream._demultiplexer.feed = noting  # type: ignore[method-assign]
    return readers


def receive_here(stream: Stream, sequence: int, seconds: float = 60.0) -> tuple[int, Any]:
    """The thread that waited, and what it got."""
    end_s = time.monotonic() + seconds
    return threading.get_ident(), stream.receive(sequence, lambda: end_s - time.monotonic())


def body_of(got: Received | StreamClosed | None) -> bytes:
    assert isinstance(got, Received), got
    return got.frame.body


def is_asked(stream: Stream) -> bool:
    return stream._asking > 0 and stream._is_read


def test_a_thread_that_waits_for_an_answer_reads_it_itself(
    guest: tuple[Stream, socket.socket], elsewhere: ThreadPoolExecutor
) -> None:
    stream, theirs = guest
    readers = note_readers(stream)
    for sequence in range(3):
        waiting = elsewhere.submit(receive_here, stream, sequence)
        wait_until(lambda: is_asked(stream))
        theirs.sendall(answer_to(sequence))
        thread, got = waiting.result()
        assert body_of(got) == b"%d" % sequence
        assert readers.pop() == thread and not readers


def test_the_main_thread_lets_read_for_a_signal_could_take_it_away(guest: tuple[Stream, socket.socket]) -> None:
    stream, theirs = guest
    readers = note_readers(stream)
    theirs.sendall(answer_to(1))
    assert body_of(stream.receive(1, lambda: 60.0)) == b"1"
    assert readers == [stream._thread.ident]


def test_what_comes_while_nobody_waits_is_read(
    guest: tuple[Stream, socket.socket], elsewhere: ThreadPoolExecutor
) -> None:
    stream, theirs = guest
    for sequence in range(20):
        theirs.sendall(answer_to(sequence))
        assert body_of(elsewhere.submit(receive_here, stream, sequence).result()[1]) == b"%d" % sequence
        assert not stream.has_surplus
    theirs.sendall(answer_to(99))
    wait_until(lambda: stream.has_surplus)


def test_a_guest_that_never_stops_writing_holds_up_nothing(
    guest: tuple[Stream, socket.socket], elsewhere: ThreadPoolExecutor
) -> None:
    stream, theirs = guest
    theirs.sendall(answer_to(1))
    assert elsewhere.submit(receive_here, stream, 1).result()[1] is not None
    theirs.settimeout(60.0)
    theirs.sendall(b"\x02\0\0\0" + (8 << 20).to_bytes(4, "big") + bytes(8 << 20))  # stderr: more than any buffer holds
    wait_until(lambda: len(stream.stderr) > 0)


def test_answers_out_of_turn_reach_whoever_waits_for_them(
    guest: tuple[Stream, socket.socket], elsewhere: ThreadPoolExecutor
) -> None:
    stream, theirs = guest
    waiting = [elsewhere.submit(receive_here, stream, sequence) for sequence in range(ASKERS)]
    wait_until(lambda: stream._asking == ASKERS)
    for sequence in reversed(range(ASKERS)):
        theirs.sendall(answer_to(sequence))
    assert [body_of(each.result()[1]) for each in waiting] == [b"%d" % sequence for sequence in range(ASKERS)]


def test_an_answer_in_pieces_is_read_by_whoever_is_there(
    guest: tuple[Stream, socket.socket], elsewhere: ThreadPoolExecutor
) -> None:
    stream, theirs = guest
    answer = answer_to(1)
    theirs.sendall(answer[:10])  # the thread of its own has these
    wait_until(lambda: not select.select([stream._socket], [], [], 0)[0])
    waiting = elsewhere.submit(receive_here, stream, 1)
    wait_until(lambda: is_asked(stream))
    for byte in answer[10:]:
        theirs.sendall(bytes([byte]))
    assert body_of(waiting.result()[1]) == b"1"


def ask(stream: Stream, sequence: int) -> bytes:
    assert stream.send(sequence.to_bytes(4, "big"), lambda: 60.0, plain=True)
    return body_of(receive_here(stream, sequence)[1])


def answer_everything(theirs: socket.socket) -> None:
    """A guest that answers what has come so far, the last first."""
    left = b""
    while chunk := theirs.recv(64):
        left += chunk
        whole = len(left) // 4 * 4
        asked = [int.from_bytes(left[at : at + 4], "big") for at in range(0, whole, 4)]
        left = left[whole:]
        theirs.sendall(answer_to(*reversed(asked)))


def test_no_answer_is_lost_between_many_threads_that_ask_and_the_one_that_drains(
    guest: tuple[Stream, socket.socket], elsewhere: ThreadPoolExecutor
) -> None:
    stream, theirs = guest
    threading.Thread(target=answer_everything, args=(theirs,), daemon=True).start()

    def ask_much(asker: int) -> list[bytes]:
        return [ask(stream, asker * QUESTIONS + number) for number in range(QUESTIONS)]

    waiting = [elsewhere.submit(ask_much, asker) for asker in range(ASKERS - 1)]
    mine = ask_much(ASKERS - 1)  # the main thread among them
    got = [body for each in waiting for body in each.result()] + mine
    assert got == [b"%d" % number for number in range(ASKERS * QUESTIONS)]
    assert stream.end is None and not stream.has_surplus


def test_a_deadline_is_kept_to_by_who_reads_and_by_who_lets_read(
    guest: tuple[Stream, socket.socket], elsewhere: ThreadPoolExecutor
) -> None:
    stream, _theirs = guest

    def wait(seconds: float) -> float:
        began_s = time.monotonic()
        assert receive_here(stream, 1, seconds)[1] is None
        return time.monotonic() - began_s

    long = elsewhere.submit(wait, 8 * WAIT_STEP_S)
    wait_until(lambda: is_asked(stream))
    short = wait(WAIT_STEP_S / 5)
    assert WAIT_STEP_S / 5 <= short < long.result()


END = {
    "by the guest": (lambda _stream, theirs: theirs.close(), CloseCause.ENDED),
    "by us": (lambda stream, _theirs: stream.close(), CloseCause.CLOSED),
    "for what is no frame": (
        lambda _stream, theirs: theirs.sendall(b"\x01\0\0\0\0\0\0\x0d" + b"\xff" * 13),
        CloseCause.MALFORMED,
    ),
    "for what no engine sends": (lambda _stream, theirs: theirs.sendall(b"\xff" * 8), CloseCause.GARBLED),
}


@pytest.mark.parametrize("way", END)
def test_the_end_reaches_everybody_who_waits_and_gives_all_descriptors_back(
    way: str, elsewhere: ThreadPoolExecutor
) -> None:
    bring_about, why = END[way]
    ours, theirs = socket.socketpair()
    stream = Stream(ours, 1024)
    waiting = [elsewhere.submit(receive_here, stream, number) for number in range(3)]
    wait_until(lambda: stream._asking == 3)
    bring_about(stream, theirs)
    ends = [each.result()[1] for each in waiting]
    assert [end.why for end in ends] == [why] * 3
    stream.close()
    theirs.close()
    wait_until(lambda: not stream._thread.is_alive())
    assert stream._readiness is not None and stream._readiness._epoll.closed and ours.fileno() == -1


def have_no_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")


def have_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(select, "epoll", refuse)


REAL_EPOLL = getattr(select, "epoll", None)


class FullEpoll:
    """One to which its user's limit of watches (`fs.epoll.max_user_watches`), or the kernel's memory, leaves no more.

    Attributes:
        refused: names of the calls that are refused.
    """

    refused: frozenset[str] = frozenset()

    def __init__(self) -> None:
        assert REAL_EPOLL is not None
        self.real = REAL_EPOLL()

    def __getattr__(self, name: str) -> Any:
        if name in self.refused:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return getattr(self.real, name)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Refuses a call of every epoll's from now on."""
    monkeypatch.setattr(FullEpoll, "refused", frozenset())
    monkeypatch.setattr(select, "epoll", FullEpoll)
    return lambda name: monkeypatch.setattr(FullEpoll, "refused", FullEpoll.refused | {name})


def have_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FullEpoll, "refused", frozenset({"register"}))
    monkeypatch.setattr(select, "epoll", FullEpoll)


def test_no_watch_is_asked_for_anew_once_the_stream_is_there(
    full: Callable[[str], None], elsewhere: ThreadPoolExecutor
) -> None:
    ours, theirs = socket.socketpair()
    stream = Stream(ours, 1024)
    full("register")
    for sequence in range(2):
        theirs.sendall(answer_to(sequence))
        assert body_of(elsewhere.submit(receive_here, stream, sequence).result()[1]) == b"%d" % sequence
    assert stream._readiness is not None
    theirs.sendall(answer_to(9))
    wait_until(lambda: stream.has_surplus)
    stream.close()
    theirs.close()


def test_a_stream_has_a_reader_also_where_nothing_tells_it_of_what_comes_any_more(
    full: Callable[[str], None], elsewhere: ThreadPoolExecutor
) -> None:
    ours, theirs = socket.socketpair()
    stream = Stream(ours, 1024)
    theirs.sendall(answer_to(1))
    waiting = elsewhere.submit(receive_here, stream, 1)
    full("register")
    full("modify")
    assert body_of(waiting.result()[1]) == b"1"
    assert stream._readiness is not None
    stream._readiness._epoll.real.modify(ours.fileno(), 0)  # as a question leaves it whose end could not be told
    theirs.sendall(answer_to(2))
    assert body_of(stream.receive(2, lambda: 60.0)) == b"2"
    stream.close()
    theirs.close()


@pytest.mark.skipif(REAL_EPOLL is None, reason="Linux alone has it")
def test_who_rests_is_told_of_the_end_once_and_of_nothing_else() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        readiness = Readiness.of(ours)
        assert readiness is not None
        readiness.rest()
        theirs.sendall(b"1")
        assert not readiness.wait(0.0)
        theirs.close()
        assert [readiness.wait(0.0) for _ in range(3)] == [True, False, False]
        readiness.watch()
        assert readiness.wait(0.0)
        readiness.close()


@pytest.mark.parametrize("lack", [have_no_epoll, have_no_descriptor, have_no_watch])
def test_where_nothing_tells_of_what_comes_the_thread_of_its_own_reads_all(
    lack: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, elsewhere: ThreadPoolExecutor
) -> None:
    lack(monkeypatch)
    ours, theirs = socket.socketpair()
    assert Readiness.of(ours) is None
    stream = Stream(ours, 1024)
    readers = note_readers(stream)
    waiting = elsewhere.submit(receive_here, stream, 1)
    theirs.sendall(answer_to(1))
    assert body_of(waiting.result()[1]) == b"1"
    assert readers == [stream._thread.ident]
    stream.close()
    theirs.close()


LARGE = bytes(8 << 20)  # more than any buffer holds


def left_of(seconds: float) -> Callable[[], float]:
    end_s = time.monotonic() + seconds
    return lambda: end_s - time.monotonic()


def test_whoever_sends_beside_one_that_is_not_read_gives_up_at_its_own_deadline(
    guest: tuple[Stream, socket.socket], elsewhere: ThreadPoolExecutor
) -> None:
    stream, theirs = guest
    held_up = elsewhere.submit(stream.send, LARGE, lambda: 60.0)
    wait_until(stream._sending.locked)
    assert not stream.send(b"short", left_of(0.1))
    assert stream.end is None and not held_up.done()  # it had begun nothing
    theirs.close()
    assert not held_up.result()


def raise_soon(seconds: float) -> Callable[[], float]:
    left_s = left_of(seconds)

    def look() -> float:
        if left_s() <= 0:
            raise InterruptedError
        return 60.0

    return look


@pytest.mark.parametrize("give_up", [left_of, raise_soon])
def test_a_frame_that_was_begun_and_not_finished_ends_the_stream(
    give_up: Callable[[float], Callable[[], float]], guest: tuple[Stream, socket.socket]
) -> None:
    stream, theirs = guest
    with contextlib.suppress(InterruptedError):
        assert not stream.send(LARGE, give_up(0.1))
    assert stream.end is not None and stream.end.why is CloseCause.UNSENT
    assert not stream.send(b"after it", lambda: 60.0)
    theirs.sendall(answer_to(1))  # what it says meanwhile is heard
    wait_until(lambda: stream.has_surplus)
    assert body_of(stream.receive(1, lambda: 60.0)) == b"1"
    stream.close()
    assert stream.end.why is CloseCause.CLOSED


def test_one_that_was_not_begun_leaves_the_stream_as_it_is(guest: tuple[Stream, socket.socket]) -> None:
    stream, _theirs = guest
    assert not stream.send(b"too late", lambda: 0.0)
    assert stream.end is None and stream.send(b"in time", lambda: 60.0)
