"""A double of the Messages API on loopback: real HTTP, the real order of stream events, answers from a script.

It checks what it is sent and remembers every complaint; a test that uses it must find none. Faults are given on demand,
one a request: `faults=[Status(529), None, Cut()]` spoils the first request and the third. An answer that must stand at
one place whatever the script says may stand among the faults too.

As a process of its own: `python -m tests.fakes.messages_server --script FILE.json` says its address on the first line
of stdout, serves until stdin closes, and says then what it was asked and what was wrong with it. The file is a list of
conversations: {"match": text or null, "turns": [[block, …] or {an Answer's fields}, …], "faults": [null, "Cut",
{"type": "Status", "code": 529}, …]}.
"""

import argparse
import contextlib
import itertools
import json
import os
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.fakes.messages_wire import (
    USAGE,
    Answer,
    Block,
    Body,
    PromptCache,
    Served,
    applied_edits,
    blocks_of,
    calls_of,
    complaints,
    digest,
    events,
)  # fmt: skip

MIB = 1024**2
EDITING_BETA = "context-management-2025-06-27"
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(frozen=True)
class Status:
    """An error answer; its kind and message are the code's usual ones if they are not given."""

    code: int
    retry_after: str = ""
    kind: str = ""
    message: str = ""


@dataclass(frozen=True)
class ContextTooLong:
    """The endpoint's refusal of a conversation that outgrew the model."""

    tokens: int = 210_000
    most: int = 200_000


@dataclass(frozen=True)
class Reset:
    """The connection is reset before any byte of an answer."""


@dataclass(frozen=True)
class ResetMidStream:
    """The connection is reset in the middle of the answer."""


@dataclass(frozen=True)
class Cut:
    """The answer ends in its middle, without a stop reason and without an error."""


@dataclass(frozen=True)
class Stall:
    """Silence in the middle of the answer; then it goes on."""

    seconds: float = 60.0


@dataclass(frozen=True)
class ErrorEvent:
    """An error in the middle of an answer that began with status 200."""

    kind: str = "overloaded_error"
    message: str = "Overloaded"


@dataclass(frozen=True)
class MalformedToolJson:
    """The inputs of the answer's calls are not JSON: their last brace is missing, or they are `sent`."""

    sent: str = ""


@dataclass(frozen=True)
class DuplicateIds:
    """All calls of the answer have the first one's id; a single call comes twice."""


@dataclass(frozen=True)
class Refusal:
    """The model declines."""

    said: str = "I can't help with that."


@dataclass(frozen=True)
class BigText:
    """An answer of one long text."""

    bytes: int = MIB


Turn = Sequence[Block] | Answer | Refusal | BigText
MidStream = ResetMidStream | Cut | Stall | ErrorEvent
Fault = Status | ContextTooLong | Reset | MidStream | MalformedToolJson | DuplicateIds | Turn | None


@dataclass
class Conversation:
    """The script of those conversations whose system prompt or first message contains `match`; of any, if it is None."""

    match: str | None
    turns: Sequence[Turn]
    faults: list[Fault] = field(default_factory=list)


Script = Sequence[Turn] | Sequence[Conversation] | Callable[[Body], Turn]


def text(said: str) -> Block:
    return {"type": "text", "text": said}


def call(tool: str, call_id: str = "", **given: object) -> Block:
    """A call; one without an id gets a new one whenever it is served."""
    return {"type": "tool_use", "id": call_id, "name": tool, "input": given}


def thinking(thought: str, signature: str = "") -> Block:
    return {"type": "thinking", "thinking": thought, "signature": signature or f"sig-{digest(thought)}"}


def redacted_thinking(data: str = "ZW5jcnlwdGVk") -> Block:
    return {"type": "redacted_thinking", "data": data}


