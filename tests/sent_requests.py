"""From a transcript back to what a model was asked: the proof that its record of a request is complete."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runner.llm.messages import ModelRequest, body_of, request_sha256
from runner.records.events import RequestEvent


@dataclass(frozen=True, slots=True)
class SentRequest:
    """One request.

    Attributes:
        body: as it was sent.
        sha256: as the transcript has it.
        matches: whether the body's hash is that; None for a program's own request, of which the hash is that of the
            bytes, and the transcript keeps no bytes.
    """

    turn: int
    body: dict[str, Any]
    sha256: str
    matches: bool | None


def reconstruct_requests(events: Iterable[RequestEvent]) -> Iterator[SentRequest]:
    """The requests of a transcript, each with the part of the conversation that it shares with the one before."""
    messages: list[dict[str, Any]] = []
    system: Any = None
    tools: tuple[dict[str, Any], ...] = ()
    for event in events:
        messages = [*messages[: event.messages_kept], *event.messages]
        system = event.system if event.system is not None else system
        tools = event.tools if event.tools is not None else tools
        if event.asked_model is not None:
            yield SentRequest(event.turn, _as_recorded(event, messages, system, tools), event.sha256, None)
            continue
        body = _body(event, messages, system, tools)
        yield SentRequest(event.turn, body, event.sha256, request_sha256(body) == event.sha256)


def _body(
    event: RequestEvent, messages: list[dict[str, Any]], system: Any, tools: tuple[dict[str, Any], ...]
) -> dict[str, Any]:
    """With the marks for the cache; where a line before was lost, as much as there is."""
    rest = event.body
    if event.api == "chat":
        return _as_chat(event, messages, system, tools)
    request = ModelRequest(
        system or "", messages, tools, rest.get("max_tokens", 0), rest.get("thinking"), rest.get("context_management")
    )
    try:
        return body_of(request, rest.get("model", ""))
    except (KeyError, IndexError, TypeError):
        return _as_recorded(event, messages, system, tools)


def _as_chat(
    event: RequestEvent, messages: list[dict[str, Any]], system: Any, tools: tuple[Mapping[str, Any], ...]
) -> dict[str, Any]:
    first = [{"role": "system", "content": system}] if system else []
    return {**event.body, "messages": [*first, *messages], **({"tools": list(tools)} if tools else {})}


def _as_recorded(
    event: RequestEvent, messages: list[dict[str, Any]], system: Any, tools: tuple[Mapping[str, Any], ...]
) -> dict[str, Any]:
    body: dict[str, Any] = {**event.body, "messages": messages}
    if system:
        body["system"] = system
    if tools:
        body["tools"] = list(tools)
    return body
