"""Jobs side by side: known intervals, what cannot be told, and what cannot be compared."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from runner.records.episode import EpisodeSummary
from runner.records.grading import Interval
from runner.records.run import JobConfig, Run
from runner.records.syntax import SyntaxFacts
from runner.report.analysis.analysis import analyze_job
from runner.report.analysis.compare import ComparedJob, compare_jobs, newcombe, welch
from runner.report.analysis.compare_text import comparison_lines
from runner.report.analysis.strategies import KnownPart
from tests.builders import make_measured_run, make_ungraded

CONFIG = JobConfig(name="one", task="t", scale="small", target=33.0, agent="model")
PARTS = [KnownPart(name="p", ways={"a": "Way A", "b": "Way B"})]


def measured(number: int, estimate: float, dollars: float) -> Run:
    interval = Interval(estimate=estimate, low=0.9 * estimate, high=1.1 * estimate, confidence=0.95, rounds=3)
    run = make_measured_run(number, "passed" if estimate > 33.0 else "too_slow", interval)
    return replace(run, episode=EpisodeSummary(turns=1, calls=1, seconds=1.0, ending="submitted", dollars=dollars))


def job(runs: list[Run], way: str = "a", **config: object) -> ComparedJob:
    asked = replace(CONFIG, **config)  # type: ignore[arg-type]
    facts = {run.number: SyntaxFacts(lines=9, shapes={"x": 1}, matches={f"p/{way}": "f()"}) for run in runs}
    analysis = analyze_job(asked, runs, {}, starter=SyntaxFacts(shapes={"y": 1}), submissions=facts, parts=PARTS)
    return ComparedJob(config=asked, runs=runs, analysis=analysis)


def test_newcombes_interval_is_the_one_of_his_article() -> None:
    assert newcombe((48, 80), (56, 70)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe((0, 10), (0, 10))[0] < 0.0 < newcombe((0, 10), (0, 10))[1]


@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9), st.integers(1, 9))
def test_a_difference_of_rates_lies_in_its_bounds_and_turns_round_with_the_jobs(a: int, b: int, c: int, d: int) -> None:
    first, second = (min(a, b), b), (min(c, d), d)
    low, high = newcombe(first, second)
    assert -1.0 - 1e-9 <= low <= second[0] / second[1] - first[0] / first[1] <= high <= 1.0 + 1e-9
    assert newcombe(second, first) == pytest.approx((-high, -low))


def test_newcombes_interval_holds_the_true_difference_nearly_always() -> None:
    rng, held, jobs = random.Random(3), 0, 1000
    for _ in range(jobs):
        first, second = (sum(rng.random() < rate for _ in range(10)) for rate in (0.3, 0.6))
        low, high = newcombe((first, 10), (second, 10))
        held += low <= 0.3 <= high
    assert held >= 0.93 * jobs


@pytest.mark.parametrize("values", [[1e308, 1e308, -1e308], [1e200, -1e200], [1e308, 1.0]])
def test_figures_beyond_measure_are_said_to_be_so(values: list[float]) -> None:
    assert welch([1.0, 2.0], values, "costs").not_compared == "the costs are too large to be computed with"


@pytest.mark.parametrize("scale", [1e-100, 1e-154, 1e-20, 1.0, 1e100])
def test_welchs_interval_grows_with_its_figures_however_small_they_are(scale: float) -> None:
    first, second = [27.5, 21.0, 19.0], [27.1, 22.0, 20.8, 23.4]
    plain = welch(first, second, "values")
    found = welch([scale * value for value in first], [scale * value for value in second], "values")
    assert plain.low is not None and found.low is not None
    assert found.low / scale == pytest.approx(plain.low)


def test_speed_ups_whose_bounds_no_figure_can_hold_are_said_to_be_so() -> None:
    near, far = (
        job([measured(1, 1e-300, 1.0), measured(2, 1e300, 1.0)]),
        job([measured(1, 1.0, 1.0), measured(2, 9.0, 1.0)]),
    )
    (found,) = compare_jobs([near, far]).against_first
    assert found.speedup.not_compared == "the measured speed-ups are too far apart to be computed with"


def test_ways_that_no_task_knows_are_never_said_to_be_the_same() -> None:
    runs = [measured(n, 40.0 + n, 1.0) for n in range(1, 4)]
    novel = job(runs, way="unheard-of")
    comparison = compare_jobs([novel, replace_name(novel, "two"), job(runs, name="three")])
    both, one = comparison.against_first
    assert comparison.jobs[0].novel == {"p": (1, 2, 3)} and comparison.jobs[0].ways == {"p": {}}
    assert both.novel == one.novel == ("p",) and both.only_one == () and one.only_one[0].second == ("Way A",)
    text = "\n".join(comparison_lines(comparison))
    assert "Ways: the same known ones in both\n  Solved in no known way, which is not compared: p" in text
    assert "P: only here Way A; only in one none\n  Solved in no known way" in text


def test_welchs_interval_is_the_one_that_scipy_gives() -> None:
    first, second = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9], [27.1, 22.0, 20.8, 23.4, 23.4]
    found, known = welch(first, second, "values"), stats.ttest_ind(second, first, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((known.low, known.high)) and not found.told
    assert welch([], [1.0], "values").not_compared and welch([1.0], [2.0], "values").low is None


def test_a_difference_that_is_clear_is_told_and_one_that_is_not_says_so() -> None:
    slow = job([measured(n, 20.0 + n, 1.0 + n / 10) for n in range(1, 9)])
    fast = job([measured(n, 90.0 + n, 3.0 + n / 10) for n in range(1, 9)], way="b", name="two")
    comparison = compare_jobs([slow, fast, replace_name(slow, "three")])
    clear, same = comparison.against_first
    assert clear.rate.told and clear.speedup.told and clear.dollars.told
    assert clear.speedup.estimate == pytest.approx(3.9, rel=0.05) and clear.dollars.estimate == pytest.approx(2.0)
    assert (clear.only_one[0].first, clear.only_one[0].second) == (("Way A",), ("Way B",))
    assert not same.rate.told and not same.speedup.told and same.only_one == ()
    text = "\n".join(comparison_lines(comparison))
    assert "P: only here Way B; only in one Way A" in text and "Ways: the same ones in both" in text
    assert "+0 points (95 %: -32 to +32): these runs cannot tell" in text


def replace_name(job: ComparedJob, name: str) -> ComparedJob:
    return replace(job, config=replace(job.config, name=name))


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        ({"task": "u"}, {"rate", "speedup", "ways"}),
        ({"scale": "full"}, {"rate", "speedup"}),
        ({"target": 3.0}, {"rate"}),
        ({"model": "m"}, set()),
    ],
)
def test_what_depends_on_what_differs_is_refused_and_the_rest_is_compared(
    config: dict[str, object], refused: set[str]
) -> None:
    runs = [measured(n, 40.0 + n, 1.0) for n in range(1, 4)]
    (found,) = compare_jobs([job(runs), job(runs, **config)]).against_first
    said = {
        "rate": found.rate.not_compared, "speedup": found.speedup.not_compared, "ways": found.ways_not_compared,
        "dollars": found.dollars.not_compared,
    }  # fmt: skip
    assert {name for name, reason in said.items() if reason} == refused


def test_jobs_without_runs_are_compared_in_nothing_and_hostile_names_are_escaped() -> None:
    empty = job([], name="\x1b[31m\u202e")
    spoiled = job([make_ungraded(1, "infrastructure")])
    text = "\n".join(comparison_lines(compare_jobs([empty, spoiled])))
    assert text.count("not compared") >= 3 and "\x1b" not in text and "\u202e" not in text
