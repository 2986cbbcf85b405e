"""A request as the transcript keeps it: with its hash, and so that its body can be rebuilt exactly as it was sent. Pure.

Of the Messages API, the conversation is kept without the marks for the cache, which move. Of chat completions it is kept in
that API's own format, and the event says `api`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runner.llm.messages import ModelRequest, request_sha256
from runner.records.events import RequestEvent

MESSAGES = "messages"
PARTS = ("messages", "system", "tools")


def request_event(turn: int, request: ModelRequest, body: Mapping[str, Any], api: str) -> RequestEvent:
    """The event of a request, with all of its messages.

    Args:
        body: the request as it is sent.
        api: the API's name, as the transport has it.
    """
    rest = {key: value for key, value in body.items() if key not in PARTS}
    event = RequestEvent(turn=turn, body=rest, sha256=request_sha256(body))
    if api == MESSAGES:
        tools, messages = map(_as_objects, (request.tools, request.messages))
        return replace(event, system=request.system, tools=tools, messages=messages)
    messages = _as_objects(body["messages"])
    system: Any = ""
    if messages and messages[0]["role"] == "system":
        system, messages = messages[0]["content"], messages[1:]
    return replace(event, api=api, system=system, tools=_as_objects(body.get("tools", ())), messages=messages)


def _as_objects(items: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(dict(item) for item in items)


def common_prefix_len(before: Sequence[Any], now: Sequence[Any]) -> int:
    """How many messages both conversations begin with."""
    count = 0
    while count < min(len(before), len(now)) and before[count] == now[count]:
        count += 1
    return count
