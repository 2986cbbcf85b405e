"""What comes over either wire, made fit to be kept and sent back; and how a stream is closed under its reader's feet."""

import contextlib
import json
import math
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from runner.llm.model import TransientError

# A tool's input nested deeper than this is a mistake or an attack; what reads it later may recurse.
DEPTH_MAX = 64
MESSAGE_CHARS_MAX = 300
# As Anthropic, OpenAI, vLLM and llama.cpp say that a conversation is longer than the model takes.
CONTEXT_WORDS = re.compile(
    r"too long|context length|available context size|exceed\w*\b.{0,60}\bcontext (?:limit|window|size)"
    r"|context (?:limit|window|size).{0,60}\bexceed",
    re.IGNORECASE,
)
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def clean(value: Any) -> Any:
    """The same JSON value without halves of surrogate pairs: they can be written in JSON, but not sent back."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [clean(inner) for inner in value]
    if isinstance(value, dict):
        return {clean(name): clean(inner) for name, inner in value.items()}
    return value


def tool_input(text: str) -> dict[str, Any] | None:
    """A call's input; None where it is no JSON object."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        return clean(found) if isinstance(found, dict) and not is_too_deep(found) else None
    except (ValueError, RecursionError):
        return None


def is_too_deep(value: Any, levels: int = DEPTH_MAX) -> bool:
    """Whether a JSON value has more levels of objects and arrays; one that holds itself has."""
    if not isinstance(value, dict | list | tuple):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_too_deep(one, levels - 1) for one in inner)


def _finite(text: str) -> float:
    """1e999 is JSON, but the infinity that is read from it could not be written again."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _refuse(constant: str) -> None:
    """NaN and Infinity are no JSON, and could not be sent back."""
    raise ValueError(constant)


def seconds(text: str) -> float:
    """A `retry-after`; 0.0 where it says nothing that could be waited for."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0


def safe(message: str, *secrets: str | None) -> str:
    """What the endpoint says, cut, and without the credentials: some repeat them."""
    for secret in filter(None, secrets):
        message = message.replace(secret, "***")
    return message[:MESSAGE_CHARS_MAX]


def why_broken(error: BaseException, *, has_begun: bool) -> str:
    """Why there is no answer: what came is no answer, or nothing more came."""
    if has_begun and isinstance(error, MALFORMED):
        return "the answer is malformed"
    return f"the connection failed ({type(error).__name__})"


def size_of(text: str) -> int:
    """Bytes of a piece of an answer: no fewer than its tokens."""
    return len(text.encode("utf-8", "replace"))


class Streams:
    """What is read at the moment, so that another thread can break it off."""

    def __init__(self) -> None:
        self._closed, self._open = threading.Event(), set[Any]()

    def close(self) -> None:
        """Break off whatever is under way, and whatever begins now."""
        self._closed.set()
        for stream in list(self._open):
            shut(stream)

    @contextlib.contextmanager
    def reading(self, stream: Any) -> Iterator[None]:
        """It is read meanwhile."""
        self._open.add(stream)
        try:
            yield
        finally:
            self._open.discard(stream)

    def check(self, end_s: float) -> None:
        """After each event: whether to read on.

        Raises:
            TransientError: the monotonic clock is past `end_s`, or everything is broken off.
        """
        if time.monotonic() > end_s or self._closed.is_set():
            raise TransientError("the answer took too long")


def shut(stream: Any) -> None:
    """Close a stream of either SDK from another thread: closing alone would not wake a blocked read."""
    network = stream.response.extensions.get("network_stream")
    held = network.get_extra_info("socket") if network is not None else None
    if held is not None:
        with contextlib.suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)
