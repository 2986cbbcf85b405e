"""Whatever a model calls: one result, bounded and fit to be shown, and a request that can be sent. No sandbox is needed."""

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.agents.tool_results import CUT_NOTICE_CHARS_MAX, NOT_PRINTABLE
from runner.episode.tools import INPUT_BYTES_MAX, OUTPUT_BYTES_MAX, TOOLS, ToolOutcome, run_tool
from runner.records.episode import ToolCall
from runner.sandbox.container import Received, Sandbox
from runner.sandbox.wire import Decoder, Frame, Kind, encode

EXIT_LINE_CHARS_MAX = 200


class Postbox:
    """Takes requests as they travel, and answers each with what it was told."""

    def __init__(self, head: dict[str, Any], body: bytes) -> None:
        self.head, self.body = head, body

    def ask(self, head: Mapping[str, Any], body: bytes = b"", *, deadline_s: float) -> Received:
        [sent] = Decoder(64 * 1024 * 1024).feed(encode(Frame(Kind.REQUEST, 1, dict(head), body)))
        assert sent.head == json.loads(json.dumps(head)) and deadline_s > 0
        return Received(Frame(Kind.REPLY, 1, self.head, self.body), 0.0)


texts = st.text(max_size=20) | st.sampled_from(
    ["\ud800", "\0", "/", "../x", "a\nb", "\x1b[2J", "x" * 5_000, "\U0001f600" * 4_096]
)
numbers = st.integers() | st.integers(-(10**400), 10**400) | st.floats() | st.booleans()
values = st.recursive(
    st.none() | numbers | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2)
)
fields = st.sampled_from(sorted({name for tool in TOOLS.values() for name in tool.model_fields}))
inputs = st.dictionaries(fields | texts, values, max_size=5)
heads = st.fixed_dictionaries(
    {"ok": st.booleans()},
    optional={"error": texts, "exit_status": st.integers(), "why": texts, "shell_alive": st.booleans()},
)


@given(st.sampled_from(sorted(TOOLS)) | texts, inputs, heads, st.binary(max_size=200) | st.just(b"\x1b" * 40_000))
@example("view", {"path": "\U0001f600" * 4_096}, {"ok": True}, b"")
@example("create", {"path": "\x01" * 4_096, "file_text": "x"}, {"ok": True}, b"")
@example("view", {"path": "a", **{f"{n}\ud800\x1b" * 50: n for n in range(300)}}, {"ok": True}, b"")
@example("bash", {"command": "x\ud800"}, {"ok": True}, b"")
def test_any_call_has_one_result_that_can_be_shown(
    tool: str, given_input: dict[str, Any], head: dict[str, Any], body: bytes
) -> None:
    outcome = run_tool(cast(Sandbox, Postbox(head, body)), ToolCall("1", tool, given_input), 1000)
    assert isinstance(outcome, ToolOutcome)
    text = outcome.result.text
    assert not NOT_PRINTABLE.search(text)
    assert len(text) <= OUTPUT_BYTES_MAX + CUT_NOTICE_CHARS_MAX + EXIT_LINE_CHARS_MAX
    text.encode()


@pytest.mark.parametrize("printed", ["", "a", "a\n", "\n\na\n\n\n", "\n"])
def test_blank_lines_that_a_command_prints_are_shown(printed: str) -> None:
    answered = Postbox({"ok": True, "exit_status": 0, "shell_alive": True}, printed.encode())
    outcome = run_tool(cast(Sandbox, answered), ToolCall("1", "bash", {"command": "true"}), 1000)
    assert isinstance(outcome, ToolOutcome)
    lines = printed if printed.endswith("\n") or not printed else printed + "\n"
    assert outcome.result.text == lines + "[exit status 0]"


@pytest.mark.parametrize("why", [None, "signal", "memory"])
def test_an_agent_is_told_that_its_shell_ended_whatever_ended_it(why: str | None) -> None:
    """Its directory, variables and functions are gone."""
    answered = Postbox({"ok": True, "exit_status": 137, "why": why, "shell_alive": False}, b"")
    outcome = run_tool(cast(Sandbox, answered), ToolCall("1", "bash", {"command": "true"}), 1000)
    assert isinstance(outcome, ToolOutcome)
    assert outcome.result.text.startswith("[exit status 137")
    assert outcome.result.text.endswith("; the shell ended, the next command gets a new one]")


def test_a_text_is_bounded_by_its_bytes() -> None:
    """PID 1 holds a few copies of it."""
    given_input = {"path": "a", "file_text": "\U0001f600" * (INPUT_BYTES_MAX // 4 + 1)}
    outcome = run_tool(cast(Sandbox, Postbox({"ok": True}, b"")), ToolCall("1", "create", given_input), 1000)
    assert isinstance(outcome, ToolOutcome) and outcome.result.is_error
    assert f"file_text: Value error, a text may have {INPUT_BYTES_MAX} bytes" in outcome.result.text
