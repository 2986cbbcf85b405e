"""What an answer of the endpoint says, read while its bytes pass by: usage, stop reason, content. Pure.

The bytes go on to the program whatever is found here; what cannot be read is not in the record.
"""

from collections.abc import Mapping
from typing import Any

from runner.gateway.bounded_json import InvalidBody, parse_body
from runner.llm.stream import MessageAssembler, describe_error
from runner.records.episode import Usage

# Chosen: more than any answer has (64,000 tokens are some 300 KB); what is longer is passed on, and charged as broken off.
BUFFER_BYTES_MAX = 32 * 1024 * 1024


class ResponseParser:
    """An answer, as a stream of events or as one JSON object. Never raises on what it is fed.

    Attributes:
        is_streamed: the answer's content type says so.
        is_whole: its last word on usage was seen.
        error: what its error event or error object says; empty: there was none.
    """

    def __init__(self, content_type: str) -> None:
        self.is_streamed = "event-stream" in content_type
        self.is_whole = False
        self.error = ""
        self._message = MessageAssembler(strict=False)
        self._buffer = bytearray()
        self._body: Mapping[str, Any] = {}

    def feed(self, chunk: bytes) -> None:
        """More of the answer's body."""
        if len(self._buffer) + len(chunk) > BUFFER_BYTES_MAX:
            return
        self._buffer += chunk
        if self.is_streamed:
            *lines, rest = self._buffer.split(b"\n")
            self._buffer = bytearray(rest)
            for line in lines:
                if line.startswith(b"data:"):
                    self._feed_event(_object(line[5:]))

    def close(self) -> None:
        """That was all of it."""
        if not self.is_streamed:
            self._body = _object(self._buffer)
            self.is_whole = bool(self._body)
            self._message.count(self._body.get("usage"))
            error = self._body.get("error")
            self.error = describe_error(error) if isinstance(error, dict) else ""

    @property
    def usage(self) -> Usage:
        """Tokens, including those of extra model calls that the answer's own sums omit."""
        return self._message.usage

    @property
    def has_begun(self) -> bool:
        """Whether the tokens that were sent have been counted."""
        return self._message.has_begun

    @property
    def content_bytes(self) -> int:
        """Bytes of text, thinking and inputs that arrived: no fewer than their tokens.

        Signatures count, too: a program may have the text of its thinking omitted, and then nothing else of it arrives.
        """
        return self._message.content_bytes + self._message.signature_bytes

    @property
    def stop_reason(self) -> Any:
        return self._message.stop_reason if self.is_streamed else self._body.get("stop_reason")

    @property
    def content(self) -> list[Any]:
        """The blocks; the inputs of calls as they were or, where they are not JSON objects, as text."""
        if not self.is_streamed:
            content = self._body.get("content")
            return content if isinstance(content, list) else []
        return [self._block(index) for index in sorted(self._message.blocks)]

    def _block(self, index: int) -> Any:
        block, text = self._message.blocks[index], self._message.input_text(index)
        return {**block, "input": _object(text.encode("utf-8", "replace")) or text} if text.strip() else block

    def _feed_event(self, event: Mapping[str, Any]) -> None:
        self._message.feed(event)
        self.is_whole = self.is_whole or self._message.has_stopped or self._message.stop_reason is not None
        self.error = self._message.error


def _object(text: bytes | bytearray) -> dict[str, Any]:
    """A JSON object; empty where it is not one, or nested deeper than may be kept."""
    try:
        return parse_body(bytes(text))
    except InvalidBody:
        return {}
