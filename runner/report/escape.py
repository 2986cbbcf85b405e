"""The one place where hostile text is made fit to be shown: printable, and one line, or lines that are bounded each."""

import unicodedata

TEXT_MAX = 300  # chosen: a sentence with a name in it, not a page
LINE_MAX = 1000  # chosen: some lines of a terminal
TAB = 4  # columns


def shown(text: str, length_max: int = TEXT_MAX) -> str:
    """A guest's text on one line: control, format and surrogate characters escaped, the rest cut off."""
    plain = "".join(_char(char) for char in text[: 4 * length_max])
    return plain if len(plain) <= length_max else plain[: length_max - 3] + "..."


def shown_lines(text: str, length_max: int | None = LINE_MAX) -> list[str]:
    """A guest's text of several lines, each as `shown` would have it; only a line feed ends one, and tabs are spaces.

    Args:
        length_max: of a line; None: no line is cut off.
    """
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return [_line(line.expandtabs(TAB), length_max) for line in lines]


def _line(line: str, length_max: int | None) -> str:
    return "".join(map(_char, line)) if length_max is None else shown(line, length_max)


def _char(char: str) -> str:
    if char == " " or (char.isprintable() and unicodedata.category(char) not in ("Cf", "Co", "Cs", "Cn", "Zl", "Zp")):
        return char
    return char.encode("unicode_escape").decode("ascii")
