"""What an outcome is worth, by each rule: a table of all of them."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from runner.faults import UsageFault
from runner.job.rewards import RewardName, check_rule, graded_of, reward_by_rule
from runner.job.setup import load_task
from runner.records.grading import Finding, Interval
from runner.records.outcome import OutcomeKind, properties
from runner.settings import Settings
from runner.tasks.task import Task
from tests.builders import MEASUREMENT, make_grading

# At a lower bound of 9 and a target of 3: (pass, log_speedup, margin).
SLOW = (0.0, math.log(9.0), 1.0)
FAILED = (0.0, 0.0, -1.0)
SPOILED = (None, None, None)
WORTH: dict[OutcomeKind, tuple[float | None, float | None, float | None]] = {
    OutcomeKind.PASSED: (1.0, math.log(9.0), 1.0),
    OutcomeKind.TOO_SLOW: SLOW,
    OutcomeKind.UNSTABLE: FAILED,
    OutcomeKind.INACCURATE: FAILED,
    OutcomeKind.MISSING_COMPONENT: FAILED,
    OutcomeKind.NOT_EQUIVALENT: FAILED,
    OutcomeKind.UNSAFE: FAILED,
    OutcomeKind.CRASHED: FAILED,
    OutcomeKind.TIMED_OUT: FAILED,
    OutcomeKind.OUT_OF_MEMORY: FAILED,
    OutcomeKind.BAD_ANSWER: FAILED,
    OutcomeKind.BUILD_FAILED: FAILED,
    OutcomeKind.SANDBOX_BROKEN: FAILED,
    OutcomeKind.NO_SUBMISSION: FAILED,
    OutcomeKind.INCONCLUSIVE: SPOILED,
    OutcomeKind.INFRASTRUCTURE: SPOILED,
}
RULES: tuple[RewardName, ...] = ("pass", "log_speedup", "margin")


@pytest.mark.parametrize("kind", OutcomeKind)
def test_every_outcome_has_its_worth_by_every_rule(kind: OutcomeKind) -> None:
    assert tuple(reward_by_rule(rule, kind, 9.0, 3.0) for rule in RULES) == pytest.approx(WORTH[kind])


@pytest.mark.parametrize("kind", OutcomeKind)
@pytest.mark.parametrize("rule", RULES)
def test_what_the_host_spoiled_has_no_reward_and_all_else_has_one(kind: OutcomeKind, rule: RewardName) -> None:
    spoiled = properties(make_grading(kind).outcome).by == "host"
    assert (reward_by_rule(rule, kind, None, 3.0) is None) is spoiled


@pytest.mark.parametrize("low", [None, 0.0, 1e-9, 0.5, 1.0])
@pytest.mark.parametrize("rule", RULES)
def test_to_be_slow_pays_no_less_than_to_fail_a_check(low: float | None, rule: RewardName) -> None:
    slow, unsafe = (reward_by_rule(rule, kind, low, 3.0) for kind in (OutcomeKind.TOO_SLOW, OutcomeKind.UNSAFE))
    assert slow is not None and unsafe is not None and slow >= unsafe


@pytest.mark.parametrize(("low", "margin"), [(0.5, -1.0), (1.0, -1.0), (math.sqrt(3.0), -0.5), (3.0, 0.0), (81.0, 1.0)])
def test_the_margin_goes_from_the_baselines_speed_over_the_target_as_far_again(low: float, margin: float) -> None:
    assert reward_by_rule("margin", OutcomeKind.TOO_SLOW, low, 3.0) == pytest.approx(margin)


def test_a_grading_keeps_its_interval_and_its_findings() -> None:
    finding = Finding(check="component-works", subject="component", mark="pass", text="it works")
    graded = graded_of(make_grading("passed", finding), "log_speedup", 33.0)
    assert (graded.speedup, graded.low, graded.high) == (51.234, 47.5, 55.1)
    assert graded.reward == pytest.approx(math.log(47.5)) and graded.findings == (finding,)


def test_a_grading_without_bounds_or_times_is_worth_no_speed() -> None:
    unbounded = replace(MEASUREMENT, speedup=Interval(estimate=2.0, low=None, high=None, confidence=0.95, rounds=1))
    assert graded_of(make_grading("too_slow", measurement=unbounded), "log_speedup", 33.0).reward == 0.0
    graded = graded_of(make_grading("crashed", measurement=None), "margin", 33.0)
    assert (graded.reward, graded.speedup) == (-1.0, None)


def test_an_unknown_reward_is_refused_with_the_known_ones(nbody: Task) -> None:
    check_rule("margin", nbody, "small")
    with pytest.raises(UsageFault, match=r"no reward 'speed'.*pass, log_speedup, margin"):
        check_rule("speed", nbody, "small")


@pytest.mark.parametrize(("target", "rule"), [("", "log_speedup"), ("", "margin"), ("target = 0.9", "margin")])
def test_a_task_without_a_target_has_no_reward_for_speed(project: Path, tmp_path: Path, target: str, rule: str) -> None:
    folder = tmp_path / "task"
    shutil.copytree(project / "problem_data" / "slow_nbody", folder)
    path = folder / "task.toml"
    path.write_text(path.read_text().replace("target = 3.0", target).replace("speedup = 12.0\n", ""))
    with pytest.raises(UsageFault, match="pass"):
        check_rule(rule, load_task(Settings(), str(folder)), "small")
