"""Anthropic's Messages API over the vendor's SDK; the only place that knows it.

The events of the stream are put together here, not by the SDK's helper: that one raises on a tool's input which is not JSON,
and with it the whole answer, paid for, would be lost. A stream that was cut ends without a stop reason and without an
error, and an error in mid-stream comes with status 200; both are told from an answer. The SDK's own retries are off.
"""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.faults import ModelFault, ModelRefused
from runner.llm.endpoint_errors import CONTEXT_WORDS, retry_after_s, shorten, unusable_surroundings
from runner.llm.failed_reads import check_content_type, failed_read
from runner.llm.messages import ModelRequest, ModelResponse, body_of, parse_tool_input
from runner.llm.model import AttemptProgress, ContextEditingUnsupported, ContextLengthExceeded, TransientError
from runner.llm.open_streams import OpenStreams
from runner.llm.stream import MessageAssembler
from runner.records.untrusted_json import is_too_deep, sanitize

if TYPE_CHECKING:
    import anthropic

RATE_LIMITED = frozenset([429, 529])
RETRIED = frozenset([408, 409, 500, 502, 503, 504]) | RATE_LIMITED
FATAL = frozenset([401, 403])
# The vendor's documented kinds of errors, with the status that each has outside of a stream.
STATUS_OF_KIND = {"overloaded_error": 529, "rate_limit_error": 429, "authentication_error": 401, "permission_error": 403,
         "invalid_request_error": 400, "not_found_error": 404, "request_too_large": 413}  # fmt: skip
