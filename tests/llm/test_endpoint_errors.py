"""What is made of an endpoint's errors, whichever SDK tells them."""

import math

import pytest

from runner.llm.credentials import mask
from runner.llm.endpoint_errors import (
    CONTEXT_WORDS,
    MESSAGE_CHARS_MAX,
    describe_failed_read,
    retry_after_s,
    shorten,
)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0), (" 1.5 ", 1.5), ("-3", 0.0), ("", 0.0), ("nan", 0.0), ("inf", math.inf),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_a_retry_after_header_is_seconds_or_nothing(header: str, seconds: float) -> None:
    assert retry_after_s(header) == seconds


def test_every_credential_is_masked_wherever_it_stands_and_no_credential_masks_nothing() -> None:
    assert mask("a sk-1 b sk-1, tok", ["sk-1", None, "", "tok"]) == "a *** b ***, ***"
    assert mask("as it is", ["", None]) == "as it is"


def test_a_message_is_masked_before_it_is_cut() -> None:
    message = "x" * (MESSAGE_CHARS_MAX - 4) + "sk-secret"
    assert shorten(message, "sk-secret") == "x" * (MESSAGE_CHARS_MAX - 4) + "***"
    assert len(shorten("x" * 1000)) == MESSAGE_CHARS_MAX


@pytest.mark.parametrize(
    ("error", "has_begun", "reason"),
    [
        (ValueError("x"), True, "the answer is malformed"),
        (ValueError("x"), False, "the connection failed (ValueError)"),
        (ConnectionResetError("an address"), True, "the connection failed (ConnectionResetError)"),
    ],
)
def test_a_failed_read_is_told_by_what_failed_and_never_in_its_own_words(
    error: Exception, has_begun: bool, reason: str
) -> None:
    assert describe_failed_read(error, has_begun=has_begun) == reason


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "This model's maximum context length is 8192 tokens",
        "the request exceeds the available context size",
        "input length and `max_tokens` exceed context limit",
    ],
)
def test_a_conversation_that_is_too_long_is_recognized_in_every_vendors_words(message: str) -> None:
    assert CONTEXT_WORDS.search(message)
