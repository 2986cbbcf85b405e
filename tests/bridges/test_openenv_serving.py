"""What is checked before episodes are served; the socket and the real client are tested in tests/peers."""

import errno
import socket
import sys
import threading
import time
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from runner.bridges.openenv_server import Server, Serving, check_serving, names_this_machine
from runner.bridges.openenv_session import Session
from runner.faults import UsageFault


class Closed(Exception):
    """A connection is gone."""


class Connection:
    """One of websockets', as far as a session uses it: what is sent is as much as the other end takes."""

    def __init__(self, *given: str | Exception) -> None:
        self.socket, self.other = socket.socketpair()
        self.given = list(given)

    def recv(self, timeout: float) -> str:
        said = self.given.pop(0) if self.given else Closed()
        if isinstance(said, Exception):
            raise said
        return said

    def send(self, text: str) -> None:
        try:
            self.socket.sendall(text.encode())
        except OSError as error:
            raise Closed from error

    def respond(self, status: int, text: str) -> tuple[int, str]:
        return status, text


@pytest.fixture(autouse=True)
def websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    server: Any = ModuleType("websockets.sync.server")
    server.serve = print
    sync: Any = ModuleType("websockets.sync")
    sync.server = server
    exceptions: Any = ModuleType("websockets.exceptions")
    exceptions.ConnectionClosed = Closed
    top: Any = ModuleType("websockets")
    top.sync, top.exceptions = sync, exceptions
    for module in (top, sync, server, exceptions):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def serving(token: str, address: str = "127.0.0.1") -> Serving:
    return Serving(
        task="t", scale="full", reward=None, slots=1, idle_s=1.0, address=address, port=0, token=token
    )  # fmt: skip


@pytest.mark.parametrize(
    "token", ["schl\u00fcsselschl\u00fcssel", "sixteen or\nmore of them", "sixteen or more \udcff"]
)
def test_a_token_that_no_client_can_send_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(UsageFault, match="an HTTP header cannot hold") as refused:
        check_serving(serving(token))
    assert token not in str(refused.value)


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "localhost.example.org"])
def test_what_others_reach_is_served_only_with_a_token(address: str) -> None:
    with pytest.raises(UsageFault, match="no token is set"):
        check_serving(serving("", address))
    check_serving(serving("0123456789abcdef", address))


def request(**headers: str) -> Any:
    given = {name.lower(): value for name, value in headers.items()}
    listed = SimpleNamespace(get_all=lambda name: [given[name.lower()]] if name.lower() in given else [])
    return SimpleNamespace(path="/health", headers=listed)


def server(token: str = "", idle_s: float = 0.2) -> Server:
    return Server(cast(Any, None), replace(serving(token), idle_s=idle_s))


@pytest.mark.slow
def test_a_client_that_takes_no_answer_frees_its_slot_at_the_idle_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "runner.bridges.openenv_server._answer_while_there", lambda *given: {"text": "x" * (16 * 1024 * 1024)}
    )
    served, slow = server(), Connection("step")
    talking = threading.Thread(target=served._talk, args=(slow,), daemon=True)
    talking.start()
    talking.join(60)
    assert not talking.is_alive() and served._free.acquire(blocking=False)


@pytest.mark.slow
def test_a_client_that_takes_its_answer_late_but_in_time_gets_all_of_it() -> None:
    slow, size = Connection(), 4 * 1024 * 1024
    sending = threading.Thread(target=server(idle_s=60.0)._send, args=(slow, {"text": "x" * size}), daemon=True)
    sending.start()
    time.sleep(0.5)
    got = 0
    while got < size:
        got += len(slow.other.recv(65536))
    sending.join(60)
    assert not sending.is_alive()


def test_a_session_whose_end_goes_wrong_frees_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Session) -> None:
        raise OSError("the engine is gone")

    monkeypatch.setattr(Session, "close", fails)
    served = server()
    with pytest.raises(OSError, match="is gone"):
        served._talk(Connection())
    assert served._free.acquire(blocking=False) and not served._connections


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "LOCALHOST:1", "localhost", "localhost.:80", "[::1]:8000", "127.9.9.9"]
)
def test_this_machine_is_served_by_each_of_its_own_names(host: str) -> None:
    assert names_this_machine(host)
    assert server()._plain_request(cast(Any, Page()), request(Host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1]x", "10.0.0.1", "127.0.0.1@x"],
)
def test_a_page_whose_name_was_bound_to_this_machine_learns_nothing_without_a_token(host: str) -> None:
    status, said = server()._plain_request(Connection(), request(Host=host))
    assert status == 403 and "this machine" in said


def test_with_a_token_the_server_may_be_called_by_any_name() -> None:
    token = "0123456789abcdef"
    given = request(Host="served.example", Authorization=f"Bearer {token}")
    assert server(token)._plain_request(cast(Any, Page()), given).status == 200
    assert server(token)._plain_request(Connection(), request(Host="localhost"))[0] == 401


@pytest.mark.slow
def test_more_connections_than_the_host_can_hold_end_the_service_of_none() -> None:
    listener = Listener()
    served = server()
    served._listener = cast(Any, listener)
    served.serve()
    assert listener.times == 3


class Listener:
    """Gives up twice, as one that got no descriptor and one that got no thread; then it is closed."""

    def __init__(self) -> None:
        self.socket, self.times = socket.socket(), 0

    def serve_forever(self) -> None:
        self.times += 1
        if self.times == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        if self.times == 2:
            raise RuntimeError("can't start new thread")
        if self.times == 3:
            self.socket.close()


class Page:
    """A connection that answers with a page."""

    def respond(self, status: int, text: str) -> Any:
        return SimpleNamespace(status=status, headers={"Content-Type": "text/plain"})
