"""What an answer of the endpoint says, read while it passes by: usage, stop reason, content. Pure.

The bytes go on to the program whatever is found here; what cannot be read is not in the record.
"""

from collections.abc import Mapping
from typing import Any

from runner.gateway.bounded_json import InvalidBody, parsed
from runner.records.episode import Usage

KEPT_BYTES_MAX = 32 * 1024 * 1024


class ResponseParser:
    """An answer, as a stream of events or as one JSON object.

    Attributes:
        has_begun: the tokens that were sent have been counted.
        is_whole: its last word on usage was heard.
        content_bytes: of text, thinking and inputs that came: no fewer than their tokens.
    """

    def __init__(self, content_type: str) -> None:
        self.has_begun = self.is_whole = False
        self.content_bytes = 0
        self._counted, self._besides = Usage(), Usage()
        self.stop_reason: str | None = None
        self.error = ""
        self.is_streamed = "event-stream" in content_type
        self._buffer = bytearray()
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, str] = {}

    def take(self, chunk: bytes) -> None:
        """More of it."""
        if len(self._buffer) + len(chunk) > KEPT_BYTES_MAX:
            return
        self._buffer += chunk
        if self.is_streamed:
            *lines, rest = self._buffer.split(b"\n")
            self._buffer = bytearray(rest)
            for line in lines:
                if line.startswith(b"data:"):
                    self._event(_object(line[5:]))

    def end(self) -> None:
        """That was all."""
        if not self.is_streamed:
            whole = _object(self._buffer)
            self.is_whole = bool(whole)
            self._count(whole.get("usage"))
            self._fail(whole)
            self.stop_reason = whole.get("stop_reason")
            content = whole.get("content")
            self._blocks = dict(enumerate(content)) if isinstance(content, list) else {}

    @property
    def usage(self) -> Usage:
        """Tokens, those of what the endpoint asked a model besides included."""
        return self._counted + self._besides

    @property
    def content(self) -> list[Any]:
        """The blocks, the inputs of calls as they were or, where they are no JSON, as text."""
        return [self._block(index) for index in sorted(self._blocks)]

    def _block(self, index: int) -> Any:
        block, text = self._blocks[index], self._inputs.get(index, "")
        return {**block, "input": _object(text.encode("utf-8", "replace")) or text} if text.strip() else block

    def _event(self, event: Mapping[str, Any]) -> None:
        match event:
            case {"type": "message_start", "message": {"usage": dict(usage)}}:
                self.has_begun = True
                self._count(usage)
            case {"type": "content_block_start", "index": int(index), "content_block": dict(block)}:
                self._blocks[index] = dict(block)
            case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
                self._grow(index, delta)
            case {"type": "message_delta", "delta": dict(delta)}:
                self.stop_reason = delta.get("stop_reason")
                self._count(event.get("usage"))
                self.is_whole = self.is_whole or self.stop_reason is not None
            case {"type": "message_stop"}:
                self.is_whole = True
            case {"type": "error"}:
                self._fail(event)

    def _grow(self, index: int, delta: Mapping[str, Any]) -> None:
        block = self._blocks.setdefault(index, {})
        said = (delta.get(key) for key in ("text", "thinking", "signature", "partial_json"))
        self.content_bytes += sum(len(one.encode("utf-8", "replace")) for one in said if isinstance(one, str))
        match delta:
            case {"type": "text_delta", "text": str(text)}:
                block["text"] = str(block.get("text", "")) + text
            case {"type": "thinking_delta", "thinking": str(text)}:
                block["thinking"] = str(block.get("thinking", "")) + text
            case {"type": "signature_delta", "signature": str(text)}:
                block["signature"] = text
            case {"type": "input_json_delta", "partial_json": str(text)}:
                self._inputs[index] = self._inputs.get(index, "") + text

    def _count(self, usage: Any) -> None:
        """The last word on each figure stands: a stream repeats them, grown."""
        if isinstance(usage, dict):
            self._counted = _usage(usage, self._counted)
            if "iterations" in usage:
                self._besides = _besides(usage["iterations"])

    def _fail(self, event: Mapping[str, Any]) -> None:
        error = event.get("error")
        if isinstance(error, dict):
            self.error = f"{error.get('type')}: {error.get('message')}"[:300]


def _usage(told: Mapping[str, Any], before: Usage = Usage()) -> Usage:
    return Usage(
        _number(told.get("input_tokens"), before.input),
        _number(told.get("cache_creation_input_tokens"), before.cache_write),
        _number(told.get("cache_read_input_tokens"), before.cache_read),
        _number(told.get("output_tokens"), before.output),
    )


def _besides(iterations: Any) -> Usage:
    """Of those askings of a model that the sums of an answer leave out (to sum up the conversation, say)."""
    entries = iterations if isinstance(iterations, list) else []
    others = (one for one in entries if isinstance(one, dict) and one.get("type", "message") != "message")
    return sum(map(_usage, others), Usage())


def _number(value: Any, before: int) -> int:
    return value if type(value) is int and value >= 0 else before


def _object(text: bytes | bytearray) -> dict[str, Any]:
    """A JSON object; empty where it is none, or nested deeper than may be kept."""
    try:
        return parsed(bytes(text))
    except InvalidBody:
        return {}
