"""What an agent gets to see of a call's result: any bytes, as bounded text that can be shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.agents.tool_results import CUT_NOTICE_CHARS_MAX, ERROR_CHARS_MAX, error_of, result_of
from runner.records.episode import ToolCall
from runner.sandbox.stream import Received
from runner.sandbox.wire import Frame, Kind

CALL = ToolCall("1", "bash", {})


def received(head: dict[str, object], body: bytes = b"") -> Received:
    return Received(Frame(Kind.REPLY, 1, head, body), 0.0)


def can_be_shown(text: str) -> bool:
    return all(char in "\t\n" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") for char in text)


@pytest.mark.slow
@given(
    st.one_of(st.binary(max_size=400), st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass")))
)
def test_any_output_is_bounded_text_that_can_be_shown(body: bytes) -> None:
    text = result_of(CALL, received({"ok": True}, body), 0.0, chars_max=200).text
    assert can_be_shown(text) and len(text) <= 200 + CUT_NOTICE_CHARS_MAX
    text.encode()


@pytest.mark.slow
@given(st.text(max_size=20).map(lambda text: text * 400))
def test_any_error_is_bounded_text_that_can_be_shown(error: str) -> None:
    for result in (error_of(CALL, error), result_of(CALL, received({"ok": False, "error": error}), 0.0, chars_max=200)):
        assert can_be_shown(result.text) and len(result.text) <= ERROR_CHARS_MAX and result.is_error


def test_plain_text_is_unchanged_and_bytes_are_named() -> None:
    body = "ä\tb\r\n\x1b[31mred".encode() + b"\xff"
    assert result_of(CALL, received({"ok": True}, body), 0.0, chars_max=200).text == "ä\tb\n\\x1b[31mred\\xff"
