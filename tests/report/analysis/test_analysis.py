"""The analysis of a job: short on the console, whole in its files, and safe to read."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.job.parse import read_facts
from runner.records.episode import EpisodeSummary, ToolCall
from runner.records.events import Attempt as Tried
from runner.records.events import EndEvent, ResponseEvent, ToolResultEvent, TurnEvent
from runner.records.grading import Finding, Interval
from runner.records.run import JobConfig
from runner.records.syntax import SyntaxFacts
from runner.report.analysis.analysis import Analysis, analyze_job
from runner.report.analysis.effort import effort_of
from runner.report.analysis.strategies import KnownPart, effective_number
from runner.report.analysis.text import markdown, summary_lines
from tests.builders import make_grading, make_measured_run, make_run, make_ungraded

CONFIG = JobConfig(name="j", task="t", scale="small", target=33.0, runs=12)
HOSTILE = "\x1b[31m\u202e| a\nb"


def job(**more: object) -> Analysis:
    missing = Finding(check="component-present", subject="component", mark="fail", text="Missing", about=HOSTILE)
    ended = EpisodeSummary(turns=3, calls=2, seconds=9.0, ending=HOSTILE)
    runs = [
        make_measured_run(
            1, "passed", Interval(estimate=50.0, low=40.0, high=60.0, confidence=0.95, rounds=3, resolution=1.2)
        ),
        make_measured_run(
            2, "too_slow", Interval(estimate=30.0, low=25.0, high=32.0, confidence=0.95, rounds=3, resolution=1.1)
        ),
        make_run(3, make_grading("missing_component", missing)),
        replace(make_ungraded(4), episode=ended),
        make_ungraded(5, "infrastructure"),
    ]
    return analyze_job(CONFIG, runs, {}, **more)  # type: ignore[arg-type]


def test_the_summary_fits_on_a_screen_and_names_what_stands_out() -> None:
    lines = list(summary_lines(job(not_parsed="no engine")))
    assert len(lines) <= 40
    text = "\n".join(lines)
    assert "1 of 4 (25 %" in text and "Best: run 1, 50.00x" in text
    assert "Near miss: run 2, 30.00x against 33x, 1.0 times what could be told" in text
    assert "Convergence: not known, no engine" in text


def test_both_denominators_are_given() -> None:
    found = job()
    assert (found.of_counted.counted, found.of_all.counted) == (4, 5)


def test_failures_are_grouped_by_outcome_and_cause() -> None:
    found = {(failure.outcome, failure.runs) for failure in job().failures}
    assert found == {("too_slow", (2,)), ("missing_component", (3,)), ("no_submission", (4,)), ("infrastructure", (5,))}


def test_nothing_hostile_reaches_a_reader_raw() -> None:
    for text in (markdown(job()), "\n".join(summary_lines(job()))):
        assert "\x1b" not in text and "\u202e" not in text and "a\nb" not in text


def test_the_whole_can_be_written_as_json_and_read_again() -> None:
    written = json.loads(json.dumps(asdict(job()), allow_nan=False))
    assert written["schema"] == 1 and written["curve"]["ceiling"] == 0.5


@pytest.mark.parametrize("runs", [[], [make_ungraded(1)], [make_ungraded(1, "infrastructure")]])
def test_jobs_with_little_in_them_are_analysed_all_the_same(runs: list[object]) -> None:
    found = analyze_job(CONFIG, runs, {})  # type: ignore[arg-type]
    assert markdown(found).startswith("# What the runs of j say") and next(iter(summary_lines(found))) == "Analysis:"


def test_an_episodes_seconds_go_to_what_its_tools_are_for() -> None:
    calls = (ToolCall("1", "view", {}), ToolCall("2", "bash", {}), ToolCall("3", "create", {}))
    events = [
        ResponseEvent(turn=1, tries=(Tried(seconds=4.0), Tried(seconds=1.0))),
        TurnEvent(turn=1, say="", calls=calls),
        ToolResultEvent(call="1", text="", is_error=False, seconds=0.5),
        ToolResultEvent(call="2", text="", is_error=True, seconds=2.0),
        ToolResultEvent(call="3", text="", is_error=False, seconds=0.25),
        EndEvent(ending="submitted", seconds=9.0),
    ]
    found = effort_of(events)
    assert (found.turns, found.calls, found.errors, found.seconds) == (1, 3, 1, 9.0)
    assert found.by_kind == {"asking the model": 5.0, "reading": 0.5, "running": 2.0, "editing": 0.25}


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["lines", "shapes", "error", "x"]), inner, max_size=4)
    ),
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_a_parser_says_gives_facts(body: bytes) -> None:
    facts = read_facts(body)
    assert facts.lines >= 0 and len(facts.error) <= 300
    assert all(type(count) is int and count > 0 for count in facts.shapes.values())


def test_each_part_says_how_it_was_solved_what_came_of_it_and_what_nobody_tried() -> None:
    parts = [KnownPart(name="p", ways={"a": "Way A", "b": "Way B", "c": "Way C"})]
    matches = {1: {"p/a": "f()"}, 2: {"p/a": "f()", "p/b": "g()"}, 3: {"q/a": "h()"}}
    submissions = {run: SyntaxFacts(lines=10 * run, shapes={"x": 1}, matches=found) for run, found in matches.items()}
    (found,) = job(starter=SyntaxFacts(shapes={"y": 1}), submissions=submissions, parts=parts).parts
    assert [(way.id, way.runs, way.passed) for way in found.ways] == [
        ("a", (1, 2), 1),
        ("b", (2,), 0),
        ("novel", (3,), 0),
    ]
    assert found.untried == ("Way C",) and found.submissions == 3 and found.leading_share == pytest.approx(2 / 3)
    assert found.ways[0].speedups == (30.0, 50.0) and found.ways[0].lines == 15


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_the_effective_number_of_ways_lies_between_one_and_their_number(counts: list[int]) -> None:
    assert 1.0 <= effective_number(counts) <= len(counts) + 1e-9
