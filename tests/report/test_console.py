"""The report of a job: what a person needs of every outcome, and no more; and no hostile text gets through as it is."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.pass_rate import summarize_runs
from runner.records.episode import EpisodeSummary
from runner.records.grading import Certificate, Finding, Interval, Quality
from runner.records.outcome import OutcomeKind
from runner.records.run import JobConfig, Run, SnapshotRecord, Totals
from runner.report.console import Console
from runner.report.escape import shown
from runner.report.run_view import run_lines, summary_of, table_lines
from runner.store.jobs import read_job
from tests.builders import MEASUREMENT, RULES, make_grading, make_outcome, make_run, make_ungraded

PASSED_CHECK = Finding(check="source-text", subject="form", mark="pass", text="UTF-8 text")
WARNING = Finding(check="no-clock", subject="safety", mark="warn", text="The text reads a clock")
FAILED = Finding(
    check="component-present",
    subject="component",
    mark="fail",
    text="Missing required component: ComplexNN",
    about="ComplexNN",
)


def text_of(run: Run, *, verbose: bool = False, snapshots: bool = False) -> str:
    return "\n".join(line.plain for line in run_lines(run, target=33.0, verbose=verbose, snapshots=snapshots))


def test_a_pass_shows_every_figure() -> None:
    reason = "51.23x speedup with correct answers (target: 33.0x)"
    text = text_of(make_run(1, make_grading("passed", PASSED_CHECK, WARNING, reason=reason)))
    for line in (
        "Graded output/j/run_1/x.py (submitted as ./x.py)",
        "  PERFORMANCE METRICS:",
        "    Baseline:  Time 15.00s, Accuracy 0.9000",
        "    Optimized: Time 0.29s, Accuracy 0.8998",
        "    Speedup:   51.23x (target: 33.0x), 47.50x to 55.10x at 97.0% confidence in 3 rounds",
        "    Acc Diff:  -0.0002 (tolerance: -0.0200)",
        "  ⚠ The text reads a clock",
        "  ✓ All safety checks passed",
        f"✓ Run 1: SUCCESS - {reason} - Got output/j/run_1/x.py",
    ):
        assert line in text.splitlines()


def test_passed_checks_are_listed_only_when_asked_for() -> None:
    run = make_run(1, make_grading("passed", PASSED_CHECK, WARNING))
    assert "source-text" not in text_of(run)
    verbose = text_of(run, verbose=True)
    assert "    ✓ source-text: UTF-8 text" in verbose and "    ⚠ no-clock: The text reads a clock" in verbose


def test_states_of_the_file_are_shown_only_when_asked_for() -> None:
    first = SnapshotRecord(turn=2, sha256="a", bytes=1, tokens=10, dollars=0.5, outcome=make_outcome(),
                           speedup=Interval(estimate=3.2, low=None, high=None, confidence=0.95, rounds=1))  # fmt: skip
    second = replace(
        first,
        turn=4,
        outcome=make_outcome("too_slow"),
        speedup=Interval(estimate=1.1, low=None, high=None, confidence=0.95, rounds=1),
    )
    run = replace(make_run(), snapshots=(first, second))
    assert "best" not in text_of(run)
    lines = [line.split() for line in text_of(run, snapshots=True).splitlines()]
    assert ["2", "10", "$0.5000", "passed", "3.20x", "3.20x"] in lines
    assert ["4", "10", "$0.5000", "too", "slow", "1.10x", "3.20x"] in lines


def test_a_resolution_a_certificate_and_an_attempt_are_shown_when_asked_for() -> None:
    measured = replace(
        MEASUREMENT, speedup=Interval(estimate=51.0, low=47.0, high=55.0, confidence=0.97, rounds=2, resolution=1.082)
    )
    rules = replace(RULES, attempts=3, attempt=2)
    certified = replace(
        rules, certificate=Certificate(id="host-7", variance=0.001, df=6, sentinel_log_mean=0.0, sentinel_log_sd=0.1)
    )
    for held_to, words in ((rules, "no certificate of this host"), (certified, "certificate host-7")):
        run = make_run(1, make_grading(measurement=measured, rules=held_to))
        assert f"Resolution: a factor of 1.08 could be told; {words}; attempt 2 of 3" in text_of(run, verbose=True)
        assert "Resolution" not in text_of(run)


def test_a_failed_check_is_said_once_beside_what_the_speed_would_have_been() -> None:
    text = text_of(make_run(2, make_grading("missing_component", FAILED, PASSED_CHECK, reason=FAILED.text)))
    assert text.count("Missing required component: ComplexNN") == 1
    assert "  ✗ Safety check failed: Missing required component: ComplexNN" in text
    assert "achieved 51.23x speedup, but failed validation (expected: 33.0x or better)" in text.splitlines()[-1]


def test_a_run_without_a_submission_says_so() -> None:
    text = text_of(make_ungraded(6, reason="the limit on turns was reached"))
    expected = "✗ Run 6: FAILURE - No answer submitted: the limit on turns was reached (expected: 33.0x or better)"
    assert text.splitlines() == [expected]


@pytest.mark.parametrize("kind", OutcomeKind)
def test_every_outcome_has_one_line_that_names_its_run(kind: OutcomeKind) -> None:
    lines = [line for line in text_of(make_run(7, make_grading(kind))).splitlines() if "Run 7: " in line]
    assert len(lines) == 1 and lines[0][0] in "✓✗?!" and "because of this" in lines[0]


def test_a_fault_of_the_host_says_what_to_do() -> None:
    run = make_ungraded(1, "infrastructure", "no engine")
    assert "  hint: start it" in text_of(replace(run, outcome=replace(run.outcome, hint="start it"))).splitlines()


@pytest.mark.parametrize("value", [-0.00001, 0.0, 0.00001])
def test_no_difference_has_no_minus(value: float) -> None:
    same = Quality(name="Accuracy", baseline=0.9, candidate=0.9 + value, bar=0.88, tolerance=0.02)
    assert "Acc Diff:  +0.0000" in text_of(make_run(1, make_grading(quality=same)))


def test_what_was_not_checked_is_said_with_its_reason_and_gets_no_tick() -> None:
    lacking = Finding(
        check="processes", subject="safety", mark="unchecked", text="The engine gave no count", origin="engine"
    )
    run = make_run(1, make_grading("passed", PASSED_CHECK, lacking))
    said = text_of(run)
    assert "– Not checked: processes: The engine gave no count" in said
    assert "✓ All safety checks that could be made passed" in said and "All safety checks passed" not in said
    assert "– processes: The engine gave no count" in text_of(run, verbose=True)


def end_of(runs: list[Run], totals: Totals | None = None, asked: int = 2) -> list[str]:
    out = io.StringIO()
    Console(out, "Accuracy").end(runs, totals or summarize_runs(runs, 12.3), asked, Path("output/j/results.json"))
    return out.getvalue().splitlines()


def test_the_totals_leave_out_what_counts_for_nobody() -> None:
    kinds = ("passed", "too_slow", "inconclusive", "infrastructure")
    lines = end_of([make_run(number, make_grading(kind)) for number, kind in enumerate(kinds, 1)], asked=6)
    for line in (
        "  Passed: 1/2",
        "  Failed: 1/2",
        "  Pass Rate: 50.0%",
        "  Not counted: 1 inconclusive, 1 infrastructure",
        "  Not finished: 2 of 6 runs (submissions that were collected are kept)",
        "  Total time: 12s",
        "Results: output/j/results.json",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("low", "high", "words"), [(0.4, 0.4, ""), (None, None, ""), (0.2, 0.6, "measurement noise alone: 20.0% to 60.0%")]
)
def test_what_noise_could_have_changed_is_said_only_where_it_could(
    low: float | None, high: float | None, words: str
) -> None:
    totals = Totals(runs=2, counted=2, passed=1, failed=1, pass_rate=0.5, pass_rate_low=low, pass_rate_high=high)
    (line,) = [line for line in end_of([make_run()], totals) if "Pass Rate" in line]
    assert ("noise" in line) == bool(words) and words in line


def test_the_table_has_a_line_for_each_run_and_no_column_that_nobody_filled() -> None:
    episode = EpisodeSummary(turns=3, calls=4, seconds=9.0, ending="submitted")
    free = [line.plain for line in table_lines([summary_of(make_run(1, episode=episode))], "Accuracy")]
    assert free[1].split() == ["1", "passed", "51.23x", "47.50x-55.10x", "0.8998", "3", "9s", "submitted"]
    assert "cost" not in free[0]
    paid = replace(episode, dollars=0.25)
    assert "$0.2500" in [line.plain for line in table_lines([summary_of(make_run(1, episode=paid))], "Accuracy")][1]


def test_ten_runs_fit_on_140_lines_and_name_no_passed_check(project: Path) -> None:
    job = read_job(project / "tests" / "old_jobs" / "flagship")
    assert job.config is not None and job.totals is not None and len(job.runs) == 10
    out = io.StringIO()
    console = Console(out, "Accuracy", target=job.config.target)
    console.header(job.config, "Title")
    for run in job.runs.values():
        console.run(run)
    console.end(list(job.runs.values()), job.totals, 10, Path("output/j/results.json"))
    text = out.getvalue()
    assert text.count("\n") <= 140
    passed = [f.text for run in job.runs.values() if run.grading for f in run.grading.findings if f.mark == "pass"]
    assert len(passed) > 100 and not any(finding in text for finding in passed)
    assert text.count("All safety checks passed") == 5


def test_the_baseline_is_said_once() -> None:
    out = io.StringIO()
    console = Console(out, "Accuracy")
    console.header(JobConfig(task="t", scale="full", agent="scripted", runs=2, concurrency=1), "Title")
    console.run(make_run(1))
    console.run(make_run(2))
    assert out.getvalue().count("Baseline: time=15.00s, accuracy=0.9000") == 1
    assert "Running 2 test iterations sequentially..." in out.getvalue()


@given(st.text(max_size=2000))
def test_hostile_text_is_one_printable_line(text: str) -> None:
    line = shown(text)
    assert len(line) <= 300 and len(line.splitlines()) <= 1 and line.isprintable()
    line.encode("utf-8")


@given(st.text(max_size=500))
def test_no_text_of_a_guest_reaches_the_terminal_as_it_is(text: str) -> None:
    finding = Finding(check=text, subject="safety", mark="fail", text=text)
    run = make_run(
        1,
        make_grading("unsafe", finding, reason=text),
        EpisodeSummary(turns=1, calls=1, seconds=1.0, ending=text, facts={text: text}),
    )
    assert run.submission is not None
    run = replace(run, submission=replace(run.submission, path=text, stored_at=""))
    lines = [*run_lines(run), *run_lines(run, verbose=True), *table_lines([summary_of(run)], text)]
    assert all(line.plain.isprintable() for line in lines)
