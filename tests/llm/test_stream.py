"""The events of a Messages stream: the strict reader raises, the tolerant one keeps what it can."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.llm.stream import MessageAssembler
from runner.records.episode import Usage

WORDS = ["type", "message_start", "content_block_start", "content_block_delta", "message_delta", "error", "index", "delta",
         "usage", "message", "text", "text_delta", "input_json_delta", "partial_json", "stop_reason", "iterations",
         "content_block", "thinking_delta", "thinking", "context_management", "applied_edits", "output_tokens"]  # fmt: skip
LEAVES = st.none() | st.integers(-2, 3) | st.booleans() | st.floats() | st.sampled_from(WORDS)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=12,
)
KINDS = st.sampled_from([word for word in WORDS if "_" in word])
EVENTS = st.lists(
    st.builds(
        lambda event, kind: {**event, "type": kind},
        st.dictionaries(st.sampled_from(WORDS), ANYTHING, max_size=6),
        KINDS,
    ),
    max_size=6,
)
MALFORMED: list[dict[str, Any]] = [
    {}, {"type": 3}, {"type": "message_start"}, {"type": "message_start", "message": {"usage": {"input_tokens": []}}},
    {"type": "message_start", "message": {"usage": [1]}}, {"type": "content_block_start", "index": "0", "content_block": {}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
    {"type": "message_delta", "delta": {}, "context_management": {"applied_edits": 3}},
]  # fmt: skip


def begun(block: dict[str, Any], *, strict: bool = True) -> MessageAssembler:
    message = MessageAssembler(strict=strict)
    message.feed({"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}})
    message.feed({"type": "content_block_start", "index": 0, "content_block": block})
    return message


def delta(**fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": fields}


def test_pieces_grow_into_blocks_and_their_bytes_are_counted() -> None:
    message = begun({"type": "text", "text": "é"})
    for piece in ("a", "b"):
        message.feed(delta(type="text_delta", text=piece))
    message.feed({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "input": {}}})
    message.feed({**delta(type="input_json_delta", partial_json='{"x":'), "index": 2})
    message.feed({**delta(type="input_json_delta", partial_json="1}"), "index": 2})
    assert message.blocks == {0: {"type": "text", "text": "éab"}, 2: {"type": "tool_use", "input": {}}}
    assert message.input_text(2) == '{"x":1}' and message.input_text(0) == ""
    assert (message.content_bytes, message.signature_bytes) == (2 + 2 + 7, 0)


def test_a_signature_is_counted_on_its_own() -> None:
    message = begun({"type": "thinking", "thinking": ""})
    message.feed(delta(type="thinking_delta", thinking="hm"))
    message.feed(delta(type="signature_delta", signature="abc"))
    assert message.blocks[0] == {"type": "thinking", "thinking": "hm", "signature": "abc"}
    assert (message.content_bytes, message.signature_bytes) == (2, 3)


def test_the_last_word_on_each_figure_of_usage_stands() -> None:
    message = begun({"type": "text", "text": ""})
    message.feed({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}})
    assert (message.usage, message.stop_reason, message.has_begun) == (
        Usage(input=7, cache_write=0, cache_read=0, output=9),
        "end_turn",
        True,
    )


@pytest.mark.parametrize("strict", [True, False])
def test_events_and_deltas_that_are_not_known_yet_are_skipped(strict: bool) -> None:
    message = begun({"type": "text", "text": ""}, strict=strict)
    message.feed({"type": "ping"})
    message.feed(delta(type="citations_delta", citation={}))
    assert message.blocks == {0: {"type": "text", "text": ""}}


@pytest.mark.parametrize("event", MALFORMED)
def test_a_malformed_event_raises_where_strict_and_is_skipped_where_tolerant(event: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        MessageAssembler(strict=True).feed(event)
    tolerant = MessageAssembler(strict=False)
    tolerant.feed(event)
    assert tolerant.usage == Usage() and tolerant.stop_reason is None


@pytest.mark.slow
@given(EVENTS)
def test_any_events_can_be_read_and_the_strict_reader_raises_nothing_unexpected(events: list[dict[str, Any]]) -> None:
    tolerant, strict = MessageAssembler(strict=False), MessageAssembler(strict=True)
    for event in events:
        tolerant.feed(event)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        for event in events:
            strict.feed(event)
    assert tolerant.usage.output >= 0 and tolerant.content_bytes >= 0
