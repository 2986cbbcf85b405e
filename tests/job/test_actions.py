"""What a model wants to do, in each form in which a trainer may have it, is the same turn."""

import json
from typing import Any

import pytest

from runner.faults import UsageFault
from runner.job.actions import tools_for, turn_of
from runner.records.episode import ToolCall, Turn

LS = {"command": "ls"}
BLOCK = {"type": "tool_use", "id": "c1", "name": "bash", "input": LS}
FUNCTION = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": json.dumps(LS)}}
CALL = ToolCall("c1", "bash", LS)


@pytest.mark.parametrize("one", [CALL, BLOCK, FUNCTION, {"id": "c1", "name": "bash", "input": LS}])
def test_a_call_in_any_form_alone_or_in_a_list(one: Any) -> None:
    assert turn_of(one) == turn_of([one]) == turn_of((one,)) == Turn("", (CALL,))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, BLOCK]},
        {"role": "assistant", "content": "I look.", "tool_calls": [FUNCTION]},
    ],
)
def test_a_models_turn_in_both_vendors_forms(message: Any) -> None:
    assert turn_of(message) == Turn("I look.", (CALL,))


def test_a_turn_is_itself_and_a_message_without_calls_has_none() -> None:
    turn = Turn("x", (CALL,), ending="mine")
    assert turn_of(turn) is turn
    assert turn_of({"role": "assistant", "content": None}) == Turn("") == turn_of([])


def test_calls_without_an_id_get_one_each() -> None:
    turn = turn_of([{"name": "bash", "input": LS}, {"name": "bash", "input": LS}])
    assert len({call.id for call in turn.calls}) == 2


@pytest.mark.parametrize("arguments", ["{", "[1]", "7", '{"a": NaN}', "[" * 100_000])
def test_arguments_that_are_no_object_stay_the_models_mistake(arguments: str) -> None:
    (call,) = turn_of({"id": "c1", "function": {"name": "bash", "arguments": arguments}}).calls
    assert call.broken and call.input == {} and call.tool == "bash"


@pytest.mark.parametrize("wrong", ["ls", b"ls", 7, None, {}, {"role": "user", "content": "x"}, [{"input": LS}], [7]])
def test_what_is_no_action_is_refused_with_the_forms(wrong: Any) -> None:
    with pytest.raises(UsageFault, match="give a tool call"):
        turn_of(wrong)


def test_tools_in_both_vendors_forms_and_no_third() -> None:
    schema = {"name": "bash", "description": "Run.", "input_schema": {"type": "object"}}
    assert tools_for("anthropic", [schema]) == [schema]
    function = {"name": "bash", "description": "Run.", "parameters": {"type": "object"}}
    assert tools_for("openai", [schema]) == [{"type": "function", "function": function}]
    with pytest.raises(UsageFault, match="other"):
        tools_for("other", [schema])  # type: ignore[arg-type]
