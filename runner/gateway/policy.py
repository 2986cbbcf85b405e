"""What of a program's request may go out to the endpoint, and as what. Pure.

The program is hostile until proven honest: it could ask for another model, for a tool that the vendor runs (and which has
a network), or for an address that the vendor fetches. It gets the job's model, tools that it runs itself, and no addresses.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.gateway.bounded_json import InvalidBody, parse_body
from runner.gateway.content_policy import ContentNotAllowed, check_conversation, shown
from runner.gateway.framing import BODY_BYTES_MAX, Request
from runner.llm.messages import REQUEST_OVERHEAD_TOKENS

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
MODELS = re.compile(r"/v1/models(/[A-Za-z0-9][A-Za-z0-9._:@-]{0,127})?(\?[\w=&.-]{0,200})?")
ALLOWED_HEADERS = ("anthropic-version", "anthropic-beta")
HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,2000}")
BETA_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
# How the names of those betas begin that neither let the vendor reach for something nor change a price.
BETAS = (
    "claude-code-", "context-management-2025-06-27", "interleaved-thinking-", "fine-grained-tool-streaming-",
    "prompt-caching-", "token-efficient-tools-", "output-128k-", "extended-cache-ttl-", "effort-", "structured-outputs-",
    "token-counting-", "thinking-token-count-",
    "mid-conversation-system-",  # a system's words among the messages: text alone, as content.py has it
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
MAX_TOKENS_MAX = 1_000_000
# Longer answers are cut here: what an answer may cost is set aside, and missing elsewhere, while it is under way.
ANSWER_TOKENS_MAX = 64_000
IMAGE_TOKENS_MAX = 5_000


class RequestRejected(Exception):
    """The gateway answers this itself.

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
        body: None for a GET.
        content: the body as it is sent.
        model: that the program named.
        dropped: what was left out of it.
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
        """No request of these words has more tokens: a token is a byte of text at the least."""
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
        """Tokens that it may think, part of the answer's; 0: it does not say how many."""
        thinking = (self.body or {}).get("thinking")
        budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        return budget if type(budget) is int else 0

    def shortened(self, max_tokens: int) -> "UpstreamRequest":
        """The same with so long an answer at the most."""
        if max_tokens == self.max_tokens:
            return self
        body = {**(self.body or {}), "max_tokens": max_tokens}
        return replace(self, body=body, content=_written(body))


def _written(body: Mapping[str, Any]) -> bytes:
    """A body as it is sent.

    Raises:
        RequestRejected: it holds a number that is none.
    """
    try:
        return json.dumps(body, ensure_ascii=True, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise _invalid("the body holds a number that is none, or is nested too deep") from error


def authorize(request: Request, model: str) -> UpstreamRequest:
    """The request as it may go out.

    Raises:
        RequestRejected: it may not.
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
            404, "not_found_error", "only /v1/messages, /v1/messages/count_tokens and /v1/models are here"
        )
    given = _object(request.body)
    asked_model = given.get("model")
    if not isinstance(asked_model, str):
        raise _invalid("model: a name is required")
    if plain == MESSAGES:
        _check_max_tokens(given.get("max_tokens"))
    images = _check_content(given)
    body = {**{key: value for key, value in given.items() if key in ALLOWED_KEYS}, "model": model}
    dropped = [str(key)[:100] for key in given.keys() - ALLOWED_KEYS]
    dropped += _tidy_tools(body) + _tidy_edits(body) + (["ttl"] if _without_ttl(body) else [])
    asked = UpstreamRequest(
        method, path, headers, body, _written(body), asked_model[:200], (*sorted(dropped), *betas), images
    )
    if asked.costs and ANSWER_TOKENS_MAX <= asked.thinking_tokens < asked.max_tokens:
        raise _invalid(f"thinking.budget_tokens: less than {ANSWER_TOKENS_MAX} is required")
    return asked


def asks_model(request: Request) -> bool:
    """Whether a request, however wrong, is one for an answer of a model."""
    return request.too_large > 0 or str(request.head.get("path", "")).partition("?")[0] == MESSAGES


def _headers(given: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    """The few that go out, out of a list of pairs, and what was left out of them."""
    found: dict[str, str] = {}
    for pair in given if isinstance(given, list) else []:
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair):
            name, value = pair[0].lower(), pair[1].strip()
            if name in ALLOWED_HEADERS and HEADER_VALUE.fullmatch(value):
                found[name] = value if name not in found else f"{found[name]},{value}"[:2000]
    names = [name.strip() for name in found.pop("anthropic-beta", "").split(",")]
    kept = [name for name in names if name.startswith(BETAS) and BETA_NAME.fullmatch(name)]
    left_out = tuple(f"anthropic-beta: {name[:100]}" for name in names if name and name not in kept)
    return {**found, **({"anthropic-beta": ",".join(kept)} if kept else {})}, left_out


def _object(content: bytes) -> dict[str, Any]:
    try:
        return parse_body(content)
    except InvalidBody as error:
        raise (_too_large if error.too_large else _invalid)(str(error)) from error


def _check_content(given: Mapping[str, Any]) -> int:
    try:
        return check_conversation(given)
    except ContentNotAllowed as error:
        raise _invalid(str(error)) from error


def _check_max_tokens(given: Any) -> None:
    if type(given) is not int or not 1 <= given <= MAX_TOKENS_MAX:
        raise _invalid("max_tokens: a whole number from 1 on is required")


def _tidy_tools(body: dict[str, Any]) -> list[str]:
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
            raise _invalid(f"tools: {shown(kind)} would run outside of the sandbox, which has no network")
    body["tools"] = [{key: value for key, value in tool.items() if key in ALLOWED_TOOL_KEYS} for tool in tools]
    return [f"tools: {str(key)[:100]}" for key in {key for tool in tools for key in tool} - ALLOWED_TOOL_KEYS]


def _tidy_edits(body: dict[str, Any]) -> list[str]:
    """Only edits of the context that cost nothing; what was left out."""
    asked = body.pop("context_management", None)
    if asked is None:
        return []
    given = asked.get("edits") if isinstance(asked, dict) else None
    edits = given if isinstance(given, list) else []
    kept = [edit for edit in edits if isinstance(edit, dict) and str(edit.get("type")).startswith(FREE_EDITS)]
    if kept:
        body["context_management"] = {"edits": kept}
    others = {str(edit.get("type"))[:100] if isinstance(edit, dict) else "" for edit in edits if edit not in kept}
    return [f"context_management: {kind}" for kind in others]


def _without_ttl(body: Mapping[str, Any]) -> bool:
    """Take the lifetime out of every mark for the cache: a longer one has a price of its own; whether there was any."""
    found = False
    for value in _objects(list(body.values())):
        mark = value.get("cache_control")
        if isinstance(mark, dict) and mark.pop("ttl", None) is not None:
            found = True
    top = body.get("cache_control")
    return (isinstance(top, dict) and top.pop("ttl", None) is not None) or found


def _objects(waiting: list[Any]) -> Iterator[dict[str, Any]]:
    """Every object within these values."""
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            yield value
            waiting += value.values()
