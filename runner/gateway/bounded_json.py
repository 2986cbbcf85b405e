"""A hostile body of JSON: its size in values and levels is told from the bytes, before any of it is parsed. Pure."""

import json
import re
from typing import Any

# A parsed value takes some hundred bytes, whatever it took as text; a conversation of a thousand turns has some 30,000.
VALUES_MAX = 200_000
# As in `runner.llm.received`: what reads it later may recurse.
DEPTH_MAX = 64
STRING = re.compile(rb'"[^"]*(?:"|\Z)')
BRACKETS = b"[]{}"
NO_BRACKETS = bytes(set(range(256)) - set(BRACKETS))


class InvalidBody(Exception):
    """It is no object of JSON that may be read here.

    Attributes:
        too_large: because of its size.
    """

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


def parsed(content: bytes) -> dict[str, Any]:
    """The object.

    Raises:
        InvalidBody: it is none, holds too many values, or is nested too deep.
    """
    check_shape(content)
    try:
        # Decoded here: of bytes, `json` would also take other encodings, in which a quote is something else.
        given = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidBody("the body is no JSON") from error
    if not isinstance(given, dict):
        raise InvalidBody("the body is no object")
    return given


def check_shape(content: bytes) -> None:
    """Whether it can be parsed within bounds; what stands in strings is nothing to it.

    Raises:
        InvalidBody: it cannot.
    """
    plain = content.replace(rb"\\", b"").replace(rb"\"", b"")
    if plain.count(b'"') > 4 * VALUES_MAX:
        raise InvalidBody("the body holds too many values", too_large=True)
    bare = STRING.sub(b"", plain)
    brackets = bare.translate(None, NO_BRACKETS)
    if bare.count(b",") + len(brackets) > VALUES_MAX:
        raise InvalidBody("the body holds too many values", too_large=True)
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_MAX:
            raise InvalidBody(f"the body is nested deeper than {DEPTH_MAX} levels")
