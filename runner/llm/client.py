"""Anthropic's Messages API over the vendor's SDK; the only place that knows it.

The events of the stream are put together here, not by the SDK's helper: that one raises on a tool's input which is no JSON,
and with it the whole answer, paid for, would be lost. A stream that was cut ends without a stop reason and without an
error, and an error in mid-stream comes with status 200; both are told from an answer. The SDK's own retries are off.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.faults import ModelFault, ModelRefused
from runner.llm.messages import ModelRequest, ModelResponse, body_of
from runner.llm.model import ContextEditingUnsupported, ContextLengthExceeded, Progress, TransientError
from runner.llm.received import (
    CONTEXT_WORDS,
    Streams,
    clean,
    is_too_deep,
    safe,
    seconds,
    size_of,
    tool_input,
    why_broken,
)
from runner.records.episode import Usage

if TYPE_CHECKING:
    import anthropic

CROWDED = frozenset([429, 529])
RETRIED = frozenset([408, 409, 500, 502, 503, 504]) | CROWDED
FATAL = frozenset([401, 403])
KINDS = {"overloaded_error": 529, "rate_limit_error": 429, "authentication_error": 401, "permission_error": 403,
         "invalid_request_error": 400, "not_found_error": 404, "request_too_large": 413}  # fmt: skip
EDITING = "context-management-2025-06-27"
GAP_S, CONNECT_S = 120.0, 20.0
# What of a block is text; without it, it could be neither read nor sent back.
TEXTS = {"text": ("text",), "thinking": ("thinking",), "tool_use": ("id", "name")}
HINTS = {
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

    api = "messages"

    def __init__(self, model: str, *, api_key: str, auth_token: str, base_url: str) -> None:
        import anthropic  # takes seconds: only where a model is asked

        self._api, self.model = anthropic, model
        self._client = anthropic.Anthropic(
            api_key=api_key or None, auth_token=auth_token or None, base_url=base_url or None, max_retries=0
        )
        self._streams = Streams()

    def close(self) -> None:
        """Break off whatever is under way."""
        self._streams.close()

    def body_of(self, question: ModelRequest) -> dict[str, Any]:
        """The request for a question, exactly as it is sent."""
        return body_of(question, self.model)

    def ask(self, question: ModelRequest, end_s: float, progress: Progress) -> ModelResponse:
        """Put the question once.

        Raises:
            TransientError, ContextLengthExceeded, ContextEditingUnsupported, ModelFault, ModelRefused: there is no answer.
        """
        body = self.body_of(question)
        editing = "context_management" in body
        headers = {"anthropic-beta": EDITING} if editing else {}
        gap_s = max(0.1, min(GAP_S, end_s - time.monotonic()))
        gathered = _Gathered(progress)
        try:
            timeout = self._api.Timeout(gap_s, connect=min(CONNECT_S, gap_s))
            # As `extra_body`, since the SDK would walk through the whole conversation again at each turn.
            with self._client.messages.create(
                model=self.model, max_tokens=question.max_tokens, messages=[], stream=True, extra_body=body,
                extra_headers=headers, timeout=timeout,
            ) as stream:  # fmt: skip
                progress.has_begun, progress.request_id = True, stream.response.headers.get("request-id", "")
                with self._streams.reading(stream):
                    for event in stream:
                        gathered.take(event.to_dict(warnings=False))
                        self._streams.check(end_s)
            return gathered.reply()
        except self._api.APIStatusError as error:
            progress.request_id = progress.request_id or error.request_id or ""
            raise self._judged(error, editing=editing) from None
        except (TransientError, ModelFault):
            raise
        except Exception as error:  # boundary: while a stream is read, the SDK lets its transport's errors through
            raise TransientError(why_broken(error, has_begun=progress.has_begun)) from None

    def _judged(self, error: "anthropic.APIStatusError", *, editing: bool) -> Exception:
        """A fault that another try may fix, or one that it cannot."""
        told = error.body.get("error", {}) if isinstance(error.body, dict) else {}
        told = told if isinstance(told, dict) else {}
        kind, message = str(told.get("type", "")), str(told.get("message", "") or error.message)
        secrets = (self._client.api_key, self._client.auth_token)
        # An error in mid-stream has status 200, and its kind says the rest.
        status = error.status_code if error.status_code != 200 else KINDS.get(kind, 500)
        text, said = safe(f"HTTP {error.status_code} {kind}".strip(), *secrets), safe(message, *secrets)
        if status in RETRIED:
            after_s = seconds(error.response.headers.get("retry-after", ""))
            return TransientError(text, after_s=after_s, crowded=status in CROWDED)
        if status == 400 and CONTEXT_WORDS.search(message):
            return ContextLengthExceeded(said)
        if status == 400 and editing and "context_management" in message:
            return ContextEditingUnsupported(said)
        refused = status in FATAL or status == 404
        return (ModelRefused if refused else ModelFault)(
            cause=f"the model's endpoint refused the request: {text}: {said}",
            hint=HINTS.get(status, "see the vendor's list of errors"),
        )


@dataclass
class _Gathered:
    """What of an answer has come."""

    progress: Progress
    stop_reason: str | None = None
    edits: tuple[Mapping[str, Any], ...] = ()
    blocks: dict[int, dict[str, Any]] = field(default_factory=dict)
    inputs: dict[int, list[str]] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "message_start":
                self.count(event["message"].get("usage") or {})
            case "content_block_start":
                block = self.blocks[event["index"]] = dict(event["content_block"])
                self.progress.content_bytes += sum(size_of(block.get(kind) or "") for kind in ("text", "thinking"))
            case "content_block_delta":
                self.grow(event["index"], event["delta"])
            case "message_delta":
                self.stop_reason = event["delta"].get("stop_reason")
                self.count(event.get("usage") or {})
                managed = event.get("context_management") or {}
                self.edits = tuple(managed.get("applied_edits") or ())

    def count(self, usage: Mapping[str, Any]) -> None:
        """The last word on each figure stands: the stream repeats them, grown."""
        before = self.progress.usage
        self.progress.usage = Usage(
            _number(usage, "input_tokens", before.input),
            _number(usage, "cache_creation_input_tokens", before.cache_write),
            _number(usage, "cache_read_input_tokens", before.cache_read),
            _number(usage, "output_tokens", before.output),
        )

    def grow(self, index: int, delta: Mapping[str, Any]) -> None:
        block = self.blocks[index]
        piece = ""
        match delta["type"]:
            case "text_delta":
                piece = delta["text"]
                block["text"] = block.get("text", "") + piece
            case "thinking_delta":
                piece = delta["thinking"]
                block["thinking"] = block.get("thinking", "") + piece
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "input_json_delta":
                piece = delta["partial_json"]
                self.inputs.setdefault(index, []).append(piece)
        self.progress.content_bytes += size_of(piece)

    def reply(self) -> ModelResponse:
        """The whole answer.

        Raises:
            TransientError: it is not whole.
            LookupError, TypeError, ValueError: it is malformed.
        """
        if self.stop_reason is None:
            raise TransientError("the answer was cut off")
        if not isinstance(self.stop_reason, str):
            raise TypeError(self.stop_reason)
        broken: dict[str, str] = {}
        content: list[dict[str, Any]] = []
        seen: set[str] = set()
        for index, received in sorted(self.blocks.items()):
            block = _checked(received)
            if block["type"] == "tool_use":
                while block["id"] in seen:  # the endpoint would refuse them when they are sent back
                    block["id"] += "_again"
                seen.add(block["id"])
                text = "".join(self.inputs.get(index, []))
                given = tool_input(text)
                block["input"] = given or {}
                if given is None:
                    broken[block["id"]] = clean(text)
            if block["type"] != "text" or block["text"]:
                content.append(block)
        told = self.progress
        return ModelResponse(tuple(content), self.stop_reason, told.usage, broken, self.edits, told.request_id)


def _checked(block: dict[str, Any]) -> dict[str, Any]:
    """A block that can be kept and sent back.

    Raises:
        LookupError, TypeError, ValueError: it cannot.
    """
    if not all(isinstance(block[name], str) for name in ("type", *TEXTS.get(block["type"], ()))):
        raise TypeError("a block's text is none")
    if is_too_deep(block):
        raise ValueError("a block is nested too deeply")
    json.dumps(block, allow_nan=False)
    cleaned: dict[str, Any] = clean(block)
    return cleaned


def _number(usage: Mapping[str, Any], name: str, before: int) -> int:
    value = usage.get(name)
    return max(0, int(value)) if value is not None else before
