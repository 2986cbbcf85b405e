"""Chat completions over the vendor's SDK; the only place that knows it. It is what models on one's own machines speak:
vLLM, Ollama, llama.cpp.

A conversation is kept in the blocks of the Messages API. `body_of` translates it for this API, `_Answer` puts the
stream's pieces back into blocks. Endpoints differ more than the API's documentation admits; what is done about that is
explained where it is done. A stream that was cut ends without a finish reason. The SDK's own retries are off.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.faults import ModelFault, ModelRefused, UsageFault
from runner.llm.credentials import without_port, without_userinfo
from runner.llm.endpoint_errors import CONTEXT_WORDS, retry_after_s, shorten, unusable_surroundings
from runner.llm.failed_reads import check_content_type, failed_read
from runner.llm.messages import Block, ModelRequest, ModelResponse, parse_tool_input
from runner.llm.model import AttemptProgress, ContextLengthExceeded, TransientError
from runner.llm.open_streams import OpenStreams
from runner.llm.stream import utf8_bytes
from runner.records.episode import Usage
from runner.records.untrusted_json import sanitize

# Chosen: a model on one's own machine reads a long conversation for minutes before its first token; a handshake is as
# in client.py.
GAP_S, CONNECT_S = 300.0, 20.0
# Sent where there is no key: an endpoint of one's own asks for none, the SDK does.
NO_KEY = "none"
# What the Messages API calls the same.
STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
CONTEXT_CODES = frozenset(["context_length_exceeded", "exceed_context_size_error"])
# An account without credit answers 429 as a busy endpoint does, but no pause fixes it.
NO_CREDIT = "insufficient_quota"
# Older endpoints know only the first name, newer models of the vendor only the second.
LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
HINTS = {
    400: "look at the request in the transcript",
    401: "set a valid OPENAI_API_KEY",
    403: "check what this key may use",
    404: "check that --model names a model of this endpoint, and that --base-url is right: most end in /v1",
    413: "the conversation is too large for one request",
    429: "check the account's credit and limits",
}


class OpenAITransport:
    """One endpoint that speaks chat completions."""

    api = "chat"

    def __init__(self, model: str, *, api_key: str, base_url: str) -> None:
        try:
            import openai  # an extra; and it takes its time
        except ImportError:
            raise UsageFault(
                cause="--api openai needs the package openai",
                hint="pip install 'openai>=3,<4', which is all that the extra runner[openai] adds",
            ) from None
        if not api_key and not base_url:
            raise UsageFault(
                cause="no model credentials are set for --api openai",
                hint="set OPENAI_API_KEY, or name an endpoint that needs none: --base-url http://localhost:8000/v1",
            )
        _check_url(base_url)
        self._api, self.model, self._key = openai, model, api_key
        try:
            http_client = openai.DefaultHttpxClient()  # as in client.py
        except Exception as error:  # boundary: whatever the environment says of proxies and certificates
            raise unusable_surroundings(error) from error
        try:
            self._client = openai.OpenAI(
                api_key=api_key or NO_KEY, base_url=base_url or None, max_retries=0, http_client=http_client
            )
        except Exception as error:  # boundary: the SDK hands on whatever its transport says of an address
            raise _invalid_url(base_url, str(error)) from None
        self._limit_name = LIMIT_NAMES[0]
        self._streams = OpenStreams()

    def close(self) -> None:
        """Break off whatever is under way."""
        self._streams.close()

    def body_of(self, request: ModelRequest) -> dict[str, Any]:
        """The body of a request as it is sent, with the name of the limit that the endpoint is known to take.

        The name is settled by the first request, which is the preflight's in a job.

        Raises:
            ModelFault: it asks for something that this API cannot express.
        """
        return body_of(request, self.model, self._limit_name)

    def ask(self, request: ModelRequest, end_s: float, progress: AttemptProgress) -> ModelResponse:
        """Send the request once.

        Raises:
            TransientError, ContextLengthExceeded, ModelFault, ModelRefused: there is no answer.
        """
        try:
            return self._ask(request, end_s, self._limit_name, progress)
        except _OtherLimitName:
            self._limit_name = LIMIT_NAMES[1]
            return self._ask(request, end_s, self._limit_name, progress)

    def _ask(self, request: ModelRequest, end_s: float, limit_name: str, progress: AttemptProgress) -> ModelResponse:
        body = body_of(request, self.model, limit_name)
        gap_s = max(0.1, min(GAP_S, end_s - time.monotonic()))
        answer = _Answer(progress)
        try:
            timeout = self._api.Timeout(gap_s, connect=min(CONNECT_S, gap_s))
            with self._client.chat.completions.create(**body, timeout=timeout) as stream:
                check_content_type(stream.response.headers.get("content-type", ""), self._address)
                progress.has_begun = True
                progress.request_id = shorten(stream.response.headers.get("x-request-id", ""), self._key)
                with self._streams.reading(stream):
                    for chunk in stream:
                        answer.feed(chunk.to_dict(warnings=False))
                        self._streams.check(end_s)
            return answer.response()
        except (TransientError, ModelFault):
            raise
        except self._api.APIConnectionError as error:  # a kind of APIError that says nothing of the endpoint's
            raise failed_read(error.__cause__ or error, self._address, has_begun=progress.has_begun) from None
        except self._api.APIError as error:
            raise self._classify(error, progress, limit_name) from None
        except Exception as error:  # boundary: while a stream is read, the SDK lets its transport's errors through
            raise failed_read(error, self._address, has_begun=progress.has_begun) from None

    @property
    def _address(self) -> str:
        return str(self._client.base_url.netloc.decode("ascii"))

    def _classify(self, error: Any, progress: AttemptProgress, limit_name: str) -> Exception:
        """A fault that another attempt may fix, or one that it cannot."""
        detail = error.body if isinstance(error.body, dict) else {}
        codes = {str(detail.get("code", "")), str(detail.get("type", ""))}
        message = shorten(str(detail.get("message", "") or error.message), self._key)
        headers = error.response.headers if isinstance(error, self._api.APIStatusError) else {}
        progress.request_id = progress.request_id or shorten(headers.get("x-request-id", ""), self._key)
        status = getattr(error, "status_code", None) or _status_of(codes)
        if codes & CONTEXT_CODES or (status in (400, 413) and CONTEXT_WORDS.search(message)):
            return ContextLengthExceeded(message)
        if status == 400 and LIMIT_NAMES[1] in message and limit_name != LIMIT_NAMES[1]:
            return _OtherLimitName()
        if (status in (408, 409, 429) or status >= 500) and NO_CREDIT not in codes:
            return TransientError(
                f"HTTP {status}", after_s=retry_after_s(headers.get("retry-after", "")), rate_limited=status == 429
            )
        refused = status in (401, 403, 404) or NO_CREDIT in codes
        return (ModelRefused if refused else ModelFault)(
            cause=f"the model's endpoint refused the request: HTTP {status}: {message}",
            hint=HINTS.get(status, "look the error up in the endpoint's documentation"),
        )


class _OtherLimitName(Exception):
    """The endpoint calls the most tokens of an answer by its newer name."""


def _check_url(base_url: str) -> None:
    """
    Raises:
        UsageFault: it has no scheme; checked at once, since such a URL would otherwise look like an endpoint that never
        answers.
    """
    if base_url and not base_url.startswith(("http://", "https://")):
        raise _invalid_url(base_url, "http:// or https:// is missing")


def _invalid_url(base_url: str, reason: str) -> UsageFault:
    return UsageFault(
        cause=f"--base-url {without_userinfo(base_url)!r} is not a URL: {without_port(reason)}",
        hint="write it as https://host[:port]/v1",
    )


def _status_of(codes: set[str]) -> int:
    """The status that an error in mid-stream would have had; 500 where it does not say."""
    if codes & {"rate_limit_exceeded", "rate_limit_error"}:
        return 429
    return next((int(code) for code in codes if code.isdigit() and 400 <= int(code) <= 599), 500)


# The request, in this API's format


def body_of(request: ModelRequest, model: str, limit_name: str = LIMIT_NAMES[0]) -> dict[str, Any]:
    """The body of a request, exactly as it is sent.

    Raises:
        ModelFault: it asks for something that this API cannot express.
    """
    if request.thinking is not None:
        raise ModelFault(cause="--thinking is not supported by --api openai", hint="leave --thinking off")
    body: dict[str, Any] = {
        "model": model,
        limit_name: request.max_tokens,
        "messages": messages_of(request),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        body["tools"] = [_function(tool) for tool in request.tools]
    return body


def _function(tool: Mapping[str, Any]) -> dict[str, Any]:
    if "input_schema" not in tool:
        raise ModelFault(
            cause=f"the tool {tool.get('name')!r} has no schema to show to --api openai", hint="use --tools schema"
        )
    about = {"name": tool["name"], "description": tool.get("description", ""), "parameters": tool["input_schema"]}
    return {"type": "function", "function": about}


def messages_of(request: ModelRequest) -> list[dict[str, Any]]:
    """The conversation, the system prompt first."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
    for message in request.messages:
        blocks = _blocks(message["content"])
        messages += [_assistant_message(blocks)] if message["role"] == "assistant" else _user_messages(blocks)
    return messages


