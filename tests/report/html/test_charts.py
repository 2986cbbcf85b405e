"""Where the marks of a page's figures lie."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.records.grading import Interval
from runner.report.analysis.targets import range_for, rate_at, target_curve
from runner.report.html.charts import interval_chart, sample_chart, target_chart
from runner.report.html.heatmap import heatmap
from runner.report.html.scales import TICKS_MAX, LogScale
from tests.builders import make_measured_run, make_run, make_ungraded
from tests.report.synthetic_jobs import make_analysis, make_config, make_runs

RATIOS = st.floats(min_value=1e-6, max_value=1e9)


@given(st.lists(RATIOS, max_size=20))
def test_an_axis_holds_its_values_in_their_order(values: list[float]) -> None:
    scale = LogScale.over(values)
    places = [scale.at(value) for value in sorted(values)]
    assert places == sorted(places) and all(0.0 <= place <= 100.0 for place in places)
    assert len(scale.ticks("x")) <= TICKS_MAX and all(0.0 <= tick.at <= 100.0 for tick in scale.ticks("x"))


@pytest.mark.parametrize("values", [[], [0.0], [-1.0], [float("nan")], [float("inf")], [5.0], [1e-300, 1e300], [1e308]])
def test_an_axis_of_odd_values_is_still_one(values: list[float]) -> None:
    scale = LogScale.over(values)
    assert 0.0 < scale.low < scale.high and scale.at(0.0) == 0.0 and len(scale.ticks("s")) <= TICKS_MAX


def test_an_axis_of_a_decade_has_the_usual_values() -> None:
    assert [tick.words for tick in LogScale(low=1.0, high=12.0).ticks("x")] == ["1x", "2x", "5x", "10x"]


def test_the_fastest_run_comes_first_and_the_target_is_on_the_axis() -> None:
    slow = make_measured_run(1, "too_slow", Interval(estimate=10.0, low=9.0, high=11.0, confidence=0.97, rounds=3))
    fast = make_measured_run(2, "passed", Interval(estimate=50.0, low=40.0, high=60.0, confidence=0.97, rounds=3))
    once = make_measured_run(
        3, "missing_component", Interval(estimate=30.0, low=None, high=None, confidence=0, rounds=1)
    )
    chart = interval_chart([slow, fast, once, make_ungraded(4)], 33.0)
    assert [row.run for row in chart.rows] == [2, 3, 1] and chart.unmeasured == (4,)
    assert [row.tone for row in chart.rows] == ["good", "bad", "bad"] and chart.rows[1].low is None
    assert chart.rows[2].high < chart.target < chart.rows[0].low < chart.rows[0].at < chart.rows[0].high  # type: ignore[operator]


def test_the_steps_of_the_curve_are_its_rates() -> None:
    runs = make_runs(count=40)
    curve = target_curve(runs, 33.0)
    assert curve is not None
    chart = target_chart(curve, (0.1, 0.4), range_for(curve, (0.1, 0.4)))
    assert chart is not None and chart.rate == rate_at(curve, 33.0)
    assert [step.y for step in chart.steps] == sorted(step.y for step in chart.steps)
    assert chart.steps[0].x == 0.0 and sum(step.width for step in chart.steps) == pytest.approx(100.0, abs=0.5)
    assert chart.steps[0].y == round(chart.height * (1 - curve.ceiling), 1) and chart.steps[-1].y == chart.height


def test_a_curve_of_runs_that_were_not_measured_has_no_chart() -> None:
    curve = target_curve([make_ungraded(1), make_ungraded(2)], 33.0)
    assert curve is not None and target_chart(curve, (0.1, 0.4)) is None


def test_samples_that_runs_share_are_drawn_once_and_in_time_order() -> None:
    runs = [run for run in make_runs(count=4, rounds=2) if run.grading]
    chart = sample_chart(runs)
    assert chart is not None and chart.batches == 1
    assert sum(dot.kind == "baseline" for dot in chart.dots) == 2
    assert len(chart.dots) == 2 + 6 * len(runs) and chart.left_out == 0
    assert [dot.x for dot in chart.dots] == sorted(dot.x for dot in chart.dots)
    assert len(chart.separators) == 1 and sum(len(row.seconds) for row in chart.rows) == len(chart.dots)


def test_runs_without_samples_have_no_chart_of_them() -> None:
    assert sample_chart([make_run(1), make_ungraded(2)]) is None


def test_the_map_puts_those_of_a_group_side_by_side() -> None:
    runs = make_runs(count=10, families=3)
    found = make_analysis(make_config(), runs, families=3).convergence
    assert found is not None
    drawn = heatmap(found)
    assert drawn is not None and sorted(drawn.runs) == sorted(found.runs)
    assert drawn.runs == tuple(run for group in found.groups for run in group)
    for square in drawn.groups:
        assert drawn.runs[square.at : square.at + square.size] in found.groups
    assert all(drawn.figures[n][n] == (100, 10) for n in range(len(drawn.runs)))
    assert sum(path.count("M") for _, path in drawn.shades) == len(drawn.runs) ** 2