EDITING = "context-management-2025-06-27"
# Chosen: the vendor's stream has pings between tokens, so that a gap of two minutes is a dead connection; and a TCP
# handshake of 20 s has been retransmitted four times.
GAP_S, CONNECT_S = 120.0, 20.0
# Fields of a block that must be text: without them it could be neither read nor sent back.
TEXT_FIELDS = {"text": ("text",), "thinking": ("thinking",), "tool_use": ("id", "name")}
HINTS = {
    400: "look at the request in the transcript",
    401: "set a valid ANTHROPIC_API_KEY",
    403: "check what this key may use",
    404: "check that --model names a model of this endpoint, and that --base-url is right",
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
        try:
            # Made here: one that the SDK makes and cannot finish complains once more when it is collected.
            http_client = anthropic.DefaultHttpxClient()
            self._client = anthropic.Anthropic(
                api_key=api_key or None, auth_token=auth_token or None, base_url=base_url or None, max_retries=0,
                http_client=http_client,
            )  # fmt: skip
        except Exception as error:  # boundary: whatever the environment says of proxies and certificates
            raise unusable_surroundings(error) from error
        self._streams = OpenStreams()

    def close(self) -> None:
        """Break off whatever is under way."""
        self._streams.close()

    def body_of(self, request: ModelRequest) -> dict[str, Any]:
        """The body of a request, exactly as it is sent."""
        return body_of(request, self.model)

    def ask(self, request: ModelRequest, end_s: float, progress: AttemptProgress) -> ModelResponse:
        """Send the request once.

        Raises:
            TransientError, ContextLengthExceeded, ContextEditingUnsupported, ModelFault, ModelRefused: there is no answer.
        """
        body = self.body_of(request)
        editing = "context_management" in body
        headers = {"anthropic-beta": EDITING} if editing else {}
        gap_s = max(0.1, min(GAP_S, end_s - time.monotonic()))
        answer = _Answer(progress)
        try:
            timeout = self._api.Timeout(gap_s, connect=min(CONNECT_S, gap_s))
            # As `extra_body`, since the SDK would walk through the whole conversation again at each turn.
            with self._client.messages.create(
                model=self.model, max_tokens=request.max_tokens, messages=[], stream=True, extra_body=body,
                extra_headers=headers, timeout=timeout,
            ) as stream:  # fmt: skip
                check_content_type(stream.response.headers.get("content-type", ""), self._address)
                progress.has_begun = True
                progress.request_id = shorten(stream.response.headers.get("request-id", ""), *self._secrets)
                with self._streams.reading(stream):
                    for event in stream:
                        answer.feed(event.to_dict(warnings=False))
                        self._streams.check(end_s)
            return answer.response()
        except self._api.APIStatusError as error:
            progress.request_id = progress.request_id or shorten(error.request_id or "", *self._secrets)
            raise self._classify(error, editing=editing) from None
        except (TransientError, ModelFault):
            raise
        except Exception as error:  # boundary: while a stream is read, the SDK lets its transport's errors through
            raise failed_read(error, self._address, has_begun=progress.has_begun) from None

    @property
    def _secrets(self) -> tuple[str | None, ...]:
        return self._client.api_key, self._client.auth_token

    @property
    def _address(self) -> str:
        return self._client.base_url.netloc.decode("ascii")

    def _classify(self, error: "anthropic.APIStatusError", *, editing: bool) -> Exception:
        """A fault that another attempt may fix, or one that it cannot."""
        detail = error.body.get("error", {}) if isinstance(error.body, dict) else {}
        detail = detail if isinstance(detail, dict) else {}
        kind, message = str(detail.get("type", "")), str(detail.get("message", "") or error.message)
        # An error in mid-stream has status 200, and its kind says the rest.
        status = error.status_code if error.status_code != 200 else STATUS_OF_KIND.get(kind, 500)
        text = shorten(f"HTTP {error.status_code} {kind}".strip(), *self._secrets)
        reason = shorten(message, *self._secrets)
        if status in RETRIED:
            after_s = retry_after_s(error.response.headers.get("retry-after", ""))
            return TransientError(text, after_s=after_s, rate_limited=status in RATE_LIMITED)
        if status == 400 and CONTEXT_WORDS.search(message):
            return ContextLengthExceeded(reason)
        if status == 400 and editing and "context_management" in message:
            return ContextEditingUnsupported(reason)
        refused = status in FATAL or status == 404
        return (ModelRefused if refused else ModelFault)(
            cause=f"the model's endpoint refused the request: {text}: {reason}",
            hint=HINTS.get(status, "look the error up in the vendor's documentation"),
        )


class _Answer:
    """An answer as it arrives; `progress` is kept up to date with it."""

    def __init__(self, progress: AttemptProgress) -> None:
        self._progress, self._message = progress, MessageAssembler(strict=True)

    def feed(self, event: Mapping[str, Any]) -> None:
        """One more event.

        Raises:
            TypeError, ValueError, OverflowError: it is malformed.
        """
        self._message.feed(event)
        self._progress.usage = self._message.usage
        self._progress.add_content(self._message.content_bytes)

    def response(self) -> ModelResponse:
        """The whole answer.

        Raises:
            TransientError: it is not whole.
            LookupError, TypeError, ValueError: it is malformed.
        """
        message, stop_reason = self._message, self._message.stop_reason
        if stop_reason is None:
            raise TransientError("the answer was cut off")
        if not isinstance(stop_reason, str):
            raise TypeError(stop_reason)
        broken: dict[str, str] = {}
        content: list[dict[str, Any]] = []
        ids: set[str] = set()
        for index, received in sorted(message.blocks.items()):
            block = _checked(received)
            if block["type"] == "tool_use":
                while block["id"] in ids:  # the endpoint would refuse them when they are sent back
                    block["id"] += "_again"
                ids.add(block["id"])
                text = message.input_text(index)
                parsed = parse_tool_input(text)
                block["input"] = parsed or {}
                if parsed is None:
                    broken[block["id"]] = sanitize(text)
            if block["type"] != "text" or block["text"]:
                content.append(block)
        return ModelResponse(
            tuple(content), stop_reason, message.usage, broken, message.applied_edits, self._progress.request_id
        )


def _checked(block: dict[str, Any]) -> dict[str, Any]:
    """A block that can be kept and sent back.

    Raises:
        LookupError, TypeError, ValueError: it cannot.
    """
    if not all(isinstance(block[name], str) for name in ("type", *TEXT_FIELDS.get(block["type"], ()))):
        raise TypeError("a field that must be text is not")
    if is_too_deep(block):
        raise ValueError("a block is nested too deep")
    json.dumps(block, allow_nan=False)
    sanitized: dict[str, Any] = sanitize(block)
    return sanitized
