"""A conversation as it is sent: what of an answer goes back, and what goes first when it outgrows the model. Pure.

What was said and called stays; only outputs are replaced by a word, since the agent can ask for them again. Where the
endpoint clears by itself (`edits`), it is left to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

CLEARED = "[this output was cleared to make room; run the tool again if it is needed]"
KEPT_OUTPUTS = 4
CUT_OFF = "[cut off]"
THOUGHTS = ("thinking", "redacted_thinking")


def sendable(content: Sequence[Mapping[str, Any]], *, cut_off: bool) -> list[dict[str, Any]]:
    """An answer's blocks as the API takes them back; it refuses the whole conversation for one that it does not take.

    Those are text without a word in it, a message without content, and of an answer that was cut off a thought without its
    signature or with nothing after it. All other thoughts stay as they are.
    """
    kept = [dict(block) for block in content if block["type"] != "text" or block["text"].strip()]
    if cut_off:
        kept = [block for block in kept if block["type"] != "thinking" or block.get("signature")]
        while kept and kept[-1]["type"] in THOUGHTS:
            kept.pop()
    return kept or [{"type": "text", "text": CUT_OFF}]


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
