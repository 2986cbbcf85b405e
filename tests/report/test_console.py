"""The report: every element of it, for every outcome; and no hostile text gets through as it is."""

import io
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.pass_rate import total
from runner.records.episode import Submission
from runner.records.grading import Certificate, Correctness, Finding, Interval, Measurement, Rules
from runner.records.outcome import MissingComponent, NoSubmission, Outcome, Passed, TooSlow
from runner.records.run import JobConfig, Run
from runner.report.console import Console, run_lines
from runner.report.escape import shown

OUTCOMES = [kind for part in get_args(Outcome) for kind in (get_args(part) or (part,))]
MEASURED = Measurement((), Interval(51.234, 47.5, 55.1, 0.97, 3), 15.0, 0.29, (1, 2, 3))
CORRECT = Correctness("Accuracy", 0.9, 0.8998, 0.88, 0.02)
FINDINGS = (
    Finding("source-text", "form", "pass", "UTF-8 text"),
    Finding("no-clock", "safety", "warn", "The text reads a clock"),
)


def run(outcome: Outcome, number: int = 1, findings: tuple[Finding, ...] = FINDINGS) -> Run:
    return Run(
        number, outcome, None, Submission("./x.py", b"1"), findings, MEASURED, CORRECT, stored_at="output/j/run_1/x.py"
    )


def text_of(entry: Run) -> str:
    return "\n".join(run_lines(entry, 33.0))


def test_a_pass_shows_every_figure() -> None:
    text = text_of(run(Passed("51.23x speedup with correct answers (target: 33.0x)")))
    for line in (
        "PERFORMANCE METRICS:",
        "    - Time:     15.00s",
        "    - Accuracy: 0.9000",
        "    - Time:     0.29s",
        "    - Accuracy: 0.8998",
        "    - Speedup:  51.23x (target: 33.0x)",
        "    - Interval: 47.50x to 55.10x (97.0% confidence, 3 rounds)",
        "    - Acc Diff: -0.0002 (tolerance: -0.0200)",
        "Running safety checks...",
        "    ✓ source-text: UTF-8 text",
        "    ⚠ no-clock: The text reads a clock",
        "  ✓ All safety checks passed",
        "✓ Run 1: SUCCESS - Got output/j/run_1/x.py",
    ):
        assert line in text.splitlines()


def test_a_pass_that_computes_something_else_says_so() -> None:
    other = Finding(
        "equivalence", "equivalence", "warn", "C.normalise computes something else", origin="data", about="C.normalise"
    )
    text = text_of(run(Passed("x"), findings=(other,)))
    assert "  ℹ It passes, but computes something else than the baseline in C.normalise" in text


def test_a_verdict_shows_its_resolution_its_certificate_and_its_attempt() -> None:
    measured = replace(MEASURED, speedup=Interval(51.0, 47.0, 55.0, 0.97, 2, resolution=1.082))
    rules = Rules(33.0, 0.95, "Accuracy", 0.02, None, 12, 3600.0, attempts=3, attempt=2)
    certified = replace(rules, certificate=Certificate("host-7", 0.001, 6, 0.0, 0.1))
    for held_to, words in ((rules, "no certificate of this host"), (certified, "certificate host-7")):
        text = text_of(replace(run(Passed("x")), measurement=measured, rules=held_to))
        assert f"Resolution: a factor of 1.08 could be told; {words}; attempt 2 of 3" in text


def test_a_missing_component_shows_what_the_speed_would_have_been() -> None:
    failed = Finding(
        "component-present", "component", "fail", "Missing required component: ComplexNN", about="ComplexNN"
    )
    text = text_of(run(MissingComponent(failed.text), 2, (failed,)))
    assert "    ✗ component-present:ComplexNN: Missing required component: ComplexNN" in text
    assert "  ℹ Achieved 51.23x speedup, but failed validation" in text
    assert "✗ Run 2: FAILURE - Missing required component: ComplexNN (expected: 33.0x or better)" in text


def test_a_run_without_a_submission_says_so() -> None:
    text = "\n".join(run_lines(Run(6, NoSubmission("the limit on turns was reached")), 33.0))
    assert "⚠ Agent did not submit an optimized file path (the limit on turns was reached)" in text
    assert "✗ Run 6: FAILURE - No answer submitted (expected: 33.0x or better)" in text


@pytest.mark.parametrize("kind", OUTCOMES)
def test_every_outcome_has_a_line_that_names_its_run(kind: type[Outcome]) -> None:
    last = [line for line in run_lines(run(kind("because of this"), 7), 33.0) if line][-1]
    assert last[0] in "✓✗?!" and "Run 7: " in last


@pytest.mark.parametrize("value", [-0.00001, 0.0, 0.00001])
def test_no_difference_has_no_minus(value: float) -> None:
    same = Correctness("Accuracy", 0.9, 0.9 + value, 0.88, 0.02)
    entry = Run(1, Passed("x"), None, None, (), MEASURED, same)
    assert "Acc Diff: +0.0000" in text_of(entry)


def test_the_totals_leave_out_what_counts_for_nobody() -> None:
    runs = [run(Passed("x")), run(TooSlow("x"), 2), *(run(kind("x"), 3) for kind in OUTCOMES[-2:])]
    out = io.StringIO()
    Console(out, 33.0, "Accuracy").totals(total(runs, 12.3), 6)
    for line in (
        "  Passed: 1/2",
        "  Failed: 1/2",
        "  Pass Rate: 50.0%",
        "  Not counted: 1 inconclusive, 1 infrastructure",
        "  Not finished: 2 of 6 runs (submissions that were collected are kept)",
        "  Total time: 12s, cost: $0.00",
    ):
        assert line in out.getvalue().splitlines()


def test_the_baseline_is_said_once() -> None:
    out = io.StringIO()
    console = Console(out, 33.0, "Accuracy")
    console.header(JobConfig("t", "d", "full", "scripted", 2, 1, "j", None, 12, 33.0, ""), "Title")
    console.run(run(Passed("x")))
    console.run(run(Passed("x"), 2))
    assert out.getvalue().count("Baseline: time=15.00s, accuracy=0.9000") == 1
    assert "Running 2 test iterations sequentially..." in out.getvalue()


@given(st.text(max_size=2000))
def test_hostile_text_is_one_printable_line(text: str) -> None:
    line = shown(text)
    assert len(line) <= 300 and len(line.splitlines()) <= 1 and line.isprintable()
    line.encode("utf-8")


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in text_of(run(TooSlow("\x1b[2J\x1b[31mPASSED\r\u202e")))
