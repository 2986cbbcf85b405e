"""A double of a chat-completions endpoint on loopback: real HTTP, the real order of chunks, answers from a script.

It checks what it is sent and remembers every complaint; a test that uses it must find none. Faults are given on demand,
one a request, as in `messages_server`, whose words for blocks it shares. It is as strict about the order of roles as the
strictest models are: nothing but an assistant's message follows a tool's.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.messages_wire import Block, calls_of

USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 40}}
AFTER = {
    None: {"system", "user"},
    "system": {"user"},
    "user": {"assistant"},
    "assistant": {"user", "tool"},
    "tool": {"assistant", "tool"},
}


@dataclass(frozen=True)
class Status:
    """An error answer."""

    status: int
    code: str = ""
    message: str = "as the script wants it"
    retry_after: str = ""


@dataclass(frozen=True)
class Cut:
    """The answer ends in its middle, without a finish reason and without an error; the usage so far was said."""


@dataclass(frozen=True)
class Stall:
    """Silence before the first word, or in the middle of the answer."""

    seconds: float = 60.0
    at_once: bool = False


@dataclass(frozen=True)
class ErrorChunk:
    """An error in the middle of an answer that began with status 200."""

    code: str = "500"
    message: str = "the engine died"


@dataclass(frozen=True)
class Raw:
    """These chunks and no others, usage included."""

    chunks: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Ends:
    """The answer of the script with another finish reason."""

    reason: str


Fault = Status | Cut | Stall | ErrorChunk | Raw | Ends | None


@dataclass
class ChatServer:
    """Serves a script; a conversation's turn is the number of the assistant's messages that came before.

    Attributes:
        script: the blocks of each turn's answer, the last one repeated.
        faults: one for each request, in order of arrival; None is no fault.
        requests: what was asked, with the `keys` that it was asked with.
        complaints: what was wrong with it.
        counts: whether it says what a request used.
        limit_name: what it calls the most tokens of an answer.
    """

    script: Sequence[Sequence[Block]]
    faults: list[Fault] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    counts: bool = field(default=True, kw_only=True)
    limit_name: str = field(default="max_tokens", kw_only=True)

    def __enter__(self) -> "ChatServer":
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._listener = _Listener(("127.0.0.1", 0), self)
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self._listener.shutdown()
        self._listener.server_close()
        for connection in list(self._listener.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.server_address[1]}/v1"

    def answer(self, handler: "_Handler") -> None:
        """One request, from its bytes to the last byte of the answer."""
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        with self._lock:
            self.requests.append(body)
            self.keys.append(handler.headers.get("authorization", "").removeprefix("Bearer "))
            self.complaints += _complaints(handler.path, body)
            fault = self.faults.pop(0) if self.faults else None
        if self.limit_name not in body:
            wrong = next(name for name in ("max_tokens", "max_completion_tokens") if name in body)
            message = f"Unsupported parameter: '{wrong}' is not supported. Use '{self.limit_name}' instead."
            fault = Status(400, "unsupported_parameter", message)
        if isinstance(fault, Status):
            handler.refuse(fault)
            return
        if isinstance(fault, Stall) and fault.at_once and self.closing.wait(fault.seconds):
            return
        handler.begin_stream()
        self._say(handler, body, fault)

    def _say(self, handler: "_Handler", body: Mapping[str, Any], fault: Fault) -> None:
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        blocks = self.script[min(turn, len(self.script) - 1)]
        chunks = list(fault.chunks if isinstance(fault, Raw) else _chunks(blocks, fault))
        if self.counts and not isinstance(fault, Raw):
            chunks.append({"choices": [], "usage": USAGE})
        for number, chunk in enumerate(chunks):
            if number == len(chunks) // 2 and not self._goes_on(handler, fault):
                return
            handler.send({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": body["model"], **chunk})
        handler.send("[DONE]")

    def _goes_on(self, handler: "_Handler", fault: Fault) -> bool:
        """What happens in the middle of a stream; whether the answer goes on after it."""
        match fault:
            case Stall(seconds):
                return not self.closing.wait(seconds)
            case Cut():
                handler.send({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 7}})
                return False
            case ErrorChunk(code, message):
                handler.send({"error": {"code": code, "message": message, "type": "server_error"}})
                return False
            case _:
                return True


def _chunks(blocks: Sequence[Block], fault: Fault) -> Iterator[dict[str, Any]]:
    """An answer's chunks: the role, text and thoughts in two halves, each call's head and then its arguments."""
    yield _chunk({"role": "assistant", "content": ""})
    for block in blocks:
        match block["type"]:
            case "text":
                yield from (_chunk({"content": half}) for half in _halves(block["text"]))
            case "thinking":
                yield from (_chunk({"reasoning_content": half}) for half in _halves(block["thinking"]))
    for index, call in enumerate(calls_of(blocks)):
        head = {"id": call["id"] or f"call_{index}", "type": "function"}
        yield call_chunk(index, **head, name=call["name"])
        for half in _halves(json.dumps(call["input"])):
            yield call_chunk(index, arguments=half)
    reason = "tool_calls" if calls_of(blocks) else "stop"
    yield _chunk({}, fault.reason if isinstance(fault, Ends) else reason)


def _chunk(delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def call_chunk(index: int | None, name: str = "", arguments: str = "", **head: str) -> dict[str, Any]:
    """A piece of a call; `index=None` leaves it out, as some endpoints do."""
    about = {**({"name": name} if name else {}), "arguments": arguments}
    return _chunk({"tool_calls": [{**({} if index is None else {"index": index}), **head, "function": about}]})


def end_chunk(reason: str = "tool_calls") -> dict[str, Any]:
    """The last of an answer."""
    return {**_chunk({}, reason), "usage": USAGE}


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


# What a request may hold


def _complaints(path: str, body: Mapping[str, Any]) -> Iterator[str]:
    if path != "/v1/chat/completions":
        yield f"path {path}"
    if body.get("stream") is not True or body.get("stream_options") != {"include_usage": True}:
        yield "the stream's usage is not asked for"
    for tool in body.get("tools", []):
        if tool["type"] != "function" or set(tool["function"]) != {"name", "description", "parameters"}:
            yield f"the tool {tool}"
    before, open_calls = None, list[str]()
    for message in body["messages"]:
        role = message["role"]
        if role not in AFTER[before]:
            yield f"Unexpected role {role!r} after role {before!r}"
        if not isinstance(message["content"], str):
            yield f"content that is no text: {message['content']!r}"
        if role == "tool":
            yield from [] if message["tool_call_id"] in open_calls else [f"nobody called {message['tool_call_id']}"]
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            yield f"calls without an answer: {open_calls}"
        if role == "assistant":
            open_calls = [call["id"] for call in message.get("tool_calls", [])]
            if len(set(open_calls)) != len(open_calls) or "" in open_calls:
                yield f"ids {open_calls}"
            for call in message.get("tool_calls", []):
                json.loads(call["function"]["arguments"])
        before = role


# HTTP


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], double: ChatServer) -> None:
        self.double, self.open = double, set[socket.socket]()
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on stderr."""

    def do_POST(self) -> None:
        self.close_connection = True  # the end of an answer is the end of its connection: a cut one looks no different
        with contextlib.suppress(OSError):
            self.server.double.answer(self)

    def refuse(self, fault: Status) -> None:
        about = {"message": fault.message, "type": "as_its_code_says", "param": None, "code": fault.code or None}
        body = json.dumps({"error": about}).encode()
        self.send_response(fault.status)
        if fault.retry_after:
            self.send_header("retry-after", fault.retry_after)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.send_header("x-request-id", "req_refused")
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.send_header("x-request-id", "req_streamed")
        self.end_headers()

    def send(self, chunk: Mapping[str, Any] | str) -> None:
        said = chunk if isinstance(chunk, str) else json.dumps(chunk)
        self.wfile.write(f"data: {said}\n\n".encode())
