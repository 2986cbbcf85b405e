"""What an answer of the endpoint says, read while it passes by: usage, stop reason, content. Pure.

The bytes go on to the program whatever is found here; what cannot be read is not in the record.
"""

import json
from collections.abc import Mapping
from typing import Any

from runner.records.usage import Usage

KEPT_BYTES_MAX = 32 * 1024 * 1024


class Heard:
    """An answer, as a stream of events or as one JSON object."""

    def __init__(self, content_type: str) -> None:
        self.usage = Usage()
        self.stop_reason: str | None = None
        self.error = ""
        self._streamed = "event-stream" in content_type
        self._buffer = bytearray()
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, str] = {}

    def take(self, chunk: bytes) -> None:
        """More of it."""
        if len(self._buffer) + len(chunk) > KEPT_BYTES_MAX:
            return
        self._buffer += chunk
        if self._streamed:
            *lines, rest = self._buffer.split(b"\n")
            self._buffer = bytearray(rest)
            for line in lines:
                if line.startswith(b"data:"):
                    self._event(_object(line[5:]))

    def end(self) -> None:
        """That was all."""
        if not self._streamed:
            whole = _object(bytes(self._buffer))
            self._count(whole.get("usage"))
            self._fail(whole)
            self.stop_reason = whole.get("stop_reason")
            content = whole.get("content")
            self._blocks = dict(enumerate(content)) if isinstance(content, list) else {}

    @property
    def content(self) -> list[Any]:
        """The blocks, the inputs of calls as they were or, where they are no JSON, as text."""
        return [self._block(index) for index in sorted(self._blocks)]

    def _block(self, index: int) -> Any:
        block, text = self._blocks[index], self._inputs.get(index, "")
        return {**block, "input": _object(text.encode()) or text} if text.strip() else block

    def _event(self, event: Mapping[str, Any]) -> None:
        match event:
            case {"type": "message_start", "message": {"usage": usage}}:
                self._count(usage)
            case {"type": "content_block_start", "index": int(index), "content_block": dict(block)}:
                self._blocks[index] = dict(block)
            case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
                self._grow(index, delta)
            case {"type": "message_delta", "delta": dict(delta)}:
                self.stop_reason = delta.get("stop_reason")
                self._count(event.get("usage"))
            case {"type": "error"}:
                self._fail(event)

    def _grow(self, index: int, delta: Mapping[str, Any]) -> None:
        block = self._blocks.setdefault(index, {})
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
            before = self.usage
            self.usage = Usage(
                _number(usage.get("input_tokens"), before.input),
                _number(usage.get("cache_creation_input_tokens"), before.cache_write),
                _number(usage.get("cache_read_input_tokens"), before.cache_read),
                _number(usage.get("output_tokens"), before.output),
            )

    def _fail(self, event: Mapping[str, Any]) -> None:
        error = event.get("error")
        if isinstance(error, dict):
            self.error = f"{error.get('type')}: {error.get('message')}"[:300]


def _number(value: Any, before: int) -> int:
    return value if type(value) is int and value >= 0 else before


def _object(text: bytes | bytearray) -> dict[str, Any]:
    """A JSON object; empty where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
