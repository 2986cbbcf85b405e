"""Which blocks of a conversation may go out: those on a list, of which it is known what the vendor does with them. Pure.

A message can do more than say something: a block may define a tool that the vendor runs, name an address that it fetches,
or a file of the account. So what is not on the list is refused, whatever it is.
"""

from collections.abc import Mapping
from typing import Any

ROLES = ("user", "assistant", "system")
TEXT = frozenset(["text"])
OF_RESULTS = frozenset(["text", "image", "document"])
OF_DOCUMENTS = frozenset(["text", "image"])
OF_MESSAGES = frozenset([*OF_RESULTS, "tool_use", "tool_result", "thinking", "redacted_thinking"])


class ContentNotAllowed(Exception):
    """It may not go out; the text says what."""


def check_conversation(body: Mapping[str, Any]) -> int:
    """How many images its messages and its system prompt hold: their tokens are not bounded by their bytes.

    Raises:
        ContentNotAllowed: they hold something else than blocks of the list.
    """
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise ContentNotAllowed("messages: a list is required")
    return sum(map(_message, messages)) + _blocks(body.get("system", ""), TEXT)


def _message(message: Any) -> int:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise ContentNotAllowed(f"messages: a role of {', '.join(ROLES)} is required")
    return _blocks(message.get("content"), TEXT if message["role"] == "system" else OF_MESSAGES)


def _blocks(content: Any, allowed: frozenset[str]) -> int:
    if isinstance(content, str):
        return 0
    if not isinstance(content, list):
        raise ContentNotAllowed("content: a text, or a list of blocks, is required")
    return sum(_block(block, allowed) for block in content)


def _block(block: Any, allowed: frozenset[str]) -> int:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str) or kind not in allowed:
        raise ContentNotAllowed(f"content: a block of type {shown(kind)} does not leave the sandbox at this place")
    match kind:
        case "tool_result":
            return _blocks(block.get("content", ""), OF_RESULTS)
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
            return _blocks(source.get("content"), OF_DOCUMENTS)
        case _:
            raise _no_source(source)


def _type(source: Any) -> Any:
    return source.get("type") if isinstance(source, dict) else None


def _no_source(source: Any) -> ContentNotAllowed:
    return ContentNotAllowed(
        f"a source of type {shown(_type(source))}: the sandbox has no network and no files elsewhere, and the tokens of "
        "bytes that are no image cannot be told beforehand"
    )


def shown(kind: Any) -> str:
    """A type as a message repeats it."""
    return repr(str(kind)[:100])
