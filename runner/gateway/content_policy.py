"""Which blocks of a conversation may go out: those on a list, whose treatment by the vendor is known. Pure.

A message can do more than say something: a block may define a tool that the vendor runs, name an address that it fetches,
or a file of the account. So what is not on the list is rejected, whatever it is.
"""

from collections.abc import Mapping
from typing import Any

ROLES = ("user", "assistant", "system")
TEXT_ONLY = frozenset(["text"])
RESULT_BLOCKS = frozenset(["text", "image", "document"])
DOCUMENT_BLOCKS = frozenset(["text", "image"])
MESSAGE_BLOCKS = frozenset([*RESULT_BLOCKS, "tool_use", "tool_result", "thinking", "redacted_thinking"])


class ContentNotAllowed(Exception):
    """Something in the conversation may not go out; the text says what."""


def check_conversation(body: Mapping[str, Any]) -> int:
    """How many images its messages and its system prompt hold: their tokens are not bounded by their bytes.

    Raises:
        ContentNotAllowed: they hold something other than blocks of the list.
    """
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise ContentNotAllowed("messages: a list is required")
    return sum(map(_message_images, messages)) + _blocks(body.get("system", ""), TEXT_ONLY)


def _message_images(message: Any) -> int:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise ContentNotAllowed(f"messages: a role of {', '.join(ROLES)} is required")
    return _blocks(message.get("content"), TEXT_ONLY if message["role"] == "system" else MESSAGE_BLOCKS)


def _blocks(content: Any, allowed: frozenset[str]) -> int:
    if isinstance(content, str):
        return 0
    if not isinstance(content, list):
        raise ContentNotAllowed("content: a text, or a list of blocks, is required")
    return sum(_block(block, allowed) for block in content)


def _block(block: Any, allowed: frozenset[str]) -> int:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str) or kind not in allowed:
        raise ContentNotAllowed(f"content: a block of type {quoted(kind)} may not leave the sandbox here")
    match kind:
        case "tool_result":
            return _blocks(block.get("content", ""), RESULT_BLOCKS)
        case "image":
            return _image(block.get("source"))
        case "document":
            return _document(block.get("source"))
        case _:
            return 0


def _image(source: Any) -> int:
    media = source.get("media_type") if _type(source) == "base64" else None
    if not isinstance(media, str) or not media.startswith("image/"):
        raise _no_source(source)
    return 1


def _document(source: Any) -> int:
    match _type(source):
        case "text":
            return 0
        case "content":
            return _blocks(source.get("content"), DOCUMENT_BLOCKS)
        case _:
            raise _no_source(source)


def _type(source: Any) -> Any:
    return source.get("type") if isinstance(source, dict) else None


def _no_source(source: Any) -> ContentNotAllowed:
    return ContentNotAllowed(
        f"a source of type {quoted(_type(source))}: the sandbox has no network and no files elsewhere, and bytes that are "
        "not an image have tokens that cannot be bounded"
    )


def quoted(kind: Any) -> str:
    """A type that a guest chose, as an error message repeats it."""
    return repr(str(kind)[:100])
