"""What a submission changed in the starter file, line by line."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from runner.report.escape import shown_lines
from runner.report.html.lines import Line, Piece, code, shortened

CONTEXT = 3  # lines around a change, as diff has them
# Lines of a file that are compared. chosen: ten times the longest that anybody submitted; comparing takes the square of it.
LINES_MAX = 3000


def readable(source: bytes) -> list[str]:
    """The lines of a source that nobody vouches for: bytes that are not UTF-8 and what cannot be seen are written out."""
    return [shortened(line) for line in shown_lines(source.decode("utf-8", "backslashreplace"), None)]


def diff_lines(starter: bytes, submission: bytes) -> Iterator[Line]:
    """The changed lines with some around them; a gap says how many are left out."""
    before, after = readable(starter)[:LINES_MAX], readable(submission)
    left_out = len(after) - LINES_MAX
    after = after[:LINES_MAX]
    changes = SequenceMatcher(None, before, after).get_grouped_opcodes(CONTEXT)
    last = 0
    for group in changes:
        start = group[0][3]
        if start > last:
            yield _gap(start - last)
        for tag, i1, i2, j1, j2 in group:
            yield from _change(tag, before[i1:i2], after[j1:j2], i1, j1)
        last = group[-1][4]
    if len(after) > last:
        yield _gap(len(after) - last)
    if left_out > 0:
        yield Line(kind="gap", pieces=(Piece("", f"{left_out} more lines are not compared"),))


def whole_lines(submission: bytes) -> Iterator[Line]:
    """A submission where there is nothing to compare it with."""
    for number, line in enumerate(readable(submission), 1):
        yield Line(kind="same", number=number, pieces=code(line))


def _change(tag: str, before: Sequence[str], after: Sequence[str], i: int, j: int) -> Iterator[Line]:
    if tag == "equal":
        yield from (Line(kind="same", number=j + n, pieces=code(line)) for n, line in enumerate(after, 1))
        return
    yield from (Line(kind="removed", number=i + n, pieces=code(line)) for n, line in enumerate(before, 1))
    yield from (Line(kind="added", number=j + n, pieces=code(line)) for n, line in enumerate(after, 1))


def _gap(lines: int) -> Line:
    words = "1 line as in the starter" if lines == 1 else f"{lines} lines as in the starter"
    return Line(kind="gap", pieces=(Piece("", words),))
