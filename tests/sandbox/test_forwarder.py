"""The way from a program in the container to the host: as wide as it must be, and no wider, whoever uses it."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from runner.agents.command import PORT
from runner.episode.tools import ToolOutcome, run_tool
from runner.gateway.framing import Part, Request, Unpacker, pack, pack_head
from runner.records.episode import ToolCall
from runner.sandbox.container import INSIDE, GuestExit, Received, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.wire import Frame, Kind
from tests.sandbox.hands import changed_server

MIB = 1024 * 1024
SIGNALS_SINCE = 6  # version of Landlock, linux/landlock.h
URL = f"http://127.0.0.1:{PORT}/v1/messages"
Answer = Callable[[Request], bytes]


class Echo:
    """A host that gives to each request what a function makes of it, one piece after the other."""

    def __init__(self, sandbox: Sandbox, answer: Answer) -> None:
        self.sandbox, self.result = sandbox, answer
        self.unpacker, self.room, self.sending = Unpacker(), threading.Semaphore(16), threading.Lock()
        self.requests: list[Request] = []

    def run(self, command: str, timeout_s: float = 30.0) -> Received | GuestExit:
        forwarder = (INSIDE / "forwarder.py").read_bytes()
        head = {"op": "bash", "timeout_s": timeout_s, "output_bytes_max": 10_000, "port": PORT,
                "forwarder_bytes": len(forwarder)}  # fmt: skip
        return self.sandbox.ask(head, forwarder + command.encode(), deadline_s=timeout_s + 20, on_frame=self.hear)

    def say(self, command: str, timeout_s: float = 30.0) -> str:
        got = self.run(command, timeout_s)
        assert isinstance(got, Received), got
        return got.frame.body.decode()

    def hear(self, frame: Frame) -> None:
        if frame.kind is Kind.TAKEN:
            self.room.release()
            return
        for request in self.unpacker.feed(frame.body):
            self.requests.append(request)
            threading.Thread(target=self.reply, args=(request, frame.sequence), daemon=True).start()
        self.sandbox.send(Frame(Kind.TAKEN, frame.sequence, {"frames": 1}))

    def reply(self, request: Request, sequence: int) -> None:
        content, connection = self.result(request), request.connection
        message = pack_head(connection, 200, [("content-type", "text/plain")])
        message += b"".join(pack(Part.BODY, connection, content[at : at + MIB]) for at in range(0, len(content), MIB))
        message += pack(Part.END, connection)
        with self.sending:
            for at in range(0, len(message), 65536):
                self.room.acquire()
                self.sandbox.send(Frame(Kind.DATA, sequence, {}, message[at : at + 65536]))


@pytest.fixture
def echo(sandbox: Sandbox) -> Iterator[Callable[[Answer], Echo]]:
    yield lambda answer: Echo(sandbox, answer)


def post(size: int, then: str = "print(len(got), hashlib.sha256(got).hexdigest())") -> str:
    return f"""python3 -c '
import hashlib, urllib.request
got = urllib.request.urlopen(urllib.request.Request("{URL}", b"x" * {size})).read()
{then}
'"""