def _blocks(content: str | Sequence[Block]) -> Sequence[Block]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(blocks: Sequence[Block], between: str = "") -> str:
    return between.join(str(block["text"]) for block in blocks if block["type"] == "text")


def _assistant_message(blocks: Sequence[Block]) -> dict[str, Any]:
    """What the model said; its thoughts are not sent back, since no two endpoints agree on how."""
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {"name": block["name"], "arguments": json.dumps(block["input"])},
        }
        for block in blocks
        if block["type"] == "tool_use"
    ]
    return {"role": "assistant", "content": _text(blocks), **({"tool_calls": calls} if calls else {})}


def _user_messages(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Tool results, each a message; what is said beside them goes into the last one.

    Mistral's models and their templates refuse a user's message that follows a tool's, and others take it for a new task.
    """
    said = _text(blocks, "\n\n")
    results = [
        {"role": "tool", "tool_call_id": block["tool_use_id"], "content": _result(block)}
        for block in blocks
        if block["type"] == "tool_result"
    ]
    if not results:
        return [{"role": "user", "content": said}]
    if said:
        results[-1]["content"] += "\n\n" + said
    return results


def _result(block: Block) -> str:
    return ("error: " if block.get("is_error") else "") + _text(_blocks(block.get("content") or ""))


# The answer, back in blocks


@dataclass
class _Call:
    """A call as it grows."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass
class _Answer:
    """An answer as it arrives; `progress` is kept up to date with it."""

    progress: AttemptProgress
    finish: str | None = None
    text: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    calls: list[_Call] = field(default_factory=list)
    _growing: dict[Any, _Call] = field(default_factory=dict)

    def feed(self, chunk: Mapping[str, Any]) -> None:
        if chunk.get("usage"):
            self.progress.usage = _usage(chunk["usage"])
        for choice in (chunk.get("choices") or [])[:1]:
            self.finish = choice.get("finish_reason") or self.finish
            delta = choice.get("delta") or {}
            self._keep(self.text, delta.get("content"))
            self._keep(self.refusal, delta.get("refusal"))
            self._keep(self.thought, delta.get("reasoning_content") or delta.get("reasoning"))
            for piece in delta.get("tool_calls") or []:
                self.grow(piece)

    def grow(self, piece: Mapping[str, Any]) -> None:
        """One piece of a call. Ollama gives all calls of an answer the index 0: another id is another call."""
        about, index, call_id = piece.get("function") or {}, piece.get("index"), piece.get("id") or ""
        call = self._growing.get(index)
        is_another = call is None or (call_id and call.id and call_id != call.id)
        if call is None or is_another or (index is None and about.get("name")):
            call = self._growing[index] = _Call()
            self.calls.append(call)
        call.id = call.id or call_id
        call.name = call.name or about.get("name") or ""
        self._keep(call.arguments, about.get("arguments"))

    def _keep(self, pieces: list[str], piece: str | None) -> None:
        pieces.append(piece or "")
        self.progress.add_content(self.progress.content_bytes + utf8_bytes(pieces[-1]))

    def response(self) -> ModelResponse:
        """The whole answer.

        Raises:
            TransientError: it is not whole.
            TypeError: it is malformed.
        """
        if self.finish is None:
            raise TransientError("the answer was cut off")
        names = [name for call in self.calls for name in (call.id, call.name)]
        if not all(isinstance(name, str) for name in (self.finish, *names)):
            raise TypeError("a field that must be text is not")
        broken: dict[str, str] = {}
        content = [
            *_text_block("thinking", self.thought),
            *_text_block("text", self.text),
            *_text_block("text", self.refusal),
        ]
        for call in self._with_ids():
            text = sanitize("".join(call.arguments))
            parsed = parse_tool_input(text)
            if parsed is None:
                broken[call.id] = text
            content.append({"type": "tool_use", "id": call.id, "name": sanitize(call.name), "input": parsed or {}})
        return ModelResponse(
            tuple(content), self._stop_reason(), self.progress.usage, broken, request_id=self.progress.request_id
        )

    def _with_ids(self) -> list[_Call]:
        """The calls, each with an id of its own."""
        seen: set[str] = set()
        for call in self.calls:
            call.id = sanitize(call.id)
            while not call.id or call.id in seen:
                call.id = f"call_{secrets.token_hex(12)}"
            seen.add(call.id)
        return self.calls

    def _stop_reason(self) -> str:
        reason = STOP_REASONS.get(self.finish or "", self.finish or "")
        if reason == "end_turn" and any(self.refusal):
            return "refusal"
        return "tool_use" if reason == "end_turn" and self.calls else reason  # some say `stop` after a call, too


def _text_block(kind: str, pieces: Sequence[str]) -> list[dict[str, Any]]:
    """A block of text or of thinking; no block where it is empty."""
    text = sanitize("".join(pieces))
    return [{"type": kind, kind: text, **({"signature": ""} if kind == "thinking" else {})}] if text else []


def _usage(reported: Mapping[str, Any]) -> Usage:
    sent = max(0, int(reported.get("prompt_tokens") or 0))
    cached = max(0, min(sent, int((reported.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)))
    return Usage(input=sent - cached, cache_read=cached, output=max(0, int(reported.get("completion_tokens") or 0)))
