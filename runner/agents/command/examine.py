"""What of a program's request may go out to the endpoint, and as what. Pure.

The program is hostile until proven honest: it could ask for another model, for a tool that the vendor runs (and which has
a network), or for an address that the vendor fetches. It gets the job's model, tools that it runs itself, and no addresses.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.agents.command.messages import Request
from runner.llm.question import TOKENS_AROUND

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
MODELS = re.compile(r"/v1/models(/[A-Za-z0-9][A-Za-z0-9._:@-]{0,127})?(\?[\w=&.-]{0,200})?")
PASSED_HEADERS = ("anthropic-version", "anthropic-beta")
HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,2000}")
PASSED_KEYS = frozenset([
    "model", "max_tokens", "messages", "system", "tools", "tool_choice", "stream", "temperature", "top_p", "top_k",
    "stop_sequences", "thinking", "metadata", "context_management", "output_config", "output_format", "cache_control",
])  # fmt: skip
# Types of tools that the program itself runs; the vendor runs the others.
OWN_TOOLS = ("custom", "bash_", "text_editor_", "computer_", "memory_", "tool_search_")
# So many brackets and commas; the bytes alone do not bound what a parsed body takes.
VALUES_MAX = 1_000_000
MAX_TOKENS_MAX = 1_000_000
IMAGE_TOKENS_MAX = 5_000


class Refused(Exception):
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


def _invalid(message: str) -> Refused:
    return Refused(400, "invalid_request_error", message)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may go out.

    Attributes:
        path: with its query.
        body: None for a GET.
        model: that the program named.
        dropped: what was left out of its body.
        images: how many it holds; their tokens are not bounded by their bytes.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any] | None = None
    model: str = ""
    dropped: tuple[str, ...] = ()
    images: int = 0

    def sent_tokens_max(self) -> int:
        """No request of these words has more tokens: a token is a byte of text at the least."""
        return len(self.content() or b"") + TOKENS_AROUND + self.images * IMAGE_TOKENS_MAX

    @property
    def costs(self) -> bool:
        """Whether a model is asked, for money."""
        return self.body is not None and not self.path.startswith(COUNT)

    @property
    def max_tokens(self) -> int:
        return int((self.body or {})["max_tokens"])

    def content(self) -> bytes | None:
        """The body as it is sent.

        Raises:
            Refused: it holds a number that is none.
        """
        if self.body is None:
            return None
        try:
            return json.dumps(self.body, ensure_ascii=True, allow_nan=False).encode()
        except (ValueError, RecursionError) as error:
            raise _invalid("the body holds a number that is none, or is nested too deep") from error


def examine(request: Request, model: str) -> Asked:
    """The request as it may go out.

    Raises:
        Refused: it may not.
    """
    method, path = request.head.get("method"), request.head.get("path")
    if not isinstance(method, str) or not isinstance(path, str):
        raise _invalid("a request without method and path")
    headers = _headers(request.head.get("headers"))
    if method == "GET" and MODELS.fullmatch(path):
        return Asked(method, path, headers)
    plain, _, query = path.partition("?")
    if method != "POST" or plain not in (MESSAGES, COUNT) or query not in ("", "beta=true"):
        raise Refused(404, "not_found_error", "only /v1/messages, /v1/messages/count_tokens and /v1/models are here")
    given = _object(request.body)
    _check_tools(given.get("tools"))
    images = _check_sources(given)
    asked_model = given.get("model")
    if not isinstance(asked_model, str):
        raise _invalid("model: a name is required")
    if plain == MESSAGES:
        _check_max_tokens(given.get("max_tokens"))
    body = {**{key: value for key, value in given.items() if key in PASSED_KEYS}, "model": model}
    dropped = tuple(sorted(str(key)[:100] for key in given.keys() - PASSED_KEYS))
    dropped += ("ttl",) if _without_ttl(body) else ()
    return Asked(method, path, headers, body, asked_model[:200], dropped, images)


def _headers(given: Any) -> dict[str, str]:
    """The few that go out, out of a list of pairs."""
    found: dict[str, str] = {}
    for pair in given if isinstance(given, list) else []:
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair):
            name, value = pair[0].lower(), pair[1].strip()
            if name in PASSED_HEADERS and HEADER_VALUE.fullmatch(value):
                found[name] = value if name not in found else f"{found[name]},{value}"[:2000]
    return found


def _object(content: bytes) -> dict[str, Any]:
    if sum(map(content.count, (b"[", b"{", b","))) > VALUES_MAX:
        raise Refused(413, "request_too_large", "the body holds too many values")
    try:
        given = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _invalid("the body is no JSON") from error
    if not isinstance(given, dict):
        raise _invalid("the body is no object")
    return given


def _check_max_tokens(given: Any) -> None:
    if type(given) is not int or not 1 <= given <= MAX_TOKENS_MAX:
        raise _invalid("max_tokens: a whole number from 1 on is required")


def _check_tools(given: Any) -> None:
    """Only tools that the program runs itself: the vendor's servers have a network, and a price of their own."""
    for tool in given if isinstance(given, list) else []:
        kind = tool.get("type", "custom") if isinstance(tool, dict) else ""
        if kind is not None and not (isinstance(kind, str) and kind.startswith(OWN_TOOLS)):
            raise _invalid(f"tools: {str(kind)[:100]!r} would run outside of the sandbox, which has no network")


def _check_sources(body: Mapping[str, Any]) -> int:
    """How many images there are; other sources must be text.

    The vendor would fetch what an address or a file of the account names, and a document's tokens cannot be told beforehand.

    Raises:
        Refused: there is such a source.
    """
    images = 0
    for value in _objects([body.get("messages"), body.get("system")]):
        source = value.get("source")
        if not isinstance(source, dict):
            continue
        kind = source.get("type")
        if kind in ("url", "file"):
            raise _invalid("a source of type url or file: the sandbox has no network, and no files elsewhere")
        if kind == "base64":
            if not str(source.get("media_type", "")).startswith("image/"):
                raise _invalid("a source of bytes that are no image: its tokens cannot be told beforehand")
            images += 1
    return images


def _without_ttl(body: Mapping[str, Any]) -> bool:
    """Take the lifetime out of every mark for the cache: a longer one has a price of its own; whether there was any."""
    found = False
    for value in _objects(list(body.values()), skip=()):
        mark = value.get("cache_control")
        if isinstance(mark, dict) and mark.pop("ttl", None) is not None:
            found = True
    top = body.get("cache_control")
    return (isinstance(top, dict) and top.pop("ttl", None) is not None) or found


def _objects(waiting: list[Any], skip: Sequence[str] = ("input",)) -> Iterator[dict[str, Any]]:
    """Every object within these values; what a tool was given is no content."""
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            yield value
            waiting += [inner for name, inner in value.items() if name not in skip]
