"""The one place where hostile text is made fit to be shown: printable, and one line, or lines that are bounded each."""

import re
import unicodedata

# What a CI takes for a command to itself in what a job prints: GitHub `::command` that begins a line and `##[command]`
# anywhere in it, Azure `##vso[command]`, TeamCity `##teamcity[command]`.
_COMMAND = re.compile(r"\A( *):(?=:)|#(?=#[A-Za-z]*\[)")
TEXT_MAX = 300  # chosen: a sentence with a name in it, not a page
LINE_MAX = 1000  # chosen: some lines of a terminal
TAB = 4  # columns
KNOWN_MAX = 4096  # characters; chosen: those of any text in earnest, and little memory for one of all there are


def shown(text: str, length_max: int = TEXT_MAX) -> str:
    """A guest's text on one line: control, format and surrogate characters escaped, the rest cut off."""
    plain = no_command(text[: 4 * length_max].translate(_ESCAPES))
    return plain if len(plain) <= length_max else plain[: length_max - 3] + "..."


def shown_lines(text: str, length_max: int | None = LINE_MAX) -> list[str]:
    """A guest's text of several lines, each as `shown` would have it; only a line feed ends one, and tabs are spaces.

    Args:
        length_max: of a line; None: no line is cut off.
    """
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return [_line(line.expandtabs(TAB), length_max) for line in lines]


def _line(line: str, length_max: int | None) -> str:
    return no_command(line.translate(_ESCAPES)) if length_max is None else shown(line, length_max)


def capitalized(text: str) -> str:
    """A text as it begins a line; names in it keep their letters."""
    return text[:1].upper() + text[1:]


def no_command(line: str) -> str:
    """The same line with what a CI would take for a command to itself written as an escape."""
    return _COMMAND.sub(lambda found: r"\x23" if found[1] is None else found[1] + r"\x3a", line)


# What Markdown takes for structure: HTML, links, code, emphasis, cells, an escape, and what begins a heading or a list.
_MARKUP = re.compile(
    r"[<>&\[\]`*|~]|(?<![0-9A-Za-z])_+|_+(?![0-9A-Za-z])|\\(?=[!-/:-@\[-`{-~])|\A#(?=#* )|\A[-+](?= )", re.ASCII
)


def in_markdown(line: str) -> str:
    """A line that is fit to be shown, as nothing but text wherever it stands in a document."""
    return _MARKUP.sub(lambda found: "".join(f"&#{ord(sign)};" for sign in found[0]), line)


class _Escapes(dict[int, str]):
    """How each character is shown, found out once: a line of ten megabytes is not asked about letter by letter."""

    def __missing__(self, code: int) -> str:
        found = _char(chr(code))
        if len(self) < KNOWN_MAX:
            self[code] = found
        return found


def _char(char: str) -> str:
    if char == " " or (char.isprintable() and unicodedata.category(char) not in ("Cf", "Co", "Cs", "Cn", "Zl", "Zp")):
        return char
    return char.encode("unicode_escape").decode("ascii")


_ESCAPES = _Escapes()
