"""What an endpoint's errors mean, whichever SDK tells them. Pure."""

import re

from runner.llm.credentials import mask

# Chosen: two lines of a terminal; an endpoint's own message is mostly one sentence.
MESSAGE_CHARS_MAX = 300
# As Anthropic, OpenAI, vLLM and llama.cpp say that a conversation is longer than the model takes.
CONTEXT_WORDS = re.compile(
    r"too long|context length|available context size|exceed\w*\b.{0,60}\bcontext (?:limit|window|size)"
    r"|context (?:limit|window|size).{0,60}\bexceed",
    re.IGNORECASE,
)
# What reading an answer raises where the answer is at fault, and not the connection.
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def retry_after_s(header: str) -> float:
    """Seconds of a `retry-after` header; 0.0 where it is absent, a date, or not a number."""
    try:
        return max(0.0, float(header))
    except ValueError:
        return 0.0


def shorten(message: str, *secrets: str | None) -> str:
    """An endpoint's message, without the credentials and cut to `MESSAGE_CHARS_MAX`."""
    return mask(message, secrets)[:MESSAGE_CHARS_MAX]


def describe_failed_read(error: BaseException, *, has_begun: bool) -> str:
    """Why there is no answer: what arrived is malformed, or the connection failed.

    Args:
        has_begun: status 200 was seen.
    """
    if has_begun and isinstance(error, MALFORMED):
        return "the answer is malformed"
    return f"the connection failed ({type(error).__name__})"
