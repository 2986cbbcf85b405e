"""A double of the Messages API on loopback: real HTTP, the real order of stream events, answers from a script.

It checks what it is sent and remembers every complaint; a test that uses it must find none. An answer of the script is a
list of content blocks, or a fault: `Status(529)`, `Cut()` (the stream ends early), `Stall()` (it goes silent).
"""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Block = Mapping[str, Any]


@dataclass(frozen=True)
class Status:
    """An error answer."""

    code: int
    retry_after: str = ""


@dataclass(frozen=True)
class Cut:
    """The connection closes in the middle of the answer."""


@dataclass(frozen=True)
class Stall:
    """Silence in the middle of the answer."""

    seconds: float = 60.0


Answer = Sequence[Block] | Status | Cut | Stall


def text(said: str) -> Block:
    return {"type": "text", "text": said}


def call(tool: str, call_id: str = "toolu_1", **given: object) -> Block:
    return {"type": "tool_use", "id": call_id, "name": tool, "input": given}


@dataclass
class MessagesServer:
    """Serves one script to each conversation; told apart by the number of messages that came before.

    Attributes:
        script: answers in the order of a conversation's turns; the last one is repeated.
        faults: given once each, before any answer of the script.
    """

    script: Sequence[Sequence[Block]]
    faults: list[Status | Cut | Stall] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> "MessagesServer":
        serve = self._serve

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                serve(self)

            def log_message(self, format: str, *args: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        with self._lock:
            self.requests.append(body)
            self.keys.append(
                handler.headers.get("x-api-key") or (handler.headers.get("authorization") or "").removeprefix("Bearer ")
            )
            self.complaints += list(complaints(handler.path, body))
            fault = self.faults.pop(0) if self.faults else None
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        if isinstance(fault, Status):
            _refuse(handler, fault)
            return
        _stream(handler, self.script[min(turn, len(self.script) - 1)], fault)


def _refuse(handler: BaseHTTPRequestHandler, fault: Status) -> None:
    kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
    error = {"type": kinds.get(fault.code, "api_error"), "message": f"scripted {fault.code}"}
    body = json.dumps({"type": "error", "error": error}).encode()
    handler.send_response(fault.code)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(body)))
    if fault.retry_after:
        handler.send_header("retry-after", fault.retry_after)
    handler.end_headers()
    handler.wfile.write(body)


def _stream(handler: BaseHTTPRequestHandler, blocks: Sequence[Block], fault: Cut | Stall | None) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.send_header("connection", "close")
    handler.end_headers()
    handler.close_connection = True
    events = list(_events(blocks))
    for number, event in enumerate(events):
        if fault is not None and number == len(events) // 2:
            if isinstance(fault, Cut):
                return
            time.sleep(fault.seconds)
        try:
            handler.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            handler.wfile.flush()
        except OSError:
            return


def _events(blocks: Sequence[Block]) -> Any:
    """The real sequence: message_start, then for each block start, deltas, stop; message_delta, message_stop."""
    usage = {"input_tokens": 100, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    yield {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None}}
    for index, block in enumerate(blocks):
        empty = {**block, "input": {}} if block["type"] == "tool_use" else {**block, "text": ""}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        yield {"type": "ping"}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    reason = "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"
    stop = {"stop_reason": reason, "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 50}}
    yield {"type": "message_stop"}


def _deltas(block: Block) -> Any:
    whole = json.dumps(block["input"]) if block["type"] == "tool_use" else block["text"]
    kind, key = ("input_json_delta", "partial_json") if block["type"] == "tool_use" else ("text_delta", "text")
    half = len(whole) // 2
    for part in (whole[:half], whole[half:]):
        yield {"type": kind, key: part}


def complaints(path: str, body: Mapping[str, Any]) -> Any:
    """What a real endpoint would refuse."""
    if path.split("?")[0] != "/v1/messages":
        yield f"path {path}"
    for name, kind in (("model", str), ("max_tokens", int), ("messages", list), ("stream", bool)):
        if not isinstance(body.get(name), kind):
            yield f"{name} is {body.get(name)!r}"
    expected, asked = "user", []
    for message in body["messages"]:
        if message["role"] != expected:
            yield f"a message of {message['role']} where {expected}'s was due"
        expected = "assistant" if expected == "user" else "user"
        blocks = message["content"] if isinstance(message["content"], list) else []
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if message["role"] == "user" and answered != asked:
            yield f"tool results {answered} for the calls {asked}"
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
    for tool in body.get("tools", []):
        if tool.get("input_schema", {}).get("type") != "object" or not tool.get("description"):
            yield f"tool {tool.get('name')} lacks a schema or a description"
