"""A conversation that outgrows the model: the oldest tool outputs go first. Pure.

What was said and called stays; only outputs are replaced by a word, since the agent can ask for them again. Where the
endpoint clears by itself (`edits`), it is left to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

CLEARED = "[this output was cleared to make room; run the tool again if it is needed]"
KEPT_OUTPUTS = 4


def edits(trigger_tokens: int) -> dict[str, Any]:
    """The API's object that lets the endpoint clear tool outputs by itself."""
    return {
        "edits": [
            {
                "type": "clear_tool_uses_20250919",
                "trigger": {"type": "input_tokens", "value": trigger_tokens},
                "keep": {"type": "tool_uses", "value": KEPT_OUTPUTS},
            }
        ]
    }


def cleared(messages: Sequence[Mapping[str, Any]], keep: int = KEPT_OUTPUTS) -> tuple[list[dict[str, Any]], int]:
    """(the conversation without its oldest tool outputs, how many were cleared); the newest `keep` stay."""
    places = [
        (m, b)
        for m, message in enumerate(messages)
        for b, block in enumerate(message["content"])
        if isinstance(block, Mapping) and block.get("type") == "tool_result" and _is_worth(block.get("content"))
    ]
    going = set(places[:-keep] if keep else places)
    shorter = [
        {**message, "content": [_without(block, (m, b) in going) for b, block in enumerate(message["content"])]}
        for m, message in enumerate(messages)
    ]
    return shorter, len(going)


def _is_worth(content: Any) -> bool:
    """Whether an output is longer than the word in its place: clearing must never make a conversation longer."""
    return isinstance(content, str) and len(content) > len(CLEARED)


def _without(block: Any, goes: bool) -> Any:
    return {**block, "content": CLEARED} if goes else block
