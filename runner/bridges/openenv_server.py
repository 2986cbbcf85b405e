"""Episodes over WebSockets, as OpenEnv's clients speak: each connection is a session with a sandbox of its own.

Only this module imports websockets, which is an extra. Each connection has a thread; a sandbox is gone as soon as its
client is, whatever runs in it. No page in a browser may connect, and off the loopback nobody without the token.
"""

import contextlib
import hmac
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runner.bridges.openenv_session import MESSAGE_BYTES_MAX, Session, error_of, json_schemas
from runner.faults import Interrupted, UsageFault
from runner.job.rewards import RewardName
from runner.job.training import Env, Host
from runner.settings import is_loopback

TOKEN_CHARS_MIN = 16  # chosen: what nobody guesses over a network
LOOK_S = 0.25  # chosen: how late it is noticed that a client went away in the middle of a step
PATH = "/ws"
HOST = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<name>[^:\[]*))(?::[0-9]*)?")  # of a header: a name or number, and a port


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How it is served.

    Attributes:
        task, scale: of every episode.
        reward: the rule by which a submission is rewarded; None: it is not graded, and its reward is null.
        slots: sessions at a time; each has one sandbox.
        idle_s: seconds without a message after which a session is ended.
        address: a host name or an address; port: 0 for a free one.
        token: what a client must bear; empty: nothing, which only the loopback allows.
    """

    task: str
    scale: str
    reward: RewardName | None
    slots: int
    idle_s: float
    address: str
    port: int
    token: str = ""


def check_serving(serving: Serving) -> None:
    """Check, before anything starts, that it can be served like this.

    Raises:
        UsageFault: websockets is not installed, the token is too short or none that a client can send, or an address that
            others reach is to be served without one.
    """
    try:
        import websockets.sync.server as found
    except ImportError as error:
        raise UsageFault(
            cause=f"`serve` needs the package websockets: {error}",
            hint="pip install 'websockets>=14', which is all that the extra runner[serve] adds",
        ) from error
    assert callable(found.serve)
    if serving.token and len(serving.token) < TOKEN_CHARS_MIN:
        raise UsageFault(
            cause=f"RUNNER_SERVE_TOKEN has fewer than {TOKEN_CHARS_MIN} characters", hint="choose a longer one"
        )
    if not (serving.token.isascii() and serving.token.isprintable()):
        raise UsageFault(
            cause="RUNNER_SERVE_TOKEN has characters that an HTTP header cannot hold", hint="use letters and digits"
        )
    if not serving.token and not is_loopback(serving.address):
        raise UsageFault(
            cause=f"{serving.address} can be reached by others, and no token is set",
            hint="set RUNNER_SERVE_TOKEN to a secret that clients send as `Authorization: Bearer`, or serve 127.0.0.1",
        )


class Server:
    """The sessions of one host.

    Args:
        host: with as many slots as are served.
    """

    def __init__(self, host: Host, serving: Serving) -> None:
        self._host, self._serving = host, serving
        self._free = threading.BoundedSemaphore(serving.slots)
        self._about = {"task": serving.task, "scale": serving.scale, "reward_rule": serving.reward}
        self._connections: set[Any] = set()

    @contextlib.contextmanager
    def listening(self) -> Iterator[str]:
        """The URL that it is reached by; `serve` then answers. Closed at the end.

        Raises:
            UsageFault: the address or port cannot be had.
        """
        from websockets.sync.server import serve

        serving = self._serving
        try:
            listener = serve(
                self._talk, serving.address, serving.port, origins=[None], process_request=self._plain_request,
                max_size=MESSAGE_BYTES_MAX, compression=None, server_header=None,
            )  # fmt: skip
        except (OSError, OverflowError, UnicodeError) as error:  # the last: a name with an empty or overlong part
            raise UsageFault(
                cause=f"port {serving.port} of {serving.address} cannot be served: {error}",
                hint="choose another --port, or 0 for a free one",
            ) from error
        with listener:
            self._listener = listener
            host, port = listener.socket.getsockname()[:2]
            try:
                yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
            finally:
                for connection in list(self._connections):
                    _cut(connection)

    def serve(self) -> None:
        """Answer until it is interrupted.

        websockets gives up where a connection cannot be accepted; for want of descriptors or threads, which whoever opens
        enough connections brings about, we go on as soon as some are free again.
        """
        while self._listener.socket.fileno() >= 0:
            with contextlib.suppress(RuntimeError, OSError):  # no more threads, or descriptors
                self._listener.serve_forever()
            time.sleep(LOOK_S)

    # Requests that open no session

    def _plain_request(self, connection: Any, request: Any) -> Any:
        """An answer to what asks for no session; None: the connection goes on as a WebSocket."""
        if not self._may(request.headers.get_all("Authorization")):
            return connection.respond(401, "a token is needed: Authorization: Bearer\n")
        if not self._serving.token and not all(map(names_this_machine, request.headers.get_all("Host"))):
            return connection.respond(403, "without a token only this machine is served, by its own name: localhost\n")
        path = request.path.partition("?")[0]
        pages: dict[str, Callable[[], Any]] = {
            "/health": lambda: {"status": "healthy"},
            "/schema": json_schemas,
            "/metadata": self._metadata,
        }
        if path in pages:
            return _page(connection, pages[path]())
        return None if path == PATH else connection.respond(404, f"there are {PATH}, {', '.join(pages)}\n")

    def _may(self, given: list[str]) -> bool:
        wanted = f"Bearer {self._serving.token}".encode()
        found = [one.encode("utf-8", "replace") for one in given]
        return not self._serving.token or any(hmac.compare_digest(wanted, one) for one in found)

    def _metadata(self) -> dict[str, Any]:
        import runner

        words = f"episodes of {self._serving.task}, graded by {self._serving.reward or 'nobody'}"
        return {"name": "runner", "description": words, "version": runner.__version__}

    # Sessions

    def _talk(self, connection: Any) -> None:
        """A connection from its first message to its end."""
        if not self._free.acquire(blocking=False):
            busy = self._serving.slots
            words = f"all {busy} sessions are taken; try again later"
            self._send(connection, error_of("CAPACITY_REACHED", words, active_sessions=busy, max_sessions=busy))
            return
        with contextlib.ExitStack() as ending:  # what is free again is so whatever else goes wrong
            ending.callback(self._free.release)
            session = Session(self._open, self._about)
            ending.callback(session.close)
            self._connections.add(connection)
            ending.callback(self._connections.discard, connection)
            self._session(connection, session)

    def _open(self, seed: int | None) -> Env:
        serving = self._serving
        return self._host.open_episode(serving.task, serving.scale, seed=seed, reward=serving.reward)

    def _session(self, connection: Any, session: Session) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            while True:
                try:
                    text = connection.recv(timeout=self._serving.idle_s)
                except TimeoutError:
                    words = f"nothing came for {self._serving.idle_s:g} s: the session is over"
                    self._send(connection, error_of("SESSION_ERROR", words))
                    return
                answer = _answer_while_there(connection, session, text)
                if answer is None:
                    return
                self._send(connection, answer)

    def _send(self, connection: Any, answer: dict[str, Any]) -> None:
        """Send an answer; a client that does not take all of it within the idle limit is as good as gone."""
        from websockets.exceptions import ConnectionClosed

        text = json.dumps(answer, allow_nan=False)
        limit = threading.Timer(self._serving.idle_s, _cut, (connection,))
        limit.daemon = True
        limit.start()
        try:
            with contextlib.suppress(ConnectionClosed):
                connection.send(text)
        finally:
            limit.cancel()


def names_this_machine(host: str) -> bool:
    """Whether a Host header names this machine as no other one is named; a page of a stranger's name may lead here. Pure."""
    found = HOST.fullmatch(host.lower())
    return found is not None and is_loopback((found["six"] or found["name"] or "").removesuffix("."))


def _cut(connection: Any) -> None:
    with contextlib.suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)


def _answer_while_there(connection: Any, session: Session, text: str | bytes) -> dict[str, Any] | None:
    """The session's answer; None where the client, or we, went away before there was one: the sandbox ends then."""
    from websockets.protocol import State

    answers: list[dict[str, Any] | None] = []

    def work() -> None:
        with contextlib.suppress(Interrupted):
            answers.append(session.answer(text))

    worker = threading.Thread(target=work, name="step", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(LOOK_S)
        if connection.state is not State.OPEN and worker.is_alive():
            session.close()  # whatever it waits for ends with the sandbox
            worker.join()
            return None
    return answers[0] if answers else None


def _page(connection: Any, content: Any) -> Any:
    response = connection.respond(200, json.dumps(content))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response
