"""On which line of a TOML file a key stands. Pure; for messages, so that a form it does not know gives a line further up."""

import re
from collections.abc import Sequence

_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_MULTILINE = re.compile(r'"""|' + "'''")
Path = tuple[str | int, ...]


def line_of(text: str, key: Sequence[str | int]) -> int | None:
    """The line, from 1, of a key, or of the innermost table or key above it that has one; None where none has.

    Args:
        key: names, and numbers of entries in arrays of tables, from 0.
    """
    known, path = _lines(text), tuple(key)
    found = (known[path[:length]] for length in range(len(path), 0, -1) if path[:length] in known)
    return next(found, None)


def _lines(text: str) -> dict[Path, int]:
    """The line of each table and key that begins a line."""
    known: dict[Path, int] = {}
    table: Path = ()
    inside = False  # of a text over several lines
    for number, line in enumerate(text.splitlines(), 1):
        if not inside and (head := _TABLE.match(line)):
            table = _table_path(known, _parts(head[2]), is_entry=head[1] == "[[")
            known.setdefault(table, number)
            if head[1] == "[[":
                known.setdefault(table[:-1], number)  # of all entries together
        elif not inside and (found := _KEY.match(line)):
            parts = _parts(found[1])
            for length in range(1, len(parts) + 1):
                known.setdefault((*table, *parts[:length]), number)
        inside ^= len(_MULTILINE.findall(line)) % 2 == 1
    return known


def _parts(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _table_path(known: dict[Path, int], parts: Path, *, is_entry: bool) -> Path:
    """A table's path, with the number of the last entry of each array of tables that it lies in."""
    path: Path = ()
    for place, part in enumerate(parts):
        path = (*path, part)
        count = next(number for number in range(len(known) + 1) if (*path, number) not in known)
        if is_entry and place == len(parts) - 1:
            return (*path, count)
        if count:
            path = (*path, count - 1)
    return path
