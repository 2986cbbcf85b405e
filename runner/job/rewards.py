"""What a grading is worth to a trainer: a number by the name of its rule, or None where the host spoiled it. Pure.

No rule pays less for a file that is honest and slow than for one that failed a check: a trainer would learn to fail checks.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from runner.faults import UsageFault
from runner.records.grading import Finding, Grading
from runner.records.outcome import PROPERTIES, Outcome, OutcomeKind
from runner.tasks.task import Task

RewardName = Literal["pass", "log_speedup", "margin"]
# Outcomes of files that passed every check, so that their speed may be paid. An `unstable` file's bound is one that its own
# times contradict: paying for it would teach to be fast now and then.
PAID_FOR_SPEED = (OutcomeKind.PASSED, OutcomeKind.TOO_SLOW)


@dataclass(frozen=True, slots=True)
class Graded:
    """A file that was graded, as a trainer needs it.

    Attributes:
        outcome: how it ended, with the reason, and a hint where the host is the cause.
        reward: by the rule that was asked for; None where the host, not the file, is the cause that there is none. Never 0
            for that: leave such an episode out of the batch, or grade it again.
        speedup: baseline time over the file's time, geometric mean over the rounds; None without a measurement.
        low, high: confidence bounds of the speed-up; None where there are too few rounds for them.
        findings: every check that was made; their texts may hold names from the file, so hostile text.
    """

    outcome: Outcome
    reward: float | None
    speedup: float | None = None
    low: float | None = None
    high: float | None = None
    findings: tuple[Finding, ...] = ()


def graded_of(grading: Grading, rule: RewardName, target: float | None) -> Graded:
    """A grading with its reward.

    Args:
        target: the speed-up asked for, a ratio; None where quality alone counts.
    """
    interval = grading.measurement.speedup if grading.measurement is not None else None
    low = interval.low if interval is not None else None
    return Graded(
        outcome=grading.outcome,
        reward=reward_by_rule(rule, grading.outcome.kind, low, target),
        speedup=interval.estimate if interval is not None else None,
        low=low,
        high=interval.high if interval is not None else None,
        findings=grading.findings,
    )


def reward_by_rule(rule: RewardName, kind: OutcomeKind, low: float | None, target: float | None) -> float | None:
    """The reward of an outcome.

    `pass`: 1 for `passed`, else 0. `log_speedup`: natural logarithm of the speed-up's lower bound, at least 0; 0 where a
    check failed. `margin`: where that bound lies between the baseline's speed (-1), the target (0) and as far again beyond
    it (1), on a logarithmic scale and cut off at both ends; -1 where a check failed.

    Args:
        low: lower bound of the speed-up, a ratio; None: nothing is shown.
        target: a ratio; only `margin` needs one.

    Returns:
        None for an outcome that is the host's doing, by any rule.
    """
    passed = PROPERTIES[kind].reward
    if passed is None or rule == "pass":
        return passed
    shown = math.log(low) if low is not None and low > 0 and kind in PAID_FOR_SPEED else 0.0
    if rule == "log_speedup":
        return max(0.0, shown)
    if target is None or target <= 1.0:
        raise ValueError(f"there is no margin to a target of {target}")
    return min(1.0, max(-1.0, max(0.0, shown) / math.log(target) - 1.0))


def check_rule(rule: str, task: Task, scale: str) -> None:
    """Check, before anything starts, that a task's gradings have this reward.

    Raises:
        UsageFault: there is no such rule, or the task has no target on speed that it needs.
    """
    names = get_args(RewardName)
    if rule not in names:
        raise UsageFault(cause=f"there is no reward {rule!r}", hint=f"choose one of: {', '.join(names)}")
    target = task.target(scale)
    if rule != "pass" and target is None:
        raise UsageFault(cause=f"task {task.name} has no speed-up to reward", hint='choose reward="pass"')
    if rule == "margin" and (target or 0.0) <= 1.0:
        raise UsageFault(cause=f"task {task.name} asks for a speed-up of {target}: no margin lies between it and the "
                         "baseline's", hint='choose reward="pass" or "log_speedup"')  # fmt: skip
