"""What a CI reads of a job, read again by others: junitparser, a Markdown parser, the form of GitHub's commands."""

import io
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from runner.export.github import ANNOTATIONS_MAX, ROWS_MAX, SUMMARY_BYTES_MAX, annotations, summary_markdown
from runner.export.junit import Suite, junit_xml
from runner.records.grading import Finding, Interval
from runner.records.outcome import PROPERTIES, OutcomeKind
from runner.report.console import Console
from runner.report.escape import shown, shown_lines
from tests.builders import MEASUREMENT, QUALITY, SUBMISSION, make_grading, make_run, make_ungraded

Run = Callable[..., CompletedProcess[str]]
EXAMPLE = "docs/examples/ten-runs"
HOSTILE = st.one_of(
    st.text(st.characters(), max_size=40),
    st.lists(
        st.sampled_from(["]]>", "<![CDATA[", "\x00", "\x1b[2J", "\ud800", "\ufffe", "\r\n", "\u2028", "\u202e", "::", "%0A",
                         "&amp;", "::error::x", "##[error]", "##[add-mask]", "##vso[a b=c]",
                         "#", " ", "```", "````", "~~~", "|", "[a](b)", "<script>", "# h", "\n- ",
                         "a,b:c", "\\"]),
        max_size=12,
    ).map("".join),
)  # fmt: skip


# What GitHub's runner takes for a command (its ActionCommand has both), and Azure's and TeamCity's.
COMMAND = re.compile(r"^\s*::|##[A-Za-z]*\[")


@given(HOSTILE, st.sampled_from(["", "  ", "1  | "]))
def test_no_text_that_is_shown_is_a_command_wherever_it_stands_on_its_line(text: str, before: str) -> None:
    lines = [*shown_lines(text), *shown_lines(text, None), shown(text)]
    assert not [line for line in lines if COMMAND.search(before + line)]


def test_headings_and_names_with_colons_are_shown_as_they_are() -> None:
    for text in (
        "## Heading",
        "### [link](x)",
        "std::vector<int>",
        "tests/a.py::test_b[1]",
        "a[0] ## b",
        "#[derive(x)]",
    ):
        assert shown(text) == text
    assert (shown("::error::x"), shown("x ##[group]y")) == ("\\x3a:error::x", "x \\x23#[group]y")


def suite(*texts: str) -> Suite:
    """Of a run for each text, which is its reason, its name and that of the suite; none of them passed."""
    runs = [make_run(n, make_grading("too_slow", reason=text)) for n, text in enumerate(texts, 1)]
    return Suite(
        name=texts[0], task=texts[0], runs=runs, names=dict(enumerate(texts, 1)), about={"model": texts[0] or "m"}
    )


