"""The way between PID 1 and the forwarder, with a forwarder that somebody has taken over, on this machine."""

import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runner.sandbox.container import INSIDE
from tests.sandbox.test_shell_loop import LINGER_S, SENDS_ALONG

# The way to the host is the forwarder's descriptor 4.
TAKEN_OVER = SENDS_ALONG.replace("fileno=0", "fileno=4")
READY_S = 1.5  # until it is sent, and nobody else has it


class Wire:
    """The host's end, which takes everything."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, kind: int, sequence: int, head: dict[str, Any], body: bytes = b"") -> None:
        self.written.append(body)


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """What PID 1's program defines."""
    found: dict[str, Any] = {"confine": lambda own_entries: None, "fence": lambda: None}
    for part in ("frames.py", "shell.py", "channel.py"):
        exec(compile((INSIDE / part).read_text(), part, "exec"), found)
    yield found
    found["reaped"]()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def forwarder(text: str, *arguments: str) -> str:
    return f"import sys; sys.argv[1:] = {list(arguments)!r}\n{text}"


@pytest.mark.slow
@pytest.mark.parametrize("holder", ["process", "nobody"])
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "never taken"])
def test_no_descriptor_that_is_sent_along_with_requests_holds_up_pid_1(
    names: dict[str, Any], holder: str, taken: bool
) -> None:
    channel, wire = (
        names["Channel"](sys.executable, free_port(), forwarder(TAKEN_OVER, holder, str(LINGER_S)), 1),
        Wire(),
    )
    time.sleep(READY_S)
    started = time.monotonic()
    if taken:
        assert not channel.move(wire) and wire.written == []
    channel.close()
    assert time.monotonic() - started < LINGER_S - 1


def test_what_the_forwarder_sends_in_many_pieces_comes_in_their_order_and_once(names: dict[str, Any]) -> None:
    text = "import socket; way = socket.socket(fileno=4)\nfor n in range(200): way.sendall(b'%05d' % n * 1000)\n"
    channel, wire = names["Channel"](sys.executable, free_port(), text, 1), Wire()
    end = time.monotonic() + 10
    while channel.move(wire) and time.monotonic() < end:
        channel.may_send = 1
        time.sleep(0.001)
    channel.close()
    assert b"".join(wire.written) == b"".join(b"%05d" % number * 1000 for number in range(200))


@pytest.mark.slow
def test_a_forwarder_that_was_killed_before_it_read_everything_holds_up_no_end(names: dict[str, Any]) -> None:
    channel = names["Channel"](sys.executable, free_port(), "import time; time.sleep(0.5)", 1)
    channel.take(names["DATA"], b"an answer", {})
    channel.give(Wire())
    time.sleep(READY_S)
    channel.close()
    assert channel.socket.fileno() == -1