def test_a_large_request_and_a_large_answer_come_through_whole(echo: Callable[[Answer], Echo]) -> None:
    content = bytes(range(256)) * (8 * MIB // 256)
    host = echo(lambda request: content)
    assert host.say(post(7 * MIB)) == f"{8 * MIB} {hashlib.sha256(content).hexdigest()}\n"
    assert [len(request.body) for request in host.requests] == [7 * MIB]


def test_several_connections_get_each_its_own_answer(echo: Callable[[Answer], Echo]) -> None:
    host = echo(lambda request: request.body * 100_000)
    command = "".join(f"{post(size, 'print(len(got))')} &\n" for size in range(1, 7)) + "wait"
    assert sorted(map(int, host.say(command).split())) == [100_000 * size for size in range(1, 7)]


def test_a_chunked_request_is_read_like_any_other(echo: Callable[[Answer], Echo]) -> None:
    host = echo(lambda request: request.body)
    told = host.say(f"""python3 -c '
import http.client
connection = http.client.HTTPConnection("127.0.0.1", {PORT})
connection.request("POST", "/v1/messages", iter([b"one ", b"two"]), encode_chunked=True)
print(connection.getresponse().read())'""")
    assert told == "b'one two'\n"


def test_a_body_over_the_limit_is_refused_inside(echo: Callable[[Answer], Echo]) -> None:
    host = echo(lambda request: b"")
    told = host.say(f"""python3 -c '
import socket
connection = socket.create_connection(("127.0.0.1", {PORT}))
connection.sendall(b"POST / HTTP/1.1\\r\\ncontent-length: 99999999\\r\\n\\r\\n")
print(connection.recv(100).split()[1])'""")
    assert told == "b'413'\n" and host.requests == []


def test_the_forwarder_ends_with_its_command(echo: Callable[[Answer], Echo], sandbox: Sandbox) -> None:
    host = echo(lambda request: b"hello")
    assert host.say(post(1, "print(got)")) == "b'hello'\n"
    time.sleep(0.2)
    look = f"cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c BaseHTTPRequestHandler; {post(1)} 2>&1 | tail -1"
    got = run_tool(sandbox, ToolCall("1", "bash", {"command": look}), 1000)
    assert isinstance(got, ToolOutcome)
    assert "Connection refused" in got.result.text
    assert host.say(post(1, "print(got)")) == "b'hello'\n"


def test_a_program_that_does_not_read_its_answer_holds_up_nobody(echo: Callable[[Answer], Echo]) -> None:
    host = echo(lambda request: bytes(len(request.body) * MIB))
    deaf = (
        f'import socket, time; s = socket.create_connection(("127.0.0.1", {PORT})); '
        's.sendall(b"POST / HTTP/1.1\\r\\ncontent-length: 8\\r\\n\\r\\n12345678"); time.sleep(60)'
    )
    started = time.monotonic()
    assert host.say(f"python3 -c '{deaf}' & sleep 0.5; {post(1, 'print(len(got))')}; kill %1").startswith(f"{MIB}\n")
    assert time.monotonic() - started < 20


KILL_THE_FORWARDER = (
    "(for p in /proc/[0-9]*; do grep -q BaseHTTPRequestHandler $p/cmdline && kill -9 ${p#/proc/}; done) 2>/dev/null; "
    f"sleep 0.2; {post(1)} 2>&1 | tail -1; echo alive"
)


def test_killing_the_forwarder_leaves_the_sandbox_alive(
    fleet: Fleet, nbody_spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_server(
        monkeypatch, "SCOPES_SINCE, ABSTRACT_SOCKETS, SIGNALS = 6", "SCOPES_SINCE, ABSTRACT_SOCKETS, SIGNALS = 99"
    )
    with fleet.open(nbody_spec, "toolserver", role="agent", cpuset=all_cpus(fleet.engine)) as sandbox:
        told = Echo(sandbox, lambda request: b"hello").say(KILL_THE_FORWARDER)
    assert "Connection refused" in told and told.endswith("alive\n")


def test_where_landlock_keeps_signals_inside_no_command_ends_the_forwarder(
    echo: Callable[[Answer], Echo], sandbox: Sandbox
) -> None:
    told = echo(lambda request: b"hello").say(KILL_THE_FORWARDER)
    kept = sandbox.seen["landlock"] >= SIGNALS_SINCE
    assert (hashlib.sha256(b"hello").hexdigest() in told) == kept and told.endswith("alive\n")


def test_a_frozen_sandbox_hears_its_answer_when_it_goes_on(echo: Callable[[Answer], Echo], sandbox: Sandbox) -> None:
    asked, frozen = threading.Event(), threading.Event()

    def answer(request: Request) -> bytes:
        asked.set()
        frozen.wait(20)
        return b"late" * MIB

    texts: list[str] = []
    host = echo(answer)
    thread = threading.Thread(target=lambda: texts.append(host.say(post(1, "print(len(got))"), timeout_s=10.0)))
    thread.start()
    assert asked.wait(20)
    sandbox.freeze()
    frozen.set()
    time.sleep(1.0)
    assert thread.is_alive()
    sandbox.thaw()
    thread.join(20)
    assert texts == [f"{4 * MIB}\n"]
