"""The one place where hostile text is made fit to be shown: one line, printable, bounded."""

import unicodedata

TEXT_MAX = 300


def shown(text: str, length_max: int = TEXT_MAX) -> str:
    """A guest's text on one line: control, format and surrogate characters escaped, the rest cut off."""
    plain = "".join(_char(char) for char in text[: 4 * length_max])
    return plain if len(plain) <= length_max else plain[: length_max - 3] + "..."


def _char(char: str) -> str:
    if char == " " or (char.isprintable() and unicodedata.category(char) not in ("Cf", "Co", "Cs", "Cn", "Zl", "Zp")):
        return char
    return char.encode("unicode_escape").decode("ascii")
