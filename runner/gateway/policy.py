"""Which requests of a program may go out to the endpoint, and what they look like then. Pure.

The program is hostile until proven honest: it could ask for another model, for a tool that the vendor runs (and which has
a network), or for an address that the vendor fetches. It gets the job's model, tools that it runs itself, and no addresses.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.gateway.bounded_json import InvalidBody, parse_body
from runner.gateway.content_policy import ContentNotAllowed, check_conversation, quoted
from runner.gateway.framing import BODY_BYTES_MAX, Request
from runner.llm.messages import REQUEST_OVERHEAD_TOKENS

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
MODELS = re.compile(r"/v1/models(/[A-Za-z0-9][A-Za-z0-9._:@-]{0,127})?(\?[\w=&.-]{0,200})?")
ALLOWED_HEADERS = ("anthropic-version", "anthropic-beta")
HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,2000}")
BETA_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
# Prefixes of the betas that neither let the vendor reach for something nor change a price.
BETAS = (
    "claude-code-", "context-management-2025-06-27", "interleaved-thinking-", "fine-grained-tool-streaming-",
    "prompt-caching-", "token-efficient-tools-", "output-128k-", "extended-cache-ttl-", "effort-", "structured-outputs-",
    "token-counting-", "thinking-token-count-",
    "mid-conversation-system-",  # a system's words among the messages: text alone, see content_policy.py
)  # fmt: skip
ALLOWED_KEYS = frozenset([
    "model", "max_tokens", "messages", "system", "tools", "tool_choice", "stream", "temperature", "top_p", "top_k",
    "stop_sequences", "thinking", "metadata", "context_management", "output_config", "output_format", "cache_control",
])  # fmt: skip
ALLOWED_TOOL_KEYS = frozenset([
    "type", "name", "description", "input_schema", "cache_control", "strict", "eager_input_streaming", "max_characters",
    "display_width_px", "display_height_px", "display_number", "enable_zoom",
])  # fmt: skip
# Types of tools that the program itself runs; the vendor runs the others.
CLIENT_TOOL_TYPES = ("custom", "bash_", "text_editor_", "computer_", "memory_")
# Edits of the context that only take something out; others ask a model, for money of their own.
FREE_EDITS = "clear_"
MAX_TOKENS_MAX = 1_000_000  # chosen: above what any model's answer may have
# Chosen: twice the 32,000 that coding agents commonly ask for. Longer ones are limited to it:
# what an answer may cost is reserved, and missing elsewhere, while it is under way.
ANSWER_TOKENS_MAX = 64_000
# The vendor scales an image down to about 1,600 tokens, on its newest models to about 4,800.
IMAGE_TOKENS_MAX = 5_000


class RequestRejected(Exception):
    """The gateway answers the request itself, with an error of the Messages API.

    Attributes:
        status: of HTTP.
        kind: of error, as the Messages API names it.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind

    @property
    def body(self) -> bytes:
        error = {"type": self.kind, "message": str(self)}
        return json.dumps({"type": "error", "error": error}).encode()


def _invalid(message: str) -> RequestRejected:
    return RequestRejected(400, "invalid_request_error", message)


def _too_large(message: str) -> RequestRejected:
    return RequestRejected(413, "request_too_large", message)


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request that may go out.

    Attributes:
        path: with its query.
        body: parsed; None for a GET.
        content: the body as it is sent.
        model: the one that the program named.
        dropped: keys, tools and betas that were left out.
        images: how many it holds; their tokens are not bounded by their bytes.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any] | None = None
    content: bytes | None = None
    model: str = ""
    dropped: tuple[str, ...] = ()
    images: int = 0

    def sent_tokens_max(self) -> int:
        """An upper bound of its tokens: a token is at least one byte of text."""
        return len(self.content or b"") + REQUEST_OVERHEAD_TOKENS + self.images * IMAGE_TOKENS_MAX

    @property
    def costs(self) -> bool:
        """Whether a model is asked, for money."""
        return self.body is not None and not self.path.startswith(COUNT)

    @property
    def max_tokens(self) -> int:
        return int((self.body or {})["max_tokens"])

    @property
    def thinking_tokens(self) -> int:
        """The answer's tokens that may be thinking; 0: the request does not say how many."""
        thinking = (self.body or {}).get("thinking")
        budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        return budget if type(budget) is int else 0

    def limited_to(self, max_tokens: int) -> "UpstreamRequest":
        """The same, with an answer of at most this many tokens."""
        if max_tokens == self.max_tokens:
            return self
        body = {**(self.body or {}), "max_tokens": max_tokens}
        return replace(self, body=body, content=_encode(body))


