"""JSON that a guest, an endpoint or a model wrote: bounded before it is parsed, strict while it is parsed. Pure.

Whatever is parsed here can be written as JSON again, and by code that recurses: its numbers are finite (`1e999` is
valid JSON, but the infinity that Python reads from it is not), no float is too small for its integers, and its depth is
bounded. Text may still hold lone
halves of surrogate pairs, which JSON can escape and UTF-8 cannot encode: `sanitize` replaces them.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

# Chosen: CPython's encoder gives up at some thousand levels, our own recursion at about a thousand, and the deepest input
# seen from a model's tool call or an agent's conversation has fewer than ten.
LEVELS_MAX = 64
DIGITS_MAX = 300  # of an integer; the largest float64 has 309
TOO_DEEP = "[nested too deep]"
STRING = re.compile(rb'"[^"]*(?:"|\Z)')
BRACKETS = b"[]{}"
NOT_BRACKETS = bytes(set(range(256)) - set(BRACKETS))


class InvalidJson(ValueError):
    """The text is not JSON that may be read; the message says why, without quoting the text.

    Attributes:
        too_large: it may be JSON, but holds more values than may be kept.
    """

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


def parse_object(text: str | bytes, *, levels_max: int = LEVELS_MAX, unique_keys: bool = False) -> dict[str, Any]:
    """A JSON object from text whose size has been bounded.

    Args:
        text: bytes are UTF-8 and nothing else: `json` would also accept UTF-16, in which a quote is another byte.
        levels_max: levels of objects and arrays, the outermost one included.
        unique_keys: refuse an object in which a key is repeated; else the last one wins.

    Raises:
        InvalidJson: the text is anything else.
    """
    _check_levels(text, levels_max)
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_unique if unique_keys else None,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=plain_integer,
        )
    except InvalidJson:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidJson("not valid JSON") from error
    if not isinstance(value, dict):
        raise InvalidJson("not a JSON object")
    if is_too_deep(value, levels_max):
        raise InvalidJson(f"nested deeper than {levels_max} levels")
    return value


def plain_integer(digits: str) -> int:
    """An integer that can be computed with, for `json.loads`: means, medians and axes are made of floats.

    Raises:
        InvalidJson: no float is as large.
    """
    if len(digits) > DIGITS_MAX:
        raise InvalidJson(f"an integer has {len(digits)} digits")
    return int(digits)


def check_size(content: bytes, *, values_max: int, levels_max: int = LEVELS_MAX) -> None:
    """Count values and levels in the bytes, before any memory is spent on parsing them; brackets in strings do not count.

    Raises:
        InvalidJson: more than `values_max` values or `levels_max` levels.
    """
    unescaped = _without_escapes(content)
    # A value has at most a key and itself in quotes: four of them.
    if unescaped.count(b'"') > 4 * values_max:
        raise InvalidJson("holds too many values", too_large=True)
    outside_strings = STRING.sub(b"", unescaped)
    brackets = outside_strings.translate(None, NOT_BRACKETS)
    if outside_strings.count(b",") + len(brackets) > values_max:
        raise InvalidJson("holds too many values", too_large=True)
    _count_levels(brackets, levels_max)


def _check_levels(text: str | bytes, levels_max: int) -> None:
    """Count levels before Python's parser recurses into them: where somebody has raised the recursion limit, as a script
    with a recursion of its own does, it would go on until the process has no stack, and that ends the process.

    Raises:
        InvalidJson: more than `levels_max` levels.
    """
    content = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if content.count(b"[") + content.count(b"{") > levels_max:
        _count_levels(STRING.sub(b"", _without_escapes(content)).translate(None, NOT_BRACKETS), levels_max)


def _without_escapes(content: bytes) -> bytes:
    return content.replace(rb"\\", b"").replace(rb"\"", b"")


def _count_levels(brackets: bytes, levels_max: int) -> None:
    level = 0
    for bracket in brackets:
        level += 1 if bracket in b"[{" else -1
        if level > levels_max:
            raise InvalidJson(f"nested deeper than {levels_max} levels")


def is_too_deep(value: Any, levels_max: int = LEVELS_MAX) -> bool:
    """Whether a value has more levels of objects and arrays; one that contains itself has."""
    if not isinstance(value, dict | list | tuple):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels_max == 0 or any(is_too_deep(child, levels_max - 1) for child in children)


def sanitize(value: Any, levels_max: int = LEVELS_MAX) -> Any:
    """The same value, as JSON and UTF-8 can hold it.

    Lone surrogates become question marks, keys become text, infinities and NaN become text, and what is nested deeper than
    `levels_max` becomes `TOO_DEEP`.
    """
    match value:
        case str():
            return value.encode("utf-8", "replace").decode("utf-8")
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping() | list() | tuple() if levels_max == 0:
            return TOO_DEEP
        case Mapping():
            return {sanitize(str(key)): sanitize(child, levels_max - 1) for key, child in value.items()}
        case list() | tuple():
            return [sanitize(child, levels_max - 1) for child in value]
        case _:
            return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise InvalidJson("a key is repeated")
    return built


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(constant: str) -> NoReturn:
    raise InvalidJson(f"{constant[:20]} is not a finite number")
