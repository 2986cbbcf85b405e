"""What a pattern or a rule of ast-grep may look like, as far as that can be told without it. Pure.

Whether a pattern is Python, and a kind one of its grammar, only ast-grep can tell: it runs in the parser's sandbox.
"""

import difflib
from typing import Any

PATTERN_MAX = 300  # characters; chosen: some lines of code
LEVELS_MAX = 8  # of rules in rules; chosen: more than anybody reads
TEXTS = ("pattern", "kind", "regex")
LISTS = ("all", "any")
AROUND = ("inside", "has", "precedes", "follows")  # these may have `stopBy` and `field`
OTHER = ("not", "nthChild", "range")
KEYS = (*TEXTS, *AROUND, *LISTS, *OTHER)


def check_rule(rule: Any) -> Any:
    """The same rule.

    Raises:
        ValueError: it is none.
    """
    _check(rule, LEVELS_MAX)
    return rule


def _check(rule: Any, levels: int, keys: tuple[str, ...] = KEYS) -> None:
    if not levels:
        raise ValueError(f"rules are nested deeper than {LEVELS_MAX} levels")
    if isinstance(rule, str):
        _check_text("a pattern", rule)
        return
    if not isinstance(rule, dict) or not rule:
        raise ValueError("is neither a pattern nor a rule: write a text, or a table with some of " + ", ".join(KEYS))
    for key, value in rule.items():
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            more = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(keys)}"
            raise ValueError(f"unknown key {key!r} of a rule ({more})")
        _check_value(key, value, levels)


def _check_value(key: str, value: Any, levels: int) -> None:
    if key in LISTS:
        if not isinstance(value, list) or not value:
            raise ValueError(f"{key!r} is not a list of rules")
        for rule in value:
            _check_table(key, rule, levels)
    elif key in AROUND:
        _check_table(key, value, levels, (*KEYS, "stopBy", "field"))
    elif key == "not" or (key == "stopBy" and not isinstance(value, str)):
        _check_table(key, value, levels)
    elif key == "stopBy":
        if value not in ("end", "neighbor"):
            raise ValueError(f"{key!r} is {value!r}: write 'end', 'neighbor' or a rule")
    elif key == "pattern" and isinstance(value, dict):
        if unknown := set(value) - {"context", "selector", "strictness"}:
            raise ValueError(f"unknown key {min(unknown)!r} of a pattern (known keys: context, selector, strictness)")
        for name, text in value.items():
            _check_text(f"{key}.{name}", text)
    elif key in TEXTS or key == "field":
        _check_text(repr(key), value)
    else:
        _check_plain(key, value, levels)


def _check_table(key: str, rule: Any, levels: int, keys: tuple[str, ...] = KEYS) -> None:
    if not isinstance(rule, dict):
        raise ValueError(f'{key!r} holds no rule: write a table, such as {{ pattern = "f($$$)" }}')
    _check(rule, levels - 1, keys)


def _check_text(words: str, text: Any) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{words} is not a text")
    if not text.strip():
        raise ValueError(f"{words} is empty")
    if len(text) > PATTERN_MAX:
        raise ValueError(f"{words} has {len(text)} characters; {PATTERN_MAX} is the most")


def _check_plain(key: str, value: Any, levels: int) -> None:
    """Of `nthChild` and `range`: what JSON can say; the rest is ast-grep's to judge."""
    if not levels:
        raise ValueError(f"rules are nested deeper than {LEVELS_MAX} levels")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_plain(key, inner, levels - 1)
    elif not isinstance(value, str | bool | int):
        raise ValueError(f"{key!r} holds what is neither a text nor a whole number")
