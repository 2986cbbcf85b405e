"""A request into a transcript, and from there back to what a model was asked: its body, exactly as it was sent. Pure.

Of the Messages form, the conversation is kept without the marks for the cache, which move. Of chat completions it is kept
in the words of that wire, and the event says `api`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runner.llm.messages import ModelRequest, body_of, request_sha256
from runner.records.events import RequestEvent

MESSAGES = "messages"
PARTS = ("messages", "system", "tools")


@dataclass(frozen=True, slots=True)
class Sent:
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


def request_event(turn: int, question: ModelRequest, body: Mapping[str, Any], api: str) -> RequestEvent:
    """The event of a request, with all of its messages.

    Args:
        body: the request as it is sent.
        api: what the endpoint speaks.
    """
    rest = {key: value for key, value in body.items() if key not in PARTS}
    event = RequestEvent(turn=turn, body=rest, sha256=request_sha256(body))
    if api == MESSAGES:
        tools, messages = map(_as_objects, (question.tools, question.messages))
        return replace(event, system=question.system, tools=tools, messages=messages)
    messages = _as_objects(body["messages"])
    system: Any = ""
    if messages and messages[0]["role"] == "system":
        system, messages = messages[0]["content"], messages[1:]
    return replace(event, api=api, system=system, tools=_as_objects(body.get("tools", ())), messages=messages)


def _as_objects(items: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(dict(item) for item in items)


def shared_start(before: Sequence[Any], now: Sequence[Any]) -> int:
    """How many messages the two begin with in common."""
    count = 0
    while count < min(len(before), len(now)) and before[count] == now[count]:
        count += 1
    return count


def bodies(asked: Iterable[RequestEvent]) -> Iterator[Sent]:
    """The requests of a transcript, each with the part of the conversation that it shares with the one before."""
    messages: list[dict[str, Any]] = []
    system: Any = None
    tools: tuple[dict[str, Any], ...] = ()
    for one in asked:
        messages = [*messages[: one.messages_kept], *one.messages]
        system = one.system if one.system is not None else system
        tools = one.tools if one.tools is not None else tools
        if one.asked_model is not None:
            yield Sent(one.turn, _as_recorded(one, messages, system, tools), one.sha256, None)
            continue
        body = _body(one, messages, system, tools)
        yield Sent(one.turn, body, one.sha256, request_sha256(body) == one.sha256)


def _body(
    one: RequestEvent, messages: list[dict[str, Any]], system: Any, tools: tuple[dict[str, Any], ...]
) -> dict[str, Any]:
    """With the marks for the cache; where a line before was lost, as much as there is."""
    rest = one.body
    if one.api == "chat":
        return _as_chat(one, messages, system, tools)
    question = ModelRequest(
        system or "", messages, tools, rest.get("max_tokens", 0), rest.get("thinking"), rest.get("context_management")
    )
    try:
        return body_of(question, rest.get("model", ""))
    except (KeyError, IndexError, TypeError):
        return _as_recorded(one, messages, system, tools)


def _as_chat(
    one: RequestEvent, messages: list[dict[str, Any]], system: Any, tools: tuple[Mapping[str, Any], ...]
) -> dict[str, Any]:
    first = [{"role": "system", "content": system}] if system else []
    return {**one.body, "messages": [*first, *messages], **({"tools": list(tools)} if tools else {})}


def _as_recorded(
    one: RequestEvent, messages: list[dict[str, Any]], system: Any, tools: tuple[Mapping[str, Any], ...]
) -> dict[str, Any]:
    body: dict[str, Any] = {**one.body, "messages": messages}
    if system:
        body["system"] = system
    if tools:
        body["tools"] = list(tools)
    return body
