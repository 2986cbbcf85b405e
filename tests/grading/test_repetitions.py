"""Where no time decides, the repetitions of a grading do, and to pass they must agree."""

from dataclasses import replace

import pytest

from runner.grading.measurement import summarize_quality, summarize_times
from runner.grading.verdict import EDITION, judge
from runner.records.grading import Ending, QualityRound, Rules, Sample
from runner.records.outcome import OutcomeKind

RULES = Rules(
    target=None, confidence=0.95, quality="Right cases", tolerance=None, minimum=0.8, rounds_max=12, seconds_max=60.0,
    edition=EDITION, repetitions=3,
)  # fmt: skip
# How a repetition went: its quality, how its sample ended, or that its time was up while others had the CPU.
HELD_UP = "held up"
Went = float | Ending | str


def sample(number: int, went: Went) -> Sample:
    ended = went if isinstance(went, Ending) else Ending.TIMED_OUT if went == HELD_UP else Ending.ANSWERED
    return Sample(
        side="candidate", run=1, round=number, position=0, ending=ended, seconds=1.0, cpu_s=0.1,
        others_s=0.8 if went == HELD_UP else 0.0,
    )  # fmt: skip


def outcome_of(*went: Went, last: bool = False, rules: Rules = RULES) -> OutcomeKind | None:
    samples = [sample(number, one) for number, one in enumerate(went, 1)]
    rounds = [
        QualityRound(round=number, baseline=None, candidate=one, difference=one - 0.8, variance=0.0001)
        for number, one in enumerate(went, 1)
        if isinstance(one, float)
    ]
    measured = summarize_times(samples, 1, rules, [7] * len(went))
    judged = judge((), measured, summarize_quality(rounds, rules), 1, rules, len(went), last=last)
    return None if judged is None else judged.kind


@pytest.mark.parametrize(
    ("went", "kind"),
    [
        ((), None),
        ((1.0, 1.0), None),
        ((1.0, 1.0, 1.0), OutcomeKind.PASSED),
        ((0.1, 0.1), None),
        ((0.1, 0.1, 0.1), OutcomeKind.INACCURATE),
        ((0.79, 0.79, 0.79), OutcomeKind.INACCURATE),
        ((Ending.CRASHED,), OutcomeKind.CRASHED),
        ((Ending.TIMED_OUT,), OutcomeKind.TIMED_OUT),
        ((HELD_UP, HELD_UP), None),
        ((HELD_UP,) * 3, OutcomeKind.TIMED_OUT),
    ],
)
def test_repetitions_decide_together(went: tuple[Went, ...], kind: OutcomeKind | None) -> None:
    assert outcome_of(*went) == kind


@pytest.mark.parametrize(
    ("went", "kind"),
    [
        # It never did the work: that it failed in two ways makes no doubt of it.
        ((0.1, Ending.CRASHED), OutcomeKind.CRASHED),
        ((Ending.CRASHED, Ending.TIMED_OUT), OutcomeKind.CRASHED),
        ((Ending.TIMED_OUT, Ending.BAD_ANSWER), OutcomeKind.TIMED_OUT),
        ((0.1, 0.1, HELD_UP), OutcomeKind.INACCURATE),
        # It did it on some data alone, and what it did on the others nobody else has brought about.
        ((1.0, Ending.CRASHED), OutcomeKind.CRASHED),
        ((1.0, 1.0, Ending.OUT_OF_MEMORY), OutcomeKind.OUT_OF_MEMORY),
        ((Ending.TIMED_OUT, 1.0), OutcomeKind.TIMED_OUT),
        ((1.0, 0.1), None),
        ((1.0, 1.0, 0.1), OutcomeKind.INACCURATE),
        ((1.0, 0.1, HELD_UP), OutcomeKind.INACCURATE),
        # The host, or the choice of the items, may have done it.
        ((1.0, HELD_UP), None),
        ((1.0, HELD_UP, 1.0), OutcomeKind.INCONCLUSIVE),
        ((0.82, 0.79, 0.82), OutcomeKind.INCONCLUSIVE),
        ((0.82, 0.79, 0.78), OutcomeKind.INACCURATE),
        ((0.99, 0.79, 0.99), OutcomeKind.INCONCLUSIVE),
    ],
)
def test_repetitions_that_differ_count_unless_the_host_or_luck_may_have_done_it(
    went: tuple[Went, ...], kind: OutcomeKind | None
) -> None:
    assert outcome_of(*went) == kind


@pytest.mark.parametrize(
    ("went", "kind"),
    [
        ((1.0, 0.1), OutcomeKind.INCONCLUSIVE),
        ((Ending.CRASHED, 1.0), OutcomeKind.INCONCLUSIVE),
        ((0.1, Ending.CRASHED), OutcomeKind.INCONCLUSIVE),
        ((Ending.CRASHED, Ending.CRASHED), None),
        ((Ending.CRASHED,) * 3, OutcomeKind.CRASHED),
        ((1.0,) * 3, OutcomeKind.PASSED),
        ((0.1,) * 3, OutcomeKind.INACCURATE),
    ],
)
def test_records_of_earlier_editions_keep_their_verdicts(went: tuple[Went, ...], kind: OutcomeKind | None) -> None:
    assert outcome_of(*went, rules=replace(RULES, edition=4)) is kind


@pytest.mark.parametrize(
    ("went", "kind"),
    [
        ((1.0, 1.0), OutcomeKind.INCONCLUSIVE),
        ((HELD_UP,), OutcomeKind.INCONCLUSIVE),
        ((0.79,), OutcomeKind.INCONCLUSIVE),
        ((), OutcomeKind.INCONCLUSIVE),
        # Whoever takes all the time that a repetition may take cannot have the others spared.
        ((Ending.TIMED_OUT,), OutcomeKind.TIMED_OUT),
        ((0.1,), OutcomeKind.INACCURATE),
    ],
)
def test_too_few_repetitions_at_the_end_let_nothing_pass_and_excuse_no_failure(
    went: tuple[Went, ...], kind: OutcomeKind
) -> None:
    assert outcome_of(*went, last=True) is kind


def test_a_quality_just_over_the_bar_is_not_shown_to_reach_it() -> None:
    assert outcome_of(0.801, 0.801, 0.801) is OutcomeKind.INCONCLUSIVE
