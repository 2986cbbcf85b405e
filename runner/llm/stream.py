"""The events of a Messages stream, put together into one message. Pure.

Both sides of the gateway's wall use it. The model client reads *strictly*: an event that is malformed raises, since the
answer could not be sent back. The gateway reads *tolerantly*: the bytes go on to the program whatever is found in them,
so it keeps what can be read and never raises. What the vendor adds to the stream later (new events, new deltas) is
skipped by both.
"""

from collections.abc import Mapping
from typing import Any

from runner.records.episode import Usage

# The field of a block that a delta's text is appended to, by the delta's type; and the delta's own field, which has the
# same name.
APPENDED = {"text_delta": "text", "thinking_delta": "thinking"}
# By their type: the events that are read.
EVENTS = frozenset(
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error"]
)
DELTAS = frozenset([*APPENDED, "signature_delta", "input_json_delta"])
ERROR_CHARS_MAX = 300  # as of every endpoint's message: see endpoint_errors.py


def utf8_bytes(text: str) -> int:
    """Bytes of a piece of an answer: no fewer than its tokens."""
    return len(text.encode("utf-8", "replace"))


class MessageAssembler:
    """One message as its events arrive.

    Attributes:
        blocks: by index, without the inputs of calls that came in pieces.
        stop_reason: as the last delta of the message has it; None before that. Unchecked.
        applied_edits: what the endpoint cleared from the context.
        has_begun: the tokens that were sent have been counted.
        has_stopped: the message's last event has arrived.
        content_bytes: of text, thinking and inputs; no fewer than their tokens.
        signature_bytes: of the signatures of thinking, which is all that arrives where the text of it is omitted.
        error: `type: message` of an error event; empty: there was none.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self.blocks: dict[int, dict[str, Any]] = {}
        self.stop_reason: Any = None
        self.applied_edits: tuple[Mapping[str, Any], ...] = ()
        self.has_begun = self.has_stopped = False
        self.content_bytes = self.signature_bytes = 0
        self.error = ""
        self._inputs: dict[int, list[str]] = {}
        self._counted, self._extra = Usage(), Usage()

    @property
    def usage(self) -> Usage:
        """Tokens, including those of extra model calls that the message's own sums omit."""
        return self._counted + self._extra

    def input_text(self, index: int) -> str:
        """The input of a call as its pieces spelled it; empty: it came whole, or not at all."""
        return "".join(self._inputs.get(index, ()))

    def feed(self, event: Mapping[str, Any]) -> None:
        """One more event.

        Raises:
            TypeError, ValueError, OverflowError: it is malformed (only where strict).
        """
        match event:
            case {"type": "message_start", "message": dict(message)}:
                self.has_begun = self.has_begun or isinstance(message.get("usage"), dict)
                self.count(message.get("usage"))
            case {"type": "content_block_start", "index": int(index), "content_block": dict(block)}:
                self._start(index, block)
            case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
                self._grow(index, delta)
            case {"type": "message_delta", "delta": dict(delta)}:
                self.stop_reason = delta.get("stop_reason")
                self.count(event.get("usage"))
                self._note_edits(event.get("context_management"))
            case {"type": "message_stop"}:
                self.has_stopped = True
            case {"type": "error", "error": dict(error)}:
                self.error = describe_error(error)
            case {"type": str(kind)} if kind not in EVENTS:
                pass
            case _:
                self._malformed("an event")

    def count(self, usage: Any) -> None:
        """The last word on each figure stands: a stream repeats them, grown.

        Raises:
            TypeError, ValueError, OverflowError: a figure is not a number (only where strict).
        """
        if not isinstance(usage, Mapping):
            if usage is not None:
                self._malformed("usage")
            return
        self._counted = self._read_usage(usage, self._counted)
        if "iterations" in usage:
            self._extra = self._read_iterations(usage["iterations"])

    def _start(self, index: int, block: dict[str, Any]) -> None:
        self.blocks[index] = dict(block)
        for field in APPENDED.values():
            text = block.get(field)
            if isinstance(text, str):
                self.content_bytes += utf8_bytes(text)

    def _grow(self, index: int, delta: Mapping[str, Any]) -> None:
        if index not in self.blocks:
            self._malformed("a delta without its block")
        block = self.blocks.setdefault(index, {})
        match delta:
            case {"type": ("text_delta" | "thinking_delta") as kind} if isinstance(delta.get(APPENDED[kind]), str):
                self._append(block, APPENDED[kind], delta[APPENDED[kind]])
            case {"type": "signature_delta", "signature": str(signature)}:
                block["signature"] = signature
                self.signature_bytes += utf8_bytes(signature)
            case {"type": "input_json_delta", "partial_json": str(piece)}:
                self._inputs.setdefault(index, []).append(piece)
                self.content_bytes += utf8_bytes(piece)
            case {"type": str(kind)} if kind not in DELTAS:
                pass
            case _:
                self._malformed("a delta")

    def _append(self, block: dict[str, Any], field: str, piece: str) -> None:
        before = block.get(field, "")
        if not isinstance(before, str):
            self._malformed("a block")
        block[field] = str(before) + piece
        self.content_bytes += utf8_bytes(piece)

    def _note_edits(self, management: Any) -> None:
        edits = management.get("applied_edits") if isinstance(management, dict) else management
        if isinstance(edits, list):
            self.applied_edits = tuple(edits)
        elif edits is not None:
            self._malformed("context_management")

    def _read_usage(self, usage: Mapping[str, Any], before: Usage = Usage()) -> Usage:
        return Usage(
            input=self._number(usage.get("input_tokens"), before.input),
            cache_write=self._number(usage.get("cache_creation_input_tokens"), before.cache_write),
            cache_read=self._number(usage.get("cache_read_input_tokens"), before.cache_read),
            output=self._number(usage.get("output_tokens"), before.output),
        )

    def _read_iterations(self, iterations: Any) -> Usage:
        """Usage of extra model calls (compaction, say) that the top-level usage omits."""
        entries = iterations if isinstance(iterations, list) else []
        extra = (entry for entry in entries if isinstance(entry, dict) and entry.get("type", "message") != "message")
        return sum(map(self._read_usage, extra), Usage())

    def _number(self, value: Any, before: int) -> int:
        if value is None:
            return before
        if self._strict:
            return max(0, int(value))
        return value if type(value) is int and value >= 0 else before

    def _malformed(self, what: str) -> None:
        if self._strict:
            raise ValueError(f"{what} of the stream is malformed")


def describe_error(error: Mapping[str, Any]) -> str:
    """The Messages API's error object in one line, cut."""
    return f"{error.get('type')}: {error.get('message')}"[:ERROR_CHARS_MAX]
