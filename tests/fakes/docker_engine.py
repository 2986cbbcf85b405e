"""A Docker engine that is none: its API on a unix socket, guests that are threads, and faults by a seeded schedule.

It knows as much of the Engine API as an episode and a grading need. A container is a body that was asked for, a state, and
a guest: a thread that speaks the frames of the program which it was sent, over the attached stream. The guests do what is
asked and never fail by themselves, so that whatever goes wrong is the engine's doing.

A fault strikes one call of the API: the engine answers 500 without doing it; late; half; does it and loses the answer, or
something before it answers a page of HTML or JSON of another form in its place; closes the connection before; says nothing
until the client gives up; removes a container first; cuts the attached streams; or restarts, with which every container is
gone.
"""

import ast
import contextlib
import json
import random
import re
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from runner.sandbox.container import HOST_GONE, INSIDE
from runner.sandbox.fleet import PROGRAMS, program
from runner.sandbox.spec import REFUSED_CALLS, WALLED_CALLS
from runner.sandbox.verify import NO_CAPABILITIES
from runner.sandbox.wire import TO_GUEST, TO_HOST, Decoder, Frame, Kind, Seal, encode

Json = dict[str, Any]
KEY_LINE = b"WIRE_KEY = "
PING = "GET /_ping"
FAULTS = ("500", "slow", "half", "lost", "html", "odd", "reset", "hang", "gone", "cut", "restart")
HTML = b"<!doctype html><title>Sign in</title><p>To go on, sign in.</p>"
ODD = (b"{}", b"[]", b"null", b'"yes"', b'[{"Id": 7, "Labels": []}]', b'{"Id": null, "Config": [], "State": "running"}')
IMAGE_ID = "sha256:" + "0" * 64
PACKAGES = b'{"packages": []}'
PYTHON = b"3.11\n"  # what its interpreter says of its version
ENDED_BY_KILL = 137  # 128 and the number of SIGKILL
SLOW_S = 0.05  # a late answer, well within the client's patience


@dataclass
class Container:
    """One container.

    Attributes:
        attached: the engine's end of its stream.
    """

    id: str
    name: str
    body: Json
    created: datetime
    status: str = "created"
    attached: socket.socket | None = None
    guest: threading.Thread | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def labels(self) -> Json:
        return dict(self.body.get("Labels") or {})


