"""A stream over TLS, as that of an engine on another machine: both directions at once, over a real connection."""

import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from runner.sandbox.stream import CloseCause, Received, Stream, StreamClosed
from runner.sandbox.tls import OneAtATime
from runner.sandbox.wire import Frame, Kind, encode
from tests.builders import multiplexed
from tests.conftest import wait_until

BODY = bytes(range(256)) * 1024
COUNT = 40


class Watched(ssl.SSLSocket):
    """Notes whether two threads were inside of the connection at once."""

    inside, together = 0, False

    def _alone(self, call: Any, *arguments: Any) -> Any:
        if self._sslobj is None:
            return call(*arguments)
        self.inside += 1
        self.together |= self.inside > 1
        try:
            return call(*arguments)
        finally:
            self.inside -= 1

    def recv(self, *arguments: Any) -> bytes:
        return self._alone(super().recv, *arguments)

    def send(self, *arguments: Any) -> int:
        return self._alone(super().send, *arguments)


@pytest.fixture
def ends() -> Iterator[tuple[Watched, ssl.SSLSocket]]:
    """Both ends of a connection without certificates."""
    made = []
    for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(kind)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")
        made.append(context)
    server, client = made
    client.sslsocket_class = Watched
    with socket.create_server(("127.0.0.1", 0)) as listening:
        here = socket.create_connection(listening.getsockname())
        there = listening.accept()[0]
    accepted: list[ssl.SSLSocket] = []
    accepting = threading.Thread(target=lambda: accepted.append(server.wrap_socket(there, server_side=True)))
    accepting.start()
    mine = client.wrap_socket(here)
    accepting.join()
    with mine, accepted[0]:
        assert isinstance(mine, Watched)
        yield mine, accepted[0]


def test_what_goes_both_ways_at_once_arrives_whole_and_no_two_threads_are_inside_of_the_connection(
    ends: tuple[Watched, ssl.SSLSocket],
) -> None:
    mine, guest = ends
    got = bytearray()
    size = COUNT * len(BODY)

    def take() -> None:
        while len(got) < size:
            got.extend(guest.recv(65536))

    def give() -> None:
        for number in range(COUNT):
            guest.sendall(multiplexed(encode(Frame(Kind.REPLY, number, {}, BODY))))

    stream = Stream(mine, len(BODY))
    # The guest's end takes and gives by turns: it is its own process, with one thread of its own.
    guests = threading.Thread(target=lambda: (give(), take()))
    guests.start()
    answers = []
    for number in range(COUNT):
        assert stream.send(BODY, lambda: 60.0, plain=True)
        answers.append(stream.receive(number, lambda: 60.0))
    guests.join()
    assert bytes(got) == BODY * COUNT
    assert [each.frame.body == BODY for each in answers if isinstance(each, Received)] == [True] * COUNT
    assert not mine.together and stream.end is None
    stream.close()


def test_who_waits_for_an_answer_holds_up_nobody_who_sends(ends: tuple[Watched, ssl.SSLSocket]) -> None:
    mine, guest = ends
    connection = OneAtATime(mine, 60.0)
    waiting = threading.Thread(target=connection.recv, args=(10,))
    waiting.start()
    assert connection.send(memoryview(b"a question")) == 10 and guest.recv(10) == b"a question"
    guest.sendall(b"an answer")
    waiting.join()


def test_nothing_within_a_step_is_told_and_the_end_of_the_other_side_is_an_end(
    ends: tuple[Watched, ssl.SSLSocket],
) -> None:
    mine, guest = ends
    with pytest.raises(TimeoutError):
        OneAtATime(mine, 0.01).recv(10)
    stream = Stream(mine, 10)
    guest.close()
    wait_until(lambda: stream.end is not None)
    assert isinstance(stream.end, StreamClosed) and stream.end.why is CloseCause.ENDED
    assert not stream.send(b"more", lambda: 1.0)
    stream.close()


def test_what_is_closed_by_us_ends_who_waits(ends: tuple[Watched, ssl.SSLSocket]) -> None:
    stream = Stream(ends[0], 10)
    stream.close()
    stream._thread.join(60.0)
    assert not stream._thread.is_alive() and stream.end is not None and stream.end.why is CloseCause.CLOSED
