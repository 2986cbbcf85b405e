"""Where no time decides, the repetitions of a grading do, and they must agree."""

import pytest

from runner.grading.measurement import summarize_quality, summarize_times
from runner.grading.verdict import judge
from runner.records.grading import Ending, QualityRound, Rules, Sample
from runner.records.outcome import OutcomeKind

RULES = Rules(
    target=None, confidence=0.95, quality="Right cases", tolerance=None, minimum=0.8, rounds_max=12, seconds_max=60.0,
    edition=2, repetitions=3,
)  # fmt: skip
# How a repetition went: its quality, or how its sample ended.
Went = float | Ending


def outcome_of(*went: Went, last: bool = False) -> OutcomeKind | None:
    samples = [
        Sample(side="candidate", run=1, round=number, position=0, seconds=1.0,
               ending=one if isinstance(one, Ending) else Ending.ANSWERED)
        for number, one in enumerate(went, 1)
    ]  # fmt: skip
    rounds = [
        QualityRound(round=number, baseline=None, candidate=one, difference=one - 0.8, variance=0.0001)
        for number, one in enumerate(went, 1)
        if not isinstance(one, Ending)
    ]
    measured = summarize_times(samples, 1, RULES, [7] * len(went))
    judged = judge((), measured, summarize_quality(rounds, RULES), 1, RULES, len(went), last=last)
    return None if judged is None else judged.kind


@pytest.mark.parametrize(
    ("went", "kind"),
    [
        ((), None),
        ((1.0, 1.0), None),
        ((1.0, 1.0, 1.0), OutcomeKind.PASSED),
        ((0.1, 0.1), None),
        ((0.1, 0.1, 0.1), OutcomeKind.INACCURATE),
        ((1.0, 0.1), OutcomeKind.INCONCLUSIVE),
        ((1.0, 1.0, 0.1), OutcomeKind.INCONCLUSIVE),
        ((Ending.CRASHED, Ending.CRASHED), None),
        ((Ending.CRASHED,) * 3, OutcomeKind.CRASHED),
        ((Ending.TIMED_OUT,) * 3, OutcomeKind.TIMED_OUT),
        ((Ending.CRASHED, 1.0), OutcomeKind.INCONCLUSIVE),
        ((Ending.CRASHED, Ending.TIMED_OUT, Ending.CRASHED), OutcomeKind.INCONCLUSIVE),
    ],
)
def test_repetitions_decide_together(went: tuple[Went, ...], kind: OutcomeKind | None) -> None:
    assert outcome_of(*went) == kind


def test_too_few_repetitions_at_the_end_decide_nothing() -> None:
    assert outcome_of(1.0, 1.0, last=True) is OutcomeKind.INCONCLUSIVE


def test_a_quality_just_over_the_bar_is_not_shown_to_reach_it() -> None:
    assert outcome_of(0.801, 0.801, 0.801) is OutcomeKind.INCONCLUSIVE