@dataclass
class FakeEngine:
    """Serves while it is entered.

    Attributes:
        answer: what a sample answers with, from its inputs and the file under test.
        print: what an agent's command prints; each ends with status 0.
        seed: of the schedule of faults; None: there are none.
        faults: how many strike, each at a call of its own.
        span: among how many of the first calls they are spread.
        ncpu: of its machine; another number for each engine, since a measuring slot is named by the last CPU.
        struck: those that struck, with the call.
        refusing: it answers 500 to every call.
        hangs_at: asked at each call, with its text; True: from this one on it takes connections and answers nothing, and no
            stream moves any more.
        is_removing: asked at each removal; True: it is refused as being under way.
        ghosts: containers that are listed still, and that no other call knows.
        image_labels: of every image.
        hung_answers_pings: it answers those while it hangs.
        on_request: called in the guest's thread with each program and what it is asked, before it answers.
    """

    path: Path
    answer: Callable[[bytes, Mapping[str, Any], list[Any]], bytes] = lambda source, inputs, declared: b""
    print: Callable[[bytes], bytes] = lambda command: b"done\n"
    seed: int | None = None
    faults: int = 1
    span: int = 60
    ncpu: int = field(default_factory=lambda: 64 + secrets.randbelow(9_000))
    hang_s: float = 1.4
    containers: dict[str, Container] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)
    refusing: bool = False
    hangs_at: Callable[[str], bool] = lambda call: False
    hung: threading.Event = field(default_factory=threading.Event)
    hung_answers_pings: bool = False
    over: threading.Event = field(default_factory=threading.Event)
    is_removing: Callable[[Container], bool] = lambda container: False
    ghosts: Callable[[], list[Container]] = list
    on_request: Callable[[str, str], None] = lambda program, op: None
    calls: int = 0
    image_labels: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> "FakeEngine":
        self.lock, self.open = threading.RLock(), set[socket.socket]()
        drawn = random.Random(self.seed)
        self.plan = (
            {drawn.randrange(self.span): drawn.choice(FAULTS) for _ in range(self.faults)}
            if self.seed is not None
            else {}
        )
        engine = self

        class Handler(_Handler):
            fake = engine

        self._server = ThreadingUnixStreamServer(str(self.path), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        for container in list(self.containers.values()):
            self.end(container, None)

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def hang_at(self, moment: str, number: int = 1) -> None:
        """Hang from a call on ("POST /containers/create"), or from what a guest is asked ("driver go").

        Args:
            number: which of them.
        """
        self._hang_where(lambda what: what == moment, number)

    def hang_at_any(self, number: int) -> None:
        """Hang from the so manieth on of all calls and all that guests are asked."""
        self._hang_where(lambda what: True, number)

    def _hang_where(self, counts: Callable[[str], bool], number: int) -> None:
        counted = [0]

        def reached(what: str) -> bool:
            with self.lock:
                counted[0] += counts(what)
                return counted[0] >= number

        def asked(program: str, op: str) -> None:
            if reached(f"{program} {op}"):
                self.hung.set()

        self.hangs_at, self.on_request = reached, asked

    def recover(self) -> None:
        """It hangs no more; what was asked meanwhile is not done."""
        self.hangs_at, self.on_request = lambda call: False, lambda program, op: None
        self.hung.clear()
        self.over.set()

    def fault(self) -> str:
        """What strikes this call; empty: nothing."""
        with self.lock:
            number, self.calls = self.calls, self.calls + 1
            return self.plan.get(number, "")

    def info(self) -> Json:
        """What it says of itself."""
        return {
            "ServerVersion": "20.10.24", "NCPU": self.ncpu, "MemTotal": 2**35, "ID": "FAKE",
            "Runtimes": {"runc": {}}, "SystemTime": datetime.now(UTC).isoformat(), "Driver": "overlay2",
            "SecurityOptions": ["name=seccomp,profile=default"],
        }  # fmt: skip

    # Containers

    def create(self, name: str, body: Json) -> Container | None:
        """A container; None where the name is taken."""
        with self.lock:
            if any(each.name == name for each in self.containers.values()):
                return None
            made = Container(secrets.token_hex(32), name, body, datetime.now(UTC))
            self.containers[made.id] = made
            return made

    def find(self, known: str) -> Container | None:
        """By id, the beginning of one, or name."""
        with self.lock:
            return next((c for c in self.containers.values() if known == c.name or c.id.startswith(known)), None)

    def start(self, container: Container) -> None:
        with self.lock:
            container.status = "running"
            if container.guest is None and container.attached is not None:
                container.guest = threading.Thread(target=self._live, args=(container,), daemon=True)
                container.guest.start()

    def _live(self, container: Container) -> None:
        assert container.attached is not None
        self.end(container, Guest(self, container, container.attached).run())

    def end(self, container: Container, code: int | None, *actions: str) -> None:
        """It ends and is removed; with what exit code, and after which other events."""
        with self.lock:
            if self.containers.pop(container.id, None) is None:
                return
            for action in (*actions, *(["die"] if container.status == "running" else [])):
                attributes = {} if code is None else {"exitCode": str(code)}
                self.events.append({"Action": action, "id": container.id, "Actor": {"Attributes": attributes}})
        hang_up(container.attached)
        container.ended.set()

    def remove_one(self, drawn: random.Random) -> None:
        """As somebody else would, by `docker rm -f`."""
        with self.lock:
            if self.containers:
                self.end(drawn.choice(sorted(self.containers.values(), key=lambda c: c.name)), ENDED_BY_KILL, "kill")

    def cut(self) -> None:
        """Attached streams end on their way; the containers see the end of their stdin."""
        for container in list(self.containers.values()):
            hang_up(container.attached)

    def restart(self) -> None:
        """Everything is gone, what was remembered of it too, and all connections."""
        with self.lock:
            for container in list(self.containers.values()):
                self.end(container, ENDED_BY_KILL)
            self.events.clear()
            for connection in list(self.open):
                hang_up(connection)


def hang_up(connection: socket.socket | None) -> None:
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class Guest:
    """PID 1 of a container, as far as the host can see."""

    def __init__(self, engine: FakeEngine, container: Container, stream: socket.socket) -> None:
        self.engine, self.container, self.stream = engine, container, stream
        self.key = b""
        self.seal: Seal | None = None
        self.files: dict[str, bytes] = {}
        self.inputs: dict[str, Any] = {}

    def run(self) -> int:
        """Speak until the stream ends; the exit code."""
        name = ""
        with contextlib.suppress(OSError):
            name = self._program()
            if name == "slot":
                while self.stream.recv(4096):
                    pass
                return 0
            self._send(Frame(Kind.HELLO, 0, {"seen": seen(self.container.body)}))
            decoder = Decoder(1 << 28, Seal(self.key, TO_GUEST) if self.key else None)
            while chunk := self.stream.recv(1 << 20):
                for frame in decoder.feed(chunk):
                    self._answer(name, frame)
        return HOST_GONE if name == "driver" else 0

    def _program(self) -> str:
        size = int.from_bytes(self._exactly(4), "big")
        source = self._exactly(size)
        first, _, rest = source.partition(b"\n")
        if first.startswith(KEY_LINE):
            self.key, source = ast.literal_eval(first.removeprefix(KEY_LINE).decode()), rest
            self.seal = Seal(self.key, TO_HOST)
        texts = {program(name)[4:]: name for name in PROGRAMS}
        return texts.get(source, "slot")

    def _exactly(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            part = self.stream.recv(count - len(parts))
            if not part:
                raise OSError("the stream ended")
            parts += part
        return parts

    def _send(self, frame: Frame) -> None:
        if self.engine.hung.is_set():
            self.engine.over.wait()
        data = encode(frame)
        data += self.seal.tag(data) if self.seal is not None else b""
        self.stream.sendall(struct.pack("!B3xI", 1, len(data)) + data)

    def _answer(self, name: str, frame: Frame) -> None:
        head = frame.head
        self.engine.on_request(name, str(head["op"]))
        if name == "driver":
            kind, answer, body = self._sample(head, frame.body)
        elif name == "reader":
            kind, answer, body = Kind.REPLY, {"ok": True, "bytes": 1}, PACKAGES if head["op"] == "packages" else b""
        else:
            kind, (answer, body) = Kind.REPLY, self._tool(head, frame.body)
        self._send(Frame(kind, frame.sequence, answer, body))

    def _tool(self, head: Json, body: bytes) -> tuple[Json, bytes]:
        match head["op"]:
            case "create":
                self.files[head["path"]] = body
                return {"ok": True}, b"written"
            case "read" | "collect":
                found = self.files.get(head["path"])
                return ({"ok": True}, found) if found is not None else ({"ok": False, "error": "no such file"}, b"")
            case "bash":
                head = {"ok": True, "exit_status": 0, "why": None, "shell_alive": True, "bytes_cut": 0}
                return head, self.engine.print(body)
            case _:
                return {"ok": True}, b""

    def _sample(self, head: Json, body: bytes) -> tuple[Kind, Json, bytes]:
        match head["op"]:
            case "setup":
                self.inputs = {"layout": head["inputs"], "bytes": body}
                return Kind.READY, {"failed": None}, b""
            case "facts":
                return Kind.REPLY, {"ok": True}, facts(body, head["bytes_max"])
            case "describe":
                return Kind.ANSWER, {"present": head["components"]}, b""
            case "go":
                return Kind.ANSWER, {}, self.engine.answer(body, self.inputs, head["answer"])
            case _:
                return Kind.ANSWER, {}, b""


_CHECKER: dict[str, Any] = {}
_FACTS: dict[bytes, bytes] = {}
_ONE_AT_A_TIME = threading.Lock()


def facts(source: bytes, bytes_max: int) -> bytes:
    """What the checker inside says of a text; trusted texts alone come here."""
    with _ONE_AT_A_TIME:
        if not _CHECKER:
            exec(compile((INSIDE / "checker.py").read_text(encoding="utf-8"), "checker.py", "exec"), _CHECKER)
        if source not in _FACTS:
            _FACTS[source] = json.dumps(_CHECKER["facts_of"](source, bytes_max)).encode()
        return _FACTS[source]


def seen(body: Json) -> Json:
    """What PID 1 of a container sees of its limits, where the engine enforces all that was asked for."""
    host, uid = body["HostConfig"], int(body["User"].partition(":")[0])
    sizes = {path: re.search(r"size=(\d+)", options) for path, options in (host.get("Tmpfs") or {}).items()}
    pages = {path: -(-int(found[1]) // 4096) * 4096 for path, found in sizes.items() if found}
    return {
        "memory_bytes": host["Memory"], "pids": host["PidsLimit"], "uid": uid, "gid": uid, "pid": 1, "groups": [uid],
        "workspace_bytes": pages.get("/workspace"), "tmp_bytes": pages.get("/tmp"), "shm_bytes": host.get("ShmSize"),
        "root_writable": False, "writable_mounts": [], "refused": list(REFUSED_CALLS), "walled": list(WALLED_CALLS),
        "capabilities": NO_CAPABILITIES, "bounding": NO_CAPABILITIES, "no_new_privileges": "1", "seccomp": "2",
        "interfaces": ["lo"], "gvisor": False, "ulimits": {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]},
    }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeEngine

    def setup(self) -> None:
        super().setup()
        self.fake.open.add(self.connection)

    def finish(self) -> None:
        self.fake.open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def address_string(self) -> str:
        return "here"

    def log_message(self, *_: object) -> None:
        return None

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_DELETE = do_GET

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"null")
        url = urlsplit(self.path)
        path = re.sub(r"^/v[0-9.]+", "", url.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        call = f"{self.command} {re.sub('[0-9a-f]{64}', 'ID', path)}"
        if self.fake.hangs_at(call):
            self.fake.hung.set()
        if self.fake.hung.is_set() and not (self.fake.hung_answers_pings and call == PING):
            self.fake.over.wait()
            self.close_connection = True
            hang_up(self.connection)
            return
        fault = self.fake.fault()
        if self.fake.refusing:
            fault = "500"
        if fault:
            self.fake.struck.append(f"{fault} at {call}")
        if self._struck_before(fault):
            return
        status, answer = self._do(path, query, body)
        if status == 101:
            self._attach(answer, fault)
        else:
            self._say(status, answer, fault)

    def _struck_before(self, fault: str) -> bool:
        """What a fault does before the call; whether the call is not done at all."""
        fake, drawn = self.fake, random.Random(f"{self.fake.seed} {self.fake.calls}")
        match fault:
            case "500":
                self._say(500, {"message": "injected"}, "")
            case "reset" | "restart":
                if fault == "restart":
                    fake.restart()
                self.close_connection = True
                hang_up(self.connection)
            case "hang":
                time.sleep(fake.hang_s)
                self.close_connection = True
                hang_up(self.connection)
            case "slow":
                time.sleep(SLOW_S)
            case "gone":
                fake.remove_one(drawn)
            case "cut":
                fake.cut()
        return fault in ("500", "reset", "restart", "hang")

    def _say(self, status: int, answer: Any, fault: str) -> None:
        data = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        if fault in ("html", "odd"):
            status, data = 200, HTML if fault == "html" else random.Random(f"{self.fake.seed} odd").choice(ODD)
        if fault == "lost":
            self.close_connection = True
            hang_up(self.connection)
            return
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if fault == "half" else data)
            if fault == "half":
                self.close_connection = True
                hang_up(self.connection)

    def _do(self, path: str, query: Mapping[str, str], body: Any) -> tuple[int, Any]:
        """(status, answer) of a call."""
        fake = self.fake
        match [self.command, *path.strip("/").split("/")]:
            case ["GET", "_ping"]:
                return 200, b"OK"
            case ["GET", "version"]:
                return 200, {"ApiVersion": "1.41", "Version": "20.10.24"}
            case ["GET", "info"]:
                return 200, fake.info()
            case ["GET", "events"]:
                wanted = json.loads(query["filters"])["container"][0]
                events = [event for event in fake.events if event["id"].startswith(wanted)]
                return 200, "".join(json.dumps(event) + "\n" for event in events).encode()
            case ["GET", "containers", "json"]:
                known = [*fake.containers.values(), *fake.ghosts()]
                return 200, [listed(each) for each in known if fits(each, query)]
            case ["GET", "images", *_, "json"]:  # it has every image, and they are all the same one
                return 200, {
                    "Id": IMAGE_ID,
                    "RepoTags": [],
                    "Config": {"Env": [], "Labels": fake.image_labels},
                    "Architecture": "amd64",
                }
            case ["POST", "containers", "create"]:
                made = fake.create(query.get("name", ""), body)
                return (201, {"Id": made.id, "Warnings": []}) if made else (409, {"message": "the name is in use"})
            case [verb, "containers", known, *what]:
                container = fake.find(known)
                return self._of(container, verb, what, body) if container else (404, {"message": "No such container"})
        return 404, {"message": f"unknown call {self.command} {path}"}

    def _of(self, container: Container, verb: str, what: list[str], body: Any) -> tuple[int, Any]:
        fake = self.fake
        match [verb, *what]:
            case ["POST", "attach"]:
                return 101, container
            case ["POST", "start"]:
                fake.start(container)
                return 204, None
            case ["POST", "update"]:
                container.body["HostConfig"].update({key: value for key, value in body.items() if value})
                return 200, {"Warnings": []}
            case ["GET", "json"]:
                return 200, inspected(container)
            case ["GET", "stats"]:
                return 200, {}
            case ["POST", "wait"]:  # nothing runs in a container to which nobody is attached
                return 200, {"StatusCode": 0}
            case ["GET", "logs"]:
                return 200, struct.pack("!B3xI", 1, len(PYTHON)) + PYTHON
            case ["DELETE"] if fake.is_removing(container):
                return 409, {"message": f"removal of container {container.id} is already in progress"}
            case ["DELETE"]:
                fake.end(container, ENDED_BY_KILL, "kill")
                return 204, None
        return 404, {"message": f"unknown call {verb} {what}"}

    def _attach(self, container: Container, fault: str) -> None:
        """The connection becomes the container's stream; the handler stays until it is over."""
        container.attached = self.connection
        if fault in ("html", "odd", "lost"):
            self._say(200, None, fault)
        else:
            upgraded = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
            self.wfile.write(upgraded[: len(upgraded) // 2] if fault == "half" else upgraded)
            self.wfile.flush()
            if fault == "half":
                hang_up(self.connection)
        self.close_connection = True
        container.ended.wait()


def listed(container: Container) -> Json:
    created = int(container.created.timestamp())
    return {
        "Id": container.id, "Labels": container.labels, "State": container.status, "Created": created,
        "ImageID": IMAGE_ID,
    }  # fmt: skip


def fits(container: Container, query: Mapping[str, str]) -> bool:
    """Whether a container has the labels, and is in one of the states, that a list asks for."""
    filters = json.loads(query.get("filters", "{}"))
    for label in filters.get("label", []):
        name, equals, value = label.partition("=")
        if name not in container.labels or (equals and container.labels[name] != value):
            return False
    return container.status in filters.get("status", [container.status])


def inspected(container: Container) -> Json:
    config = {key: value for key, value in container.body.items() if key != "HostConfig"}
    state = {"Status": container.status, "Running": container.status == "running"}
    return {
        "Id": container.id, "Image": container.body["Image"], "Config": config, "HostConfig": container.body["HostConfig"],
        "State": state, "Created": container.created.isoformat(), "Mounts": [],
    }  # fmt: skip