def test_each_outcome_is_the_kind_of_case_that_it_should_be() -> None:
    import junitparser

    runs = [make_ungraded(number, kind) for number, kind in enumerate(OutcomeKind, 1)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "junit.xml"
        path.write_bytes(junit_xml(Suite(name="j", task="t", runs=runs, seconds=2.5, started="2026-01-01T00:00:00")))
        read = junitparser.JUnitXml.fromfile(str(path))
    (one,) = list(read)
    cases = list(one)
    assert (one.tests, one.failures, one.errors, one.skipped, one.time) == (
        len(PROPERTIES),
        len(PROPERTIES) - 3,
        1,
        1,
        2.5,
    )
    for run, case in zip(runs, cases, strict=True):
        kind = run.outcome.kind
        wanted = {
            OutcomeKind.PASSED: [],
            OutcomeKind.INFRASTRUCTURE: [junitparser.Error],
            OutcomeKind.INCONCLUSIVE: [junitparser.Skipped],
        }
        assert [type(result) for result in case.result] == wanted.get(kind, [junitparser.Failure])
        assert [result.type for result in case.result] == [kind.value] * len(case.result)
        assert [result.message for result in case.result] == ["because of this"] * len(case.result)
        assert (case.classname, case.name) == ("t", f"run {run.number}")


@given(st.lists(HOSTILE, min_size=1, max_size=4))
def test_no_text_breaks_the_xml_and_what_it_can_hold_is_kept(texts: list[str]) -> None:
    read = ElementTree.fromstring(junit_xml(suite(*texts)))
    cases = read.findall("./testsuite/testcase")
    assert len(cases) == len(texts) and {element.tag for element in read.iter()} <= {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "system-out"}  # fmt: skip
    for text, case in zip(texts, cases, strict=True):
        failure = case.find("failure")
        assert failure is not None and failure.get("type") == "too_slow"
        if not re.search("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text):
            assert case.get("name", "") == text == failure.get("message", "")


@given(st.lists(HOSTILE, min_size=1, max_size=4))
def test_no_text_is_markdown_in_the_summary(texts: list[str]) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(summary_markdown(suite(*texts)))
    assert [token.type for token in tokens].count("fence") == 1 and tokens[-1].type == "fence"
    assert len(tokens[-1].content.splitlines()) == len(texts)
    assert [token.type for token in tokens].count("tr_open") == 1 + len(texts)
    assert {token.type.removesuffix("_open").removesuffix("_close") for token in tokens} == {
        "heading", "inline", "paragraph", "table", "thead", "tbody", "tr", "th", "td", "fence"}  # fmt: skip
    inner = {child.type for token in tokens for child in token.children or ()}
    assert inner <= {"text", "text_special"}


@given(st.lists(HOSTILE, min_size=1, max_size=4))
def test_no_text_is_a_command_of_its_own_among_the_annotations(texts: list[str]) -> None:
    lines = annotations(suite(*texts))
    assert len(lines) == len(texts) + 1 and [line.startswith("::error ") for line in lines] == [True] * len(texts) + [
        False
    ]
    for line in lines:
        assert line.splitlines() == [line] and line.isprintable()
        assert re.fullmatch(r"::(error|notice) title=[^:,]*::.+", line)
        assert not re.search("%(?!25|3A|2C)", line)


@given(HOSTILE, st.sampled_from(OutcomeKind))
def test_no_text_on_the_console_begins_a_line_as_a_command_does(text: str, kind: OutcomeKind) -> None:
    findings = [
        Finding(check="c", subject="safety", mark=mark, text=text, evidence=text, origin="text", about=text)
        for mark in ("fail", "warn", "unchecked", "pass")
    ]
    run = make_run(1, make_grading(kind, *findings, reason=text))
    out = io.StringIO()
    console = Console(out, "Accuracy", target=33.0, verbose=True)
    console.run(replace(run, submission=replace(SUBMISSION, path=text, stored_at=text)))
    assert not [line for line in out.getvalue().splitlines() if COMMAND.search(line)]
    assert len(out.getvalue().splitlines()) > 4


def test_a_job_of_many_runs_with_long_texts_stays_under_what_github_takes() -> None:
    text = "\U0010fffd`|" * 1000
    many = suite(*[text] * (ROWS_MAX + 300))
    assert 100_000 < len(summary_markdown(many).encode()) < SUMMARY_BYTES_MAX
    assert "300 more runs" in summary_markdown(many)
    assert sum(line.startswith("::error") for line in annotations(many)) == ANNOTATIONS_MAX


def test_a_job_computed_again_is_told_to_a_ci(in_process: Run, tmp_path: Path) -> None:
    summary, junit = tmp_path / "summary.md", tmp_path / "new" / "junit.xml"
    summary.write_text("before\n\n")
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    done = in_process("regrade", EXAMPLE, "--offline", "--junit", str(junit), env=env)
    cases = ElementTree.parse(junit).getroot().findall(".//testcase")
    assert done.returncode == 0 and len(cases) == 10 and cases[0].get("classname") == "slow_ml_training_complex"
    assert summary.read_text().startswith("before\n\n### regrade") and "passed" in summary.read_text()
    assert "::error title=" in done.stderr and "::notice title=" in done.stderr and "::" not in done.stdout


def test_figures_that_are_not_known_are_left_out() -> None:
    bare = replace(MEASUREMENT, speedup=Interval(estimate=2.0, low=None, high=None, confidence=0.95, rounds=1))
    run = make_run(1, make_grading(measurement=bare, quality=replace(QUALITY, candidate=None, baseline=None)))
    one = Suite(name="j", task="t", runs=[run])
    assert ElementTree.fromstring(junit_xml(one)).findtext(".//system-out") == "speed-up 2"
    assert "| run 1 | passed | 2 |  |" in summary_markdown(one)


def test_nothing_is_told_where_nobody_asks(in_process: Run) -> None:
    done = in_process("regrade", EXAMPLE, "--offline", env={"GITHUB_STEP_SUMMARY": ""})
    assert done.returncode == 0 and "::" not in done.stderr


@pytest.mark.parametrize("what", ["no folder", "full"])
def test_a_file_that_cannot_be_written_is_said_and_changes_nothing_else(
    in_process: Run, project: Path, tmp_path: Path, what: str
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_bytes(b"x" * (SUMMARY_BYTES_MAX if what == "full" else 1))
    before = (project / EXAMPLE / "results.json").read_bytes()
    env = {"GITHUB_STEP_SUMMARY": str(in_the_way if what == "full" else in_the_way / "s.md")}
    done = in_process("regrade", EXAMPLE, "--offline", "--junit", str(in_the_way / "j.xml"), env=env)
    assert done.returncode == 0 and "every verdict follows" in done.stdout
    assert "no JUnit file: " in done.stderr and "no GitHub summary: " in done.stderr
    assert in_the_way.stat().st_size == (SUMMARY_BYTES_MAX if what == "full" else 1)
    assert (project / EXAMPLE / "results.json").read_bytes() == before
