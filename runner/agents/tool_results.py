"""What came back of a call in the sandbox, as the agent gets to see it. Pure."""

import re
from typing import Any

from runner.records.episode import ToolCall, ToolResult
from runner.sandbox.stream import Received

ERROR_CHARS_MAX = 4_000  # chosen: an error is a sentence, at the most with a path of 4,096 bytes in it
# What PID 1 says of a command that ended.
FACTS = ("exit_status", "why", "bytes_cut", "shell_alive")
# The shell has cut an output already, and says so in up to this many bytes.
CUT_NOTICE_CHARS_MAX = 100
# What is more than text for a terminal, a log, or a reader of lines. As in sandbox/inside/replies.py.
NOT_PRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def result_of(call: ToolCall, received: Received, seconds: float, *, chars_max: int) -> ToolResult:
    """The result of a call: its error, or its output with the facts about it.

    Args:
        seconds: wall clock.
        chars_max: the most of an output; head and tail of a longer one are kept.
    """
    head = received.frame.head
    if not head.get("ok"):
        return error_of(call, str(head.get("error", "it failed")), seconds)
    text = cap(printable(received.frame.body.decode("utf-8", "backslashreplace")), chars_max)
    facts: dict[str, Any] = {key: head[key] for key in FACTS if key in head}
    return ToolResult(call.id, text, is_error=False, seconds=seconds, facts=facts)


def error_of(call: ToolCall, text: str, seconds: float = 0.0) -> ToolResult:
    """The result of a call that went wrong; the text is bounded, and can be shown."""
    return ToolResult(call.id, printable(text[:ERROR_CHARS_MAX])[:ERROR_CHARS_MAX], is_error=True, seconds=seconds)


def printable(text: str) -> str:
    """The text with control characters but tabs and line feeds as `\\x1b`; a carriage return before a line feed goes."""
    return NOT_PRINTABLE.sub(_escape, text.replace("\r\n", "\n"))


def _escape(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def cap(text: str, chars_max: int) -> str:
    """The text, or its head and tail with how many characters are cut between them."""
    if len(text) <= chars_max + CUT_NOTICE_CHARS_MAX:
        return text
    half = chars_max // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters cut ...]\n{text[-half:]}"
