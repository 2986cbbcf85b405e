"""What a trainer's model wants to do, in whatever form it says it, as a turn. Pure.

A call is a `ToolCall`, a block of type `tool_use` (Anthropic), an entry of `tool_calls` (OpenAI), or a plain
`{"name": ..., "input": {...}}`. A model's turn is a `Turn`, or an assistant's message in one of the vendors' forms.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from runner.faults import UsageFault
from runner.records.episode import ToolCall, Turn
from runner.records.untrusted_json import InvalidJson, parse_object

Vendor = Literal["anthropic", "openai"]
Call = ToolCall | Mapping[str, Any]
Action = Call | Sequence[Call] | Turn
ARGUMENTS_BYTES_MAX = 8 * 1024 * 1024  # chosen: as the largest text that a tool takes, with each byte escaped


def turn_of(action: Action) -> Turn:
    """The turn that an action is.

    What a model got wrong inside of a call (an unknown tool, an input that is no JSON) stays: its result says so.

    Raises:
        UsageFault: it has none of the forms.
    """
    match action:
        case Turn():
            return action
        case ToolCall():
            return Turn("", (action,))
        case Mapping() if action.get("role") == "assistant":
            return _turn_of_message(action)
        case Mapping():
            return Turn("", (_call_of(action, 1),))
        case str() | bytes():
            raise _no_form(action)
        case Sequence():
            return Turn("", _calls_of(action))
        case _:
            raise _no_form(action)


def _turn_of_message(message: Mapping[str, Any]) -> Turn:
    content, calls = message.get("content") or "", message.get("tool_calls") or ()
    if not isinstance(content, str | list | tuple) or not isinstance(calls, list | tuple):
        raise _no_form(message)
    if isinstance(content, str):
        return Turn(content, _calls_of(calls))
    blocks = [block for block in content if isinstance(block, Mapping)]
    say = "\n".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")
    return Turn(say, _calls_of([*(block for block in blocks if block.get("type") == "tool_use"), *calls]))


def _calls_of(calls: Sequence[Call]) -> tuple[ToolCall, ...]:
    return tuple(_call_of(call, place) for place, call in enumerate(calls, 1))


def _call_of(call: Call, place: int) -> ToolCall:
    match call:
        case ToolCall():
            return call
        case {"function": {"name": str(name), "arguments": given}}:
            return _with_input(_id_of(call, place), name, given)
        case {"name": str(name), "input": given} | {"name": str(name), "arguments": given}:
            return _with_input(_id_of(call, place), name, given)
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            return _with_input(_id_of(call, place), name, {})
        case _:
            raise _no_form(call)


def _id_of(call: Mapping[str, Any], place: int) -> str:
    return str(call.get("id") or f"call-{place}")


def _with_input(call_id: str, name: str, given: object) -> ToolCall:
    if isinstance(given, Mapping):
        return ToolCall(call_id, name, dict(given))
    text = given if isinstance(given, str) else repr(given)
    if len(text) > ARGUMENTS_BYTES_MAX:
        return ToolCall(call_id, name, {}, broken=f"{len(text)} characters, of which {ARGUMENTS_BYTES_MAX} are read")
    try:
        return ToolCall(call_id, name, parse_object(text))
    except InvalidJson:
        return ToolCall(call_id, name, {}, broken=text)


def _no_form(what: object) -> UsageFault:
    return UsageFault(
        cause=f"{type(what).__name__} is not an action",
        hint="give a tool call, a list of them, or an assistant's message, in Anthropic's or OpenAI's form",
    )


def tools_for(vendor: Vendor, schemas: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tools as a vendor's requests list them.

    Raises:
        UsageFault: another vendor's name.
    """
    match vendor:
        case "anthropic":
            return [dict(schema) for schema in schemas]
        case "openai":
            return [{"type": "function", "function": _function(schema)} for schema in schemas]
        case _:
            raise UsageFault(cause=f"there are no tools in the form of {vendor!r}", hint='say "anthropic" or "openai"')


def _function(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": schema["name"], "description": schema["description"], "parameters": schema["input_schema"]}
