"""What comes over either wire, made fit to be kept and sent back; and how a stream is closed under its reader's feet."""

import contextlib
import json
import socket
from typing import Any


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
        found = json.loads(text, parse_constant=_refuse)
        return clean(found) if isinstance(found, dict) else None
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    """NaN and Infinity are no JSON, and could not be sent back."""
    raise ValueError(constant)


def seconds(text: str) -> float:
    """A `retry-after`; 0.0 where it says nothing that could be waited for."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0


def shut(stream: Any) -> None:
    """Close a stream of either SDK from another thread: closing alone would not wake a blocked read."""
    network = stream.response.extensions.get("network_stream")
    held = network.get_extra_info("socket") if network is not None else None
    if held is not None:
        with contextlib.suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)
