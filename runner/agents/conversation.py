"""A conversation as it is sent: which parts of a response go back, and what is cleared when it outgrows the model. Pure.

Text and calls stay; only outputs are replaced by a placeholder, since the agent can ask for them again. Where the endpoint
clears by itself (`context_management`), it is left to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

CLEARED_PLACEHOLDER = "[this output was cleared to make room; run the tool again if it is needed]"
KEPT_OUTPUTS = 4  # chosen: what the model works on just now; fewer make more room, and more calls that are repeated
CUT_OFF = "[cut off]"
THINKING_TYPES = ("thinking", "redacted_thinking")


def sanitize_content(content: Sequence[Mapping[str, Any]], *, cut_off: bool) -> list[dict[str, Any]]:
    """Drop the blocks that the Messages API rejects when they are sent again; it rejects the whole conversation for one.

    These are empty text, and in a response that was cut off thinking without a signature or at the end. All other thinking
    stays as it is. A message without content is rejected, too: it gets a text.
    """
    kept = [dict(block) for block in content if block["type"] != "text" or block["text"].strip()]
    if cut_off:
        kept = [block for block in kept if block["type"] != "thinking" or block.get("signature")]
        while kept and kept[-1]["type"] in THINKING_TYPES:
            kept.pop()
    return kept or [{"type": "text", "text": CUT_OFF}]


def context_management(trigger_tokens: int) -> dict[str, Any]:
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


def clear_tool_results(
    messages: Sequence[Mapping[str, Any]], keep: int = KEPT_OUTPUTS
) -> tuple[list[dict[str, Any]], int]:
    """(the conversation without its oldest tool outputs, how many were cleared); the newest `keep` are kept."""
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
    """Whether an output is longer than the placeholder: clearing must never make a conversation longer."""
    return isinstance(content, str) and len(content) > len(CLEARED_PLACEHOLDER)


def _without(block: Any, goes: bool) -> Any:
    return {**block, "content": CLEARED_PLACEHOLDER} if goes else block
