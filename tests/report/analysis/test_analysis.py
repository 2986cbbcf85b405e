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
from runner.records.grading import Finding, Interval, Quality
from runner.records.outcome import OutcomeKind
from runner.records.run import JobConfig, SnapshotRecord
from runner.records.syntax import SyntaxFacts
from runner.report.analysis.analysis import Analysis, PooledJob, analyze_job
from runner.report.analysis.effort import effort_of
from runner.report.analysis.measured import mean_shares
from runner.report.analysis.notable import notable_runs
from runner.report.analysis.strategies import KnownPart, effective_number
from runner.report.analysis.text import markdown, short_summary_lines, summary_lines
from tests.builders import MEASUREMENT, make_grading, make_measured_run, make_outcome, make_run, make_ungraded
from tests.report.synthetic_jobs import make_measured

CONFIG = JobConfig(name="j", task="t", scale="small", target=33.0, runs=12)
SLOW = Interval(estimate=20.0, low=18.0, high=22.0, confidence=0.95, rounds=3, resolution=1.1)
FAST = replace(SLOW, estimate=60.0, low=55.0, high=65.0)
EPISODE = EpisodeSummary(turns=3, calls=2, seconds=9.0, ending="submitted")
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


def test_the_summary_fits_on_a_screen_whatever_there_is_to_say() -> None:
    kinds = [kind.value for kind in OutcomeKind]
    runs = [replace(make_measured_run(n, kinds[n % len(kinds)], SLOW), number=n, episode=EPISODE) for n in range(1, 41)]
    parts = [KnownPart(name=f"p{n}", ways={f"w{m}": f"Way {m}" for m in range(9)}, seen_known=True) for n in range(12)]
    matches = {f"p{n}/w{m}": "f()" for n in range(12) for m in range(9)}
    facts = {n: SyntaxFacts(lines=n, shapes={f"s{n}": 1}, matches=matches) for n in range(1, 31)}
    facts |= {n: SyntaxFacts(error="SyntaxError") for n in range(31, 41)}
    pooled = tuple(PooledJob(name=f"j{n}", first=n, last=n, runs=1) for n in range(1, 20))
    starter, missing = SyntaxFacts(shapes={"y": 1}), tuple(f"thing {n}" for n in range(9))
    effort = {1: effort_of([EndEvent(ending="submitted", seconds=9.0)])}
    found = analyze_job(
        CONFIG, runs, effort, starter=starter, submissions=facts, parts=parts, jobs=pooled, missing=missing
    )
    assert 30 < len(list(summary_lines(found))) <= 40 and len(list(short_summary_lines(found))) <= 9
    assert "and 5 more parts" in "\n".join(summary_lines(found))


def test_how_each_run_went_and_what_those_that_passed_have_in_common() -> None:
    states = [
        SnapshotRecord(turn=turn, sha256="0", bytes=1, outcome=make_outcome(kind), speedup=speed)
        for turn, kind, speed in ((2, "too_slow", SLOW), (4, "passed", FAST), (5, "passed", SLOW))
    ]
    passed = replace(make_run(1), episode=EPISODE, snapshots=tuple(states))
    failed = replace(make_ungraded(2), episode=replace(EPISODE, turns=9, ending="turns"))
    found = analyze_job(CONFIG, [passed, failed, make_ungraded(3, "infrastructure")], {})
    first, second = found.paths
    assert (first.first_file, first.first_passing, first.states, first.graded) == (2, 4, 3, 3)
    assert first.best == ((2, None), (4, FAST.estimate), (5, FAST.estimate)) and second.first_file is None
    turns = next(contrast for contrast in found.contrasts if contrast.what == "turns")
    assert (turns.passed, turns.failed) == (3.0, 9.0)
    assert "| 2 | turns | 9 | - | - | 0 (0) |" in markdown(found)


def test_what_something_else_than_speed_left_open_is_no_near_miss() -> None:
    open_quality = Quality(name="Accuracy", baseline=0.9, candidate=0.9, bar=0.8, tolerance=0.1, low=-0.2, high=0.1)
    doubts = make_grading("inconclusive", quality=open_quality, measurement=replace(MEASUREMENT, speedup=FAST))
    runs = [make_run(1, doubts), make_measured_run(2, "too_slow", SLOW)]
    assert [(run.title, run.run) for run in notable_runs(runs, 33.0, {}, {})] == [("Near miss", 2)]
    only_speed = replace(open_quality, low=-0.05)
    near = make_grading(
        "inconclusive", quality=only_speed, measurement=replace(MEASUREMENT, speedup=replace(FAST, low=30.0))
    )
    assert [run.run for run in notable_runs([*runs, make_run(3, near)], 33.0, {}, {})] == [3]


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


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf"), -1.0, 1e300])
def test_seconds_that_nothing_can_have_taken_are_not_counted(odd: float) -> None:
    events = [
        ResponseEvent(turn=1, tries=(Tried(seconds=odd), Tried(seconds=1.0))),
        TurnEvent(turn=1, say="", calls=(ToolCall("1", "bash", {}),)),
        ToolResultEvent(call="1", text="", is_error=False, seconds=odd),
        EndEvent(ending="submitted", seconds=odd),
    ]
    found = effort_of(events)
    assert found.seconds is None and found.by_kind == {"asking the model": 1.0, "running": 0.0}


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


def test_what_is_solved_in_no_known_way_is_grouped_and_shown_and_what_is_absent_is_kept_apart() -> None:
    parts = [KnownPart(name="p", ways={"a": "Way A"}, seen_known=True), KnownPart(name="q", ways={"a": "Way A"})]
    regions = {1: {"x": 3, "y": 1}, 2: {"x": 3, "y": 2}, 3: {"z": 2}}
    submissions = {
        run: SyntaxFacts(
            lines=9, shapes={"x": 1}, matches={"p/?": f"def f{run}():\n{HOSTILE}"}, regions={"p/?": shapes}
        )
        for run, shapes in regions.items()
    }
    submissions[4] = SyntaxFacts(lines=9, shapes={"x": 1}, matches={})
    found = job(starter=SyntaxFacts(shapes={"y": 1}), submissions=submissions, parts=parts)
    first, second = found.parts
    assert [(way.id, way.runs) for way in first.ways] == [("novel", (1, 2)), ("novel-2", (3,))]
    assert first.not_seen == (4,) and second.not_seen == () and second.ways[0].id == "novel"
    text = markdown(found)
    assert "    def f1():" in text and "Not seen in runs 4." in text and "\x1b" not in text and "\u202e" not in text
    assert "not seen 1; 50 % the same way" in "\n".join(summary_lines(found))


def test_parts_that_take_the_same_time_come_by_name() -> None:
    (profile,) = make_measured().profiles
    names = [f"part {letter}" for letter in "hgfedcba"]
    found = mean_shares(replace(profile, shares=(dict.fromkeys(names, 0.125),)))
    assert list(found) == sorted(names)


def test_a_name_keeps_its_letters_where_it_begins_a_line() -> None:
    parts = [KnownPart(name="fast FFT of RGB", ways={"a": "Way A"})]
    submissions = {1: SyntaxFacts(lines=1, shapes={"x": 1}, matches={"fast FFT of RGB/a": "f()"})}
    found = job(starter=SyntaxFacts(shapes={"y": 1}), submissions=submissions, parts=parts)
    assert "**Fast FFT of RGB**" in markdown(found) and "Fast FFT of RGB (1 " in "\n".join(summary_lines(found))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_the_effective_number_of_ways_lies_between_one_and_their_number(counts: list[int]) -> None:
    assert 1.0 <= effective_number(counts) <= len(counts) + 1e-9
