"""Anthropic's Messages API over the vendor's SDK; the only place that knows it.

The events of the stream are put together here, not by the SDK's helper: that one raises on a tool's input which is no JSON,
and with it the whole answer, paid for, would be lost. A stream that was cut ends without a stop reason and without an
error, and an error in mid-stream comes with status 200; both are told from an answer. The SDK's own retries are off.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.faults import ModelFault, ModelRefused
from runner.llm.model import ContextFull, NoEditing, Transient
from runner.llm.question import Question, Reply, body_of
from runner.llm.received import clean, seconds, shut, tool_input
from runner.records.usage import Usage

if TYPE_CHECKING:
    import anthropic

CROWDED = frozenset([429, 529])
RETRIED = frozenset([408, 409, 500, 502, 503, 504]) | CROWDED
FATAL = frozenset([401, 403])
KINDS = {"overloaded_error": 529, "rate_limit_error": 429, "authentication_error": 401, "permission_error": 403,
         "invalid_request_error": 400, "not_found_error": 404, "request_too_large": 413}  # fmt: skip
EDITING = "context-management-2025-06-27"
GAP_S, CONNECT_S = 120.0, 20.0
MENDS = {
    400: "look at the request in the transcript",
    401: "set a valid ANTHROPIC_API_KEY",
    403: "see what this key may use",
    404: "see that --model names a model of this endpoint, and that --base-url is right",
    413: "the conversation is too large for one request",
    429: "wait, or raise the account's limits",
    529: "the API is overloaded: try again later",
}


class AnthropicTransport:
    """One endpoint that speaks the Messages API."""

    def __init__(self, model: str, *, api_key: str, auth_token: str, base_url: str) -> None:
        import anthropic  # takes seconds: only where a model is asked

        self._api, self.model = anthropic, model
        self._client = anthropic.Anthropic(
            api_key=api_key or None, auth_token=auth_token or None, base_url=base_url or None, max_retries=0
        )
        self._closed = threading.Event()
        self._streams: set[Any] = set()

    def close(self) -> None:
        """Break off whatever is under way."""
        self._closed.set()
        for stream in list(self._streams):
            shut(stream)

    def ask(self, question: Question, end_s: float) -> Reply:
        """Put the question once.

        Raises:
            Transient, ContextFull, NoEditing, ModelFault, ModelRefused: there is no answer.
        """
        body = body_of(question, self.model)
        editing = body.pop("context_management", None)
        extra: dict[str, Any] = {}
        if editing is not None:
            extra = {"extra_body": {"context_management": editing}, "extra_headers": {"anthropic-beta": EDITING}}
        gap_s = max(0.1, min(GAP_S, end_s - time.monotonic()))
        gathered = _Gathered()
        try:
            timeout = self._api.Timeout(gap_s, connect=min(CONNECT_S, gap_s))
            with self._client.messages.create(**body, **extra, timeout=timeout) as stream:
                gathered.request_id = stream.response.headers.get("request-id", "")
                self._streams.add(stream)
                try:
                    self._read(stream, gathered, end_s)
                finally:
                    self._streams.discard(stream)
        except self._api.APIStatusError as error:
            raise self._judged(error, gathered, editing=editing is not None) from None
        except (Transient, ModelFault):
            raise
        except Exception as error:  # boundary: while a stream is read, the SDK lets its transport's errors through
            name = type(error).__name__
            raise Transient(
                f"the connection failed ({name})", usage=gathered.usage, request_id=gathered.request_id
            ) from None
        return gathered.reply()

    def _read(self, stream: Any, gathered: "_Gathered", end_s: float) -> None:
        for event in stream:
            gathered.take(event.to_dict())
            if time.monotonic() > end_s or self._closed.is_set():
                raise Transient("the answer took too long", usage=gathered.usage, request_id=gathered.request_id)

    def _judged(self, error: "anthropic.APIStatusError", gathered: "_Gathered", *, editing: bool) -> Exception:
        """A fault that another try may mend, or one that it cannot."""
        told = error.body.get("error", {}) if isinstance(error.body, dict) else {}
        kind, message = str(told.get("type", "")), str(told.get("message", "") or error.message)[:300]
        # An error in mid-stream has status 200, and its kind says the rest.
        status = error.status_code if error.status_code != 200 else KINDS.get(kind, 500)
        text = f"HTTP {error.status_code} {kind}".strip()
        if status in RETRIED:
            after_s = seconds(error.response.headers.get("retry-after", ""))
            crowded = status in CROWDED
            request_id = gathered.request_id or error.request_id or ""
            return Transient(text, after_s=after_s, crowded=crowded, usage=gathered.usage, request_id=request_id)
        if status == 400 and "too long" in message:
            return ContextFull(message)
        if status == 400 and editing and "context_management" in message:
            return NoEditing(message)
        refused = status in FATAL or status == 404
        return (ModelRefused if refused else ModelFault)(
            cause=f"the model's endpoint refused the request: {text}: {message}",
            mend=MENDS.get(status, "see the vendor's list of errors"),
        )


@dataclass
class _Gathered:
    """What of an answer has come."""

    usage: Usage = Usage()
    request_id: str = ""
    stop_reason: str | None = None
    edits: tuple[Mapping[str, Any], ...] = ()
    blocks: dict[int, dict[str, Any]] = field(default_factory=dict)
    inputs: dict[int, list[str]] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "message_start":
                self.count(event["message"].get("usage") or {})
            case "content_block_start":
                self.blocks[event["index"]] = dict(event["content_block"])
            case "content_block_delta":
                self.grow(event["index"], event["delta"])
            case "message_delta":
                self.stop_reason = event["delta"].get("stop_reason")
                self.count(event.get("usage") or {})
                managed = event.get("context_management") or {}
                self.edits = tuple(managed.get("applied_edits") or ())

    def count(self, usage: Mapping[str, Any]) -> None:
        """The last word on each figure stands: the stream repeats them, grown."""
        before = self.usage
        self.usage = Usage(
            _number(usage, "input_tokens", before.input),
            _number(usage, "cache_creation_input_tokens", before.cache_write),
            _number(usage, "cache_read_input_tokens", before.cache_read),
            _number(usage, "output_tokens", before.output),
        )

    def grow(self, index: int, delta: Mapping[str, Any]) -> None:
        block = self.blocks[index]
        match delta["type"]:
            case "text_delta":
                block["text"] = block.get("text", "") + delta["text"]
            case "thinking_delta":
                block["thinking"] = block.get("thinking", "") + delta["thinking"]
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "input_json_delta":
                self.inputs.setdefault(index, []).append(delta["partial_json"])

    def reply(self) -> Reply:
        """The whole answer.

        Raises:
            Transient: it is not whole.
        """
        if self.stop_reason is None:
            raise Transient("the answer was cut off", usage=self.usage, request_id=self.request_id)
        broken: dict[str, str] = {}
        content: list[dict[str, Any]] = []
        seen: set[str] = set()
        for index, block in sorted(self.blocks.items()):
            if block["type"] == "tool_use":
                while block["id"] in seen:  # the endpoint would refuse them when they are sent back
                    block["id"] += "_again"
                seen.add(block["id"])
                text = "".join(self.inputs.get(index, []))
                given = tool_input(text)
                block["input"] = given or {}
                if given is None:
                    broken[block["id"]] = clean(text)
            if block["type"] == "text":
                block["text"] = clean(block["text"])
            if block["type"] != "text" or block["text"]:  # an empty text may not be sent back
                content.append(block)
        return Reply(tuple(content), self.stop_reason, self.usage, broken, self.edits, self.request_id)


def _number(usage: Mapping[str, Any], name: str, before: int) -> int:
    value = usage.get(name)
    return int(value) if value is not None else before
