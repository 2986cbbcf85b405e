"""What a submission changed, as lines."""

import difflib

from hypothesis import given
from hypothesis import strategies as st

from runner.report.html.diff import LINES_MAX, diff_lines, readable, whole_lines
from runner.report.html.lines import Line

WORDS = st.lists(st.sampled_from(["a = 1", "b = 2", "", "    c()", "# d"]), max_size=40)


def text(line: Line) -> str:
    return "".join(piece.text for piece in line.pieces)


@given(WORDS, WORDS)
def test_the_changes_are_those_that_diff_finds(before: list[str], after: list[str]) -> None:
    found = list(diff_lines(_source(before), _source(after)))
    marks = {"added": "+", "removed": "-", "same": " "}
    shown = [marks[line.kind] + text(line) for line in found if line.kind != "gap"]
    before, after = (readable(_source(lines)) for lines in (before, after))
    expected = [line for line in difflib.unified_diff(before, after, lineterm="") if line[:2] not in ("--", "++", "@@")]
    assert shown == expected


def _source(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def test_lines_have_their_numbers_and_gaps_say_how_much_they_leave_out() -> None:
    before = [f"line {n}" for n in range(1, 31)]
    after = [*before[:14], "other", *before[15:]]
    found = list(diff_lines(_source(before), _source(after)))
    assert [text(line) for line in found if line.kind == "gap"] == [
        "11 lines as in the starter",
        "12 lines as in the starter",
    ]
    assert [(line.kind, line.number) for line in found if line.kind in ("added", "removed")] == [
        ("removed", 15), ("added", 15),
    ]  # fmt: skip


def test_the_same_file_has_no_changes_but_one_gap() -> None:
    assert [text(line) for line in diff_lines(b"a\nb\n", b"a\nb\n")] == ["2 lines as in the starter"]


def test_bytes_that_are_not_text_and_signs_that_cannot_be_seen_are_written_out() -> None:
    (line,) = whole_lines(b"x = '\xff\xe2\x80\xae\x00\x1b[31m'\n")
    assert text(line) == "x = '\\xff\\u202e\\x00\\x1b[31m'"


def test_a_file_of_too_many_lines_is_compared_in_part() -> None:
    found = list(diff_lines(b"a\n", b"b\n" * (LINES_MAX + 5)))
    assert text(found[-1]) == "5 more lines are not compared" and len(found) < LINES_MAX + 5