def _encode(body: Mapping[str, Any]) -> bytes:
    """A body as it is sent.

    Raises:
        RequestRejected: it holds NaN or an infinity.
    """
    try:
        return json.dumps(body, ensure_ascii=True, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise _invalid("the body holds NaN or an infinity, or is nested too deep") from error


def authorize(request: Request, model: str) -> UpstreamRequest:
    """The request as it may go out, for the job's model and without anything that is not on the lists.

    Raises:
        RequestRejected: it may not go out.
    """
    if request.too_large:
        raise _too_large(f"the body has {request.too_large} bytes; the limit is {BODY_BYTES_MAX}")
    method, path = request.head.get("method"), request.head.get("path")
    if not isinstance(method, str) or not isinstance(path, str):
        raise _invalid("a request without method and path")
    headers, betas = _headers(request.head.get("headers"))
    if method == "GET" and MODELS.fullmatch(path):
        return UpstreamRequest(method, path, headers, dropped=betas)
    plain, _, query = path.partition("?")
    if method != "POST" or plain not in (MESSAGES, COUNT) or query not in ("", "beta=true"):
        raise RequestRejected(
            404, "not_found_error", "only /v1/messages, /v1/messages/count_tokens and /v1/models are served"
        )
    wanted = _object(request.body)
    model_named = wanted.get("model")
    if not isinstance(model_named, str):
        raise _invalid("model: a name is required")
    if plain == MESSAGES:
        _check_max_tokens(wanted.get("max_tokens"))
    images = _check_content(wanted)
    body = {**{key: value for key, value in wanted.items() if key in ALLOWED_KEYS}, "model": model}
    dropped = [str(key)[:100] for key in wanted.keys() - ALLOWED_KEYS]
    dropped += _keep_client_tools(body) + _keep_free_edits(body) + (["ttl"] if _drop_ttl(body) else [])
    authorized = UpstreamRequest(
        method, path, headers, body, _encode(body), model_named[:200], (*sorted(dropped), *betas), images
    )
    if authorized.costs and ANSWER_TOKENS_MAX <= authorized.thinking_tokens < authorized.max_tokens:
        raise _invalid(f"thinking.budget_tokens: less than {ANSWER_TOKENS_MAX} is required")
    return authorized


def asks_model(request: Request) -> bool:
    """Whether a request, however wrong, asks for an answer of a model."""
    return request.too_large > 0 or str(request.head.get("path", "")).partition("?")[0] == MESSAGES


def _headers(pairs: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    """The few headers that go out, of a list of pairs, and the betas that were left out."""
    headers: dict[str, str] = {}
    for pair in pairs if isinstance(pairs, list) else []:
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair):
            name, value = pair[0].lower(), pair[1].strip()
            if name in ALLOWED_HEADERS and HEADER_VALUE.fullmatch(value):
                headers[name] = value if name not in headers else f"{headers[name]},{value}"[:2000]
    names = [name.strip() for name in headers.pop("anthropic-beta", "").split(",")]
    kept = [name for name in names if name.startswith(BETAS) and BETA_NAME.fullmatch(name)]
    left_out = tuple(f"anthropic-beta: {name[:100]}" for name in names if name and name not in kept)
    return {**headers, **({"anthropic-beta": ",".join(kept)} if kept else {})}, left_out


def _object(content: bytes) -> dict[str, Any]:
    try:
        return parse_body(content)
    except InvalidBody as error:
        raise (_too_large if error.too_large else _invalid)(str(error)) from error


def _check_content(body: Mapping[str, Any]) -> int:
    try:
        return check_conversation(body)
    except ContentNotAllowed as error:
        raise _invalid(str(error)) from error


def _check_max_tokens(value: Any) -> None:
    if type(value) is not int or not 1 <= value <= MAX_TOKENS_MAX:
        raise _invalid("max_tokens: must be an integer of at least 1")


def _keep_client_tools(body: dict[str, Any]) -> list[str]:
    """Only tools that the program runs itself: the vendor's servers have a network, and a price of their own.

    Returns:
        what was left out of them.

    Raises:
        RequestRejected: there is another.
    """
    tools = body.get("tools")
    if tools is None:
        return []
    if not isinstance(tools, list):
        raise _invalid("tools: a list is required")
    for tool in tools:
        kind = tool.get("type", "custom") if isinstance(tool, dict) else ""
        if kind is not None and not (isinstance(kind, str) and kind.startswith(CLIENT_TOOL_TYPES)):
            raise _invalid(f"tools: {quoted(kind)} would run outside the sandbox, which has no network")
    body["tools"] = [{key: value for key, value in tool.items() if key in ALLOWED_TOOL_KEYS} for tool in tools]
    return [f"tools: {str(key)[:100]}" for key in {key for tool in tools for key in tool} - ALLOWED_TOOL_KEYS]


def _keep_free_edits(body: dict[str, Any]) -> list[str]:
    """Only edits of the context that cost nothing; what was left out."""
    management = body.pop("context_management", None)
    if management is None:
        return []
    listed = management.get("edits") if isinstance(management, dict) else None
    edits = listed if isinstance(listed, list) else []
    kept = [edit for edit in edits if isinstance(edit, dict) and str(edit.get("type")).startswith(FREE_EDITS)]
    if kept:
        body["context_management"] = {"edits": kept}
    others = {str(edit.get("type"))[:100] if isinstance(edit, dict) else "" for edit in edits if edit not in kept}
    return [f"context_management: {kind}" for kind in others]


def _drop_ttl(body: Mapping[str, Any]) -> bool:
    """Drop the lifetime of every cache mark, since a longer one has a price of its own; whether there was any."""
    dropped = False
    for value in _objects(list(body.values())):
        mark = value.get("cache_control")
        if isinstance(mark, dict) and mark.pop("ttl", None) is not None:
            dropped = True
    top = body.get("cache_control")
    return (isinstance(top, dict) and top.pop("ttl", None) is not None) or dropped


def _objects(waiting: list[Any]) -> Iterator[dict[str, Any]]:
    """Every object within these values."""
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            yield value
            waiting += value.values()