@dataclass
class MessagesServer:
    """Serves a script to each conversation; its turn is the number of the assistant's messages that came before.

    Attributes:
        script: answers in the order of a conversation's turns, the last one repeated; or several conversations, told
            apart by what they begin with; or a function from a request to its answer.
        faults: one for each request, in order of arrival; None is no fault. A `Conversation` may have its own.
        requests: what was asked, with the `keys` that it was asked with.
        complaints: what was wrong with it.
        served: what was answered; to go on with another server's conversations, take over its own.
        cache: counts tokens (a quarter of the bytes) and models prompt caching; else each request has the same usage.
        context_editing: whether `context_management` is known here.
        models: the known ones; None is any.
        allowed_keys: the valid ones; None is any.
    """

    script: Script
    faults: list[Fault] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    served: Served = field(default_factory=Served, kw_only=True)
    cache: bool = field(default=False, kw_only=True)
    context_editing: bool = field(default=True, kw_only=True)
    models: Collection[str] | None = field(default=None, kw_only=True)
    allowed_keys: Collection[str] | None = field(default=None, kw_only=True)
    port: int = field(default=0, kw_only=True)

    def __enter__(self) -> "MessagesServer":
        self._lock, self._closing, self._numbers = threading.Lock(), threading.Event(), itertools.count(1)
        self._prompts = PromptCache()
        self._listener = _Listener(("127.0.0.1", self.port), self)
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._listener.hang_up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    def complain(self, about: str) -> None:
        with self._lock:
            self.complaints.append(about)

    def answer(self, handler: "_Handler") -> None:
        """One request for a message, from its bytes to the last byte of the answer."""
        raw = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        if handler.path.split("?")[0] != "/v1/messages":
            self.complain(f"path {handler.path}")
            handler.refuse(Status(404))
            return
        body = self._read(raw, handler)
        if body is None:
            handler.refuse(Status(400, message="the body cannot be read"))
            return
        conversation = self._conversation(body)
        fault = self._next_fault(conversation)
        refusal = fault if isinstance(fault, Status | ContextTooLong) else self._refusal(body, handler)
        if isinstance(fault, Reset):
            handler.reset()
        elif refusal is not None:
            handler.refuse(refusal)
        else:
            self._say(handler, body, self._chosen(conversation, body, fault), fault)

    def model_info(self, handler: "_Handler") -> None:
        """GET /v1/models/<id>."""
        model = handler.path.split("?")[0].removeprefix("/v1/models/")
        if model == handler.path or (self.models is not None and model not in self.models):
            handler.refuse(Status(404, message=f"model: {model}"))
            return
        about = {"type": "model", "id": model, "display_name": model, "created_at": "2026-01-01T00:00:00Z"}
        handler.send_json(200, {**about, "lifecycle": "active"})

    def _read(self, raw: bytes, handler: "_Handler") -> dict[str, Any] | None:
        """The request's body, with what was wrong with it noted; None if nothing could answer it."""
        found = [] if handler.headers.get("anthropic-version") else ["the header anthropic-version is missing"]
        body = None
        try:
            body = json.loads(raw)
            with self._lock:
                found += complaints(body, self.served)
            blocks_of(body["messages"][0])
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            found.append(f"a body that cannot be read: {error!r}")
            return None
        finally:
            with self._lock:
                self.complaints += found
                self.requests.append(body if isinstance(body, dict) else {})
                self.keys.append(handler.key)
        return body

    def _conversation(self, body: Body) -> Conversation | None:
        """That one of the script which the request belongs to; None where the script is a function."""
        if callable(self.script):
            return None
        if not any(isinstance(each, Conversation) for each in self.script):
            return Conversation(None, self.script)
        begun = _begun_with(body)
        fitting = [each for each in self.script if each.match is None or each.match in begun]
        if not fitting:
            raise LookupError(f"no conversation of the script begins so: {begun[:200]!r}")
        return fitting[0]

    def _next_fault(self, conversation: Conversation | None) -> Fault:
        with self._lock:
            queue = self.faults or (conversation.faults if conversation is not None else [])
            return queue.pop(0) if queue else None

    def _refusal(self, body: Body, handler: "_Handler") -> Status | None:
        """What this endpoint refuses by its own settings."""
        if self.allowed_keys is not None and handler.key not in self.allowed_keys:
            return Status(401, message="invalid x-api-key")
        if self.models is not None and body.get("model") not in self.models:
            return Status(404, message=f"model: {body.get('model')}")
        opted_in = EDITING_BETA in (handler.headers.get("anthropic-beta") or "")
        if "context_management" in body and not (self.context_editing and opted_in):
            if self.context_editing:
                self.complain(f"context_management without the header anthropic-beta: {EDITING_BETA}")
            return Status(400, message="context_management: Extra inputs are not permitted")
        if body.get("stream") is not True:
            return Status(400, message="stream: only true is answered here")
        return None

    def _chosen(self, conversation: Conversation | None, body: Body, fault: Fault) -> Answer:
        """The answer to this request, every call with an id."""
        if isinstance(fault, Answer | Refusal | BigText | Sequence):
            turn: Turn = fault
        elif conversation is None:
            turn = self.script(body)  # type: ignore[operator]
        else:
            number = sum(message["role"] == "assistant" for message in body["messages"])
            turn = conversation.turns[min(number, len(conversation.turns) - 1)]
        match turn:
            case Answer():
                answer = turn
            case Refusal(said):
                answer = Answer([text(said)] if said else [], "refusal")
            case BigText(size):
                line = "0123456789abcdef" * 4 + "\n"
                answer = Answer([text((line * (size // len(line) + 1))[:size])])
            case _:
                answer = Answer(turn)
        return replace(answer, blocks=[self._with_id(block) for block in answer.blocks])

    def _with_id(self, block: Block) -> Block:
        if block["type"] != "tool_use" or block["id"]:
            return block
        return {**block, "id": f"toolu_{next(self._numbers):024}"}

    def _say(self, handler: "_Handler", body: Body, answer: Answer, fault: Fault) -> None:
        raw_inputs: dict[int, str] = {}
        if isinstance(fault, MalformedToolJson | DuplicateIds) and not calls_of(answer.blocks):
            self.complain(f"{fault} for an answer without calls")
        elif isinstance(fault, MalformedToolJson):
            calls = [(at, block) for at, block in enumerate(answer.blocks) if block["type"] == "tool_use"]
            raw_inputs = {at: fault.sent or json.dumps(block["input"])[:-1] for at, block in calls}
        elif isinstance(fault, DuplicateIds):
            answer = _doubled(answer)
        with self._lock:
            usage = self._prompts.count(body) if self.cache else dict(zip(USAGE, (100, 0, 0, 50), strict=True))
        message = {"id": f"msg_{next(self._numbers):024}", "model": body.get("model")}
        said = list(events(answer, message, {**usage, **answer.usage}, raw_inputs, applied_edits(body)))
        handler.begin_stream()
        for number, event in enumerate(said):
            if number == len(said) // 2 and not self._goes_on(handler, fault):
                return
            if event["type"] == "message_stop":
                with self._lock:
                    self.served.remember(answer, bool(raw_inputs), body)
            handler.send_event(event)
        handler.end_stream()

    def _goes_on(self, handler: "_Handler", fault: Fault) -> bool:
        """What happens in the middle of a stream; whether the answer goes on after it."""
        match fault:
            case Stall(seconds) if not self._closing.wait(seconds):
                return True
            case Stall():
                handler.close_connection = True
            case ResetMidStream():
                handler.reset()
            case Cut():
                handler.end_stream()
                handler.close_connection = True
            case ErrorEvent(kind, message):
                handler.send_event(handler.error(kind, message))
                handler.end_stream()
                handler.close_connection = True
            case _:
                return True
        return False


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], double: MessagesServer) -> None:
        self.double = double
        self.open: set[socket.socket] = set()
        self.numbers = itertools.count(1)
        super().__init__(address, _Handler)

    def hang_up(self) -> None:
        """Close what clients keep open for another request."""
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(error := sys.exception(), OSError):  # clients may leave
            self.double.complain(f"the double failed: {''.join(traceback.format_exception(error))}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def do_POST(self) -> None:
        self.request_id = f"req_{next(self.server.numbers):024}"
        self.server.double.answer(self)

    def do_GET(self) -> None:
        self.request_id = f"req_{next(self.server.numbers):024}"
        self.server.double.model_info(self)

    def log_message(self, format: str, *args: object) -> None:
        return None

    @property
    def key(self) -> str:
        return self.headers.get("x-api-key") or (self.headers.get("authorization") or "").removeprefix("Bearer ")

    def reset(self) -> None:
        """Leave with RST: the socket is taken from those who would close it politely."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    def refuse(self, status: Status | ContextTooLong) -> None:
        if isinstance(status, ContextTooLong):
            status = Status(400, message=f"prompt is too long: {status.tokens} tokens > {status.most} maximum")
        kind = status.kind or KINDS.get(status.code, "api_error" if status.code >= 500 else "invalid_request_error")
        headers = {"retry-after": status.retry_after} if status.retry_after else {}
        self.send_json(status.code, self.error(kind, status.message or f"scripted {status.code}"), headers)

    def error(self, kind: str, message: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": self.request_id}

    def send_json(self, code: int, content: object, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self._send_head(code, {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})})
        self.wfile.write(body)

    def begin_stream(self) -> None:
        self._send_head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"})

    def send_event(self, event: Mapping[str, Any]) -> None:
        self._send_chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def end_stream(self) -> None:
        self._send_chunk(b"")

    def _send_head(self, code: int, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "request-id": self.request_id}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


def _doubled(answer: Answer) -> Answer:
    calls = calls_of(answer.blocks)
    blocks = [{**block, "id": calls[0]["id"]} if block in calls else block for block in answer.blocks]
    return replace(answer, blocks=blocks if len(calls) > 1 else [*blocks, calls[0]])


def _begun_with(body: Body) -> str:
    first = blocks_of(body["messages"][0])
    system = blocks_of({"content": body.get("system") or []})
    return "\n".join(block.get("text", "") for block in (*system, *first))


# A process of its own


FAULTS = (
    Status, ContextTooLong, Reset, ResetMidStream, Cut, Stall, ErrorEvent, MalformedToolJson, DuplicateIds, Refusal,
    BigText, Answer,
)  # fmt: skip


def conversations(listed: Sequence[Mapping[str, Any]]) -> list[Conversation]:
    """From a file's JSON. A turn or a fault is null, a list of blocks, a name, or a name ("type") with its fields."""
    kinds = {kind.__name__: kind for kind in FAULTS}

    def one(given: Any) -> Any:
        if given is None or isinstance(given, list):
            return given
        fields = {"type": given} if isinstance(given, str) else {"type": "Answer", **given}
        return kinds[fields.pop("type")](**fields)

    return [
        Conversation(each.get("match"), [one(turn) for turn in each["turns"]], [one(f) for f in each.get("faults", [])])
        for each in listed
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a script as the Messages API until stdin closes.")
    parser.add_argument("--script", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cache", action="store_true", help="model prompt caching")
    parser.add_argument("--no-context-editing", action="store_true", help="refuse context_management")
    given = parser.parse_args()
    script = conversations(json.loads(given.script.read_text()))
    editing = not given.no_context_editing
    with MessagesServer(script, cache=given.cache, context_editing=editing, port=given.port) as server:
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()
    sys.stdout.write(json.dumps({"requests": len(server.requests), "complaints": server.complaints}) + "\n")


if __name__ == "__main__":
    main()
