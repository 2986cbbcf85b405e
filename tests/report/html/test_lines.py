"""Lines in pieces: nothing is lost, nothing is longer than was said, and no line takes long."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from runner.report.html.lines import LINE_MAX, TOKENS, Line, Piece, code, cut, from_terminal, shortened


@given(st.text())
def test_the_pieces_of_a_line_of_code_are_the_line(text: str) -> None:
    assert "".join(piece.text for piece in code(text)) == text


def test_a_line_of_code_has_its_words_named() -> None:
    pieces = code("for x in 'a b': y = 2.5  # all of it")
    assert [(p.kind, p.text) for p in pieces if p.kind] == [
        ("keyword", "for"), ("keyword", "in"), ("string", "'a b'"), ("number", "2.5"), ("comment", "# all of it"),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["'", '"', "#", "'\"", "\\'", "0", "for ", "a1."])
def test_no_line_takes_more_than_its_length(unit: str) -> None:
    """Twenty times the text would take four hundred times as long if anything looked back."""
    few, many = (_seconds_for(unit * count) for count in (10_000, 200_000))
    assert many < 150 * few


def _seconds_for(text: str) -> float:
    """CPU seconds, the least of three: this machine may do something else, too."""
    taken = []
    for _ in range(3):
        start = time.thread_time()
        sum(1 for _ in TOKENS.finditer(text))
        taken.append(time.thread_time() - start)
    return min(taken)


def test_a_long_line_says_how_much_is_left_out() -> None:
    assert shortened("x" * LINE_MAX) == "x" * LINE_MAX
    assert shortened("x" * (LINE_MAX + 7)) == "x" * LINE_MAX + " … 7 more characters"


def test_what_there_is_no_room_for_is_not_even_made() -> None:
    def lines() -> object:
        yield line
        yield line
        raise AssertionError("a third line was asked for")

    line = Line(pieces=(Piece("", "x" * 100),))
    found = cut(lines(), line.bytes_max + 10)  # type: ignore[arg-type]
    assert found.lines == (line,) and found.more
    assert not cut([line], line.bytes_max).more


def test_a_terminals_colours_become_classes() -> None:
    text = Text.assemble(("  │ ", "dim"), "plain", (" end", "red"))
    (line,) = from_terminal([text])
    assert line.pieces == (Piece("dim", "  │ "), Piece("", "plain"), Piece("bad", " end"))


def test_a_terminals_long_line_is_shortened_within_its_spans() -> None:
    (line,) = from_terminal([Text.assemble(("a" * (LINE_MAX - 1), "dim"), ("b" * 50, "red"))])
    assert [piece.kind for piece in line.pieces[:2]] == ["dim", "bad"]
    assert "".join(piece.text for piece in line.pieces).startswith("a" * (LINE_MAX - 1) + "b … 49 more characters")
