"""Hostile text in a document: nothing but text."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from runner.records.grading import Finding
from runner.records.syntax import SyntaxFacts
from runner.report.analysis.analysis import analyze_job
from runner.report.analysis.strategies import KnownPart
from runner.report.analysis.tables import table
from runner.report.analysis.text import markdown
from runner.report.escape import in_markdown, shown
from tests.builders import make_grading, make_run
from tests.report.synthetic_jobs import make_config, make_measured

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SIGNS = st.text(st.sampled_from("ab_*`[](){}<>&#+-=|~!\\\"'.:;/ \n"), max_size=30)
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://z) __a__ `b` **c** | d \\| # e"


def words_of(tokens: list[Token]) -> str:
    """The text of a line; whatever is no text is named."""
    inner = [child for token in tokens for child in token.children or []]
    return "".join(token.content if token.type in ("text", "text_special") else f"<{token.type}>" for token in inner)


@given(SIGNS)
@example("__init__ and _x_ and a_b_c")
@example("&lt;b&gt; \\&amp; \\\\*")
@example("# not a heading")
@example("- not a list")
def test_a_line_of_a_document_is_the_text_that_is_shown(text: str) -> None:
    line = shown(text).strip()
    assert words_of(MARKDOWN.parse(f"Said: {in_markdown(line)}")) == f"Said: {line}".strip()


@pytest.mark.parametrize("text", ["# a", "### a", "- a", "+ a", "* a", "> a", "<b>", "~~~", "```", "***", "__a__"])
def test_a_line_that_begins_a_document_begins_nothing_else(text: str) -> None:
    tokens = MARKDOWN.parse(in_markdown(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert words_of(tokens) == text


@given(st.lists(SIGNS, min_size=1, max_size=3))
def test_a_cell_of_a_table_is_the_text_that_is_shown(texts: list[str]) -> None:
    cells = [shown(text).strip() for text in texts]
    document = "\n".join(table(tuple("x" for _ in cells), [tuple(cells)]))
    rows = [token for token in MARKDOWN.parse(document) if token.type == "inline"][len(cells) :]
    assert [words_of([row]) for row in rows] == cells


def test_nothing_hostile_is_markup_in_the_document_of_an_analysis() -> None:
    finding = Finding(check="c", subject="component", mark="fail", text="", about=HOSTILE)
    measured = make_measured()
    hostile = replace(
        measured,
        ablations=(replace(measured.ablations[0], title=HOSTILE), replace(measured.ablations[1], reason=HOSTILE)),
        missed=(replace(measured.missed[0], reason=HOSTILE, title=HOSTILE),),
        profiles=(replace(measured.profiles[0], title=HOSTILE, reason=HOSTILE),),
    )
    analysis = analyze_job(
        make_config(runs=2, name=HOSTILE, task=HOSTILE),
        [make_run(1, make_grading("missing_component", finding)), make_run(2)],
        {},
        starter=SyntaxFacts(shapes={"y": 1}),
        submissions={
            1: SyntaxFacts(lines=1, shapes={"x": 1}, matches={"p/?": HOSTILE}),
            2: SyntaxFacts(error=HOSTILE),
        },
        parts=(KnownPart(name=HOSTILE, ways={"a": HOSTILE}), KnownPart(name="p", ways={"a": HOSTILE}, seen_known=True)),
        missing=(HOSTILE,),
        measured=hostile,
    )
    tokens = MARKDOWN.parse(markdown(analysis))
    kinds = {token.type for token in tokens} | {inner.type for token in tokens for inner in token.children or []}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline", "em_open", "fence", "s_open"}
    assert "<script>" in words_of(tokens)
