"""One request to a model and its response, in the blocks of the Messages API, whatever the endpoint speaks. Pure.

The stable prefix (tools, system prompt) and the end of the conversation are marked for the vendor's cache; the mark at the
end moves with it, and the one before it stays where the last answer looked it up.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.records.episode import Usage
from runner.records.untrusted_json import InvalidJson, parse_object, sanitize

Block = Mapping[str, Any]
CACHE_CONTROL = {"type": "ephemeral"}
# The last answer looked the cache up at one of the two, and the next one will at the other.
MARKED_ENDS = 2
# Of a request, besides a token for every byte of its JSON (a token is at least one byte of text). Chosen: the vendor's
# own system prompt for tools has some hundred tokens, and what messages and blocks add is covered by the bytes of their
# JSON.
REQUEST_OVERHEAD_TOKENS = 2_000


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked.

    Attributes:
        messages: the conversation, without marks for the cache.
        tools: JSON schemas, or the vendor's own types.
        max_tokens: the most tokens of the answer.
        thinking: how it may think (the API's object); None: not asked for.
        edits: what the endpoint may drop from the context by itself (the API's object); None: nothing.
        sent_tokens_max: an upper bound of this request's tokens; 0: not known, the bytes are counted.
    """

    system: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    max_tokens: int
    thinking: Mapping[str, Any] | None = None
    edits: Mapping[str, Any] | None = None
    sent_tokens_max: int = 0

    def tokens_max(self) -> int:
        """An upper bound of the tokens that are sent."""
        return self.sent_tokens_max or bytes_of([self.system, self.messages, self.tools]) + REQUEST_OVERHEAD_TOKENS


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """A whole answer.

    Attributes:
        content: its blocks, as they have to be sent back.
        stop_reason: why it ended, in the API's words.
        broken: calls whose input could not be read, by id: the text that came.
        edits: what the endpoint dropped from the context.
        request_id: the endpoint's name for the request.
    """

    content: tuple[Block, ...]
    stop_reason: str
    usage: Usage
    broken: Mapping[str, str] = field(default_factory=dict)
    edits: tuple[Mapping[str, Any], ...] = ()
    request_id: str = ""


def body_of(request: ModelRequest, model: str) -> dict[str, Any]:
    """The body of a request of the Messages API, exactly as it is sent."""
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens,
        "messages": with_cache_control(request.messages),
        "stream": True,
    }
    if request.system:
        body["system"] = [{"type": "text", "text": request.system, "cache_control": CACHE_CONTROL}]
    if request.tools:
        body["tools"] = [*request.tools[:-1], {**request.tools[-1], "cache_control": CACHE_CONTROL}]
    if request.thinking is not None:
        body["thinking"] = dict(request.thinking)
    if request.edits is not None:
        body["context_management"] = dict(request.edits)
    return body


def with_cache_control(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The conversation with the cache's marks on the last block of its last two messages of the user."""
    ends = [place for place, message in enumerate(messages) if message["role"] == "user"][-MARKED_ENDS:]
    return [_with_mark(message) if place in ends else dict(message) for place, message in enumerate(messages)]


def _with_mark(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    return {**message, "content": [*content[:-1], {**content[-1], "cache_control": CACHE_CONTROL}]}


def parse_tool_input(text: str) -> dict[str, Any] | None:
    """The input of a model's tool call, fit to be kept and sent back; None where the text is not a JSON object.

    No text at all is an input without arguments: some models write it so.
    """
    if not text.strip():
        return {}
    try:
        parsed: dict[str, Any] = sanitize(parse_object(text))
        return parsed
    except InvalidJson:
        return None


def bytes_of(content: Any) -> int:
    """Bytes of a JSON value, written out."""
    return len(json.dumps(content, ensure_ascii=True, default=str))


def request_sha256(body: Mapping[str, Any]) -> str:
    """SHA-256 of a request's body, keys sorted: equal for equal requests."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
