"""Lines of code and of transcripts as pieces of text with a class each, cut to what a page has room for."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from rich.text import Text

# Characters of one line; chosen: far more than a line of code, little enough for a thousand of them.
LINE_MAX = 500
# What the markup around a piece and a line takes at the most, bytes: the longest class and the tags (`pieces.html`).
PIECE_BYTES, LINE_BYTES = 40, 90
# Python's words that lead a line; a colour for them is enough to find one's way.
KEYWORDS = (
    "False None True and as assert async await break class continue def del elif else except finally for from global if "
    "import in is lambda nonlocal not or pass raise return try while with yield"
)
# One alternative a kind, none of which can look back: the time is linear in the line, whatever it says.
TOKENS = re.compile(
    r"(?P<comment>#.*)|(?P<string>\"[^\"]*\"?|'[^']*'?)|(?P<keyword>\b(?:" + KEYWORDS.replace(" ", "|") + r")\b)"
    r"|(?P<number>\b\d[\w.]*)"
)
STYLES = {
    "dim": "dim",
    "bold": "strong",
    "cyan": "command",
    "green": "good",
    "red": "bad",
    "yellow": "doubt",
    "dim italic": "thought",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A text and its class; an empty class for none."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of pieces.

    Attributes:
        kind: `added`, `removed`, `same` or `gap` in a diff; empty elsewhere.
        number: of the line in its file; None where it has none.
    """

    pieces: tuple[Piece, ...]
    kind: str = ""
    number: int | None = None

    @property
    def bytes_max(self) -> int:
        """The most that it takes on the page."""
        text = sum(len(escape(piece.text).encode("utf-8", "backslashreplace")) + PIECE_BYTES for piece in self.pieces)
        return LINE_BYTES + text


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The lines that there was room for, and whether more follow."""

    lines: tuple[Line, ...]
    more: bool


def cut(lines: Iterable[Line], bytes_max: int) -> Cut:
    """The first lines, up to a size on the page; the rest is not even made."""
    kept: list[Line] = []
    for line in lines:
        bytes_max -= line.bytes_max
        if bytes_max < 0:
            return Cut(lines=tuple(kept), more=True)
        kept.append(line)
    return Cut(lines=tuple(kept), more=False)


def shortened(text: str) -> str:
    """A line with its end left out, where it is longer than anybody reads, and how much that was."""
    left_out = len(text) - LINE_MAX
    return text if left_out <= 0 else f"{text[:LINE_MAX]} … {left_out} more characters"


def code(text: str) -> tuple[Piece, ...]:
    """A line of Python in pieces; the pieces together are the line."""
    pieces, end = [], 0
    for match in TOKENS.finditer(text):
        if match.start() > end:
            pieces.append(Piece("", text[end : match.start()]))
        pieces.append(Piece(str(match.lastgroup), match.group()))
        end = match.end()
    return (*pieces, Piece("", text[end:])) if end < len(text) or not pieces else tuple(pieces)


def from_terminal(lines: Iterable[Text]) -> Iterator[Line]:
    """Lines of the terminal's view, with its colours as classes; long lines are shortened."""
    for line in lines:
        yield Line(pieces=tuple(_pieces(line)))


def _pieces(line: Text) -> Iterator[Piece]:
    """The spans of a text that was put together from parts: they do not overlap."""
    plain, end = shortened(line.plain), 0
    base = STYLES.get(str(line.style), "")
    for span in sorted(line.spans, key=lambda span: span.start):
        start, stop = min(span.start, len(plain)), min(span.end, len(plain))
        if start > end:
            yield Piece(base, plain[end:start])
        if stop > start:
            yield Piece(STYLES.get(str(span.style), base), plain[start:stop])
        end = max(end, stop)
    if end < len(plain):
        yield Piece(base, plain[end:])
