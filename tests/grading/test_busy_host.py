"""On a busy host the long baseline is held up, and samples of a short file may not be: no file passes by that alone."""

from dataclasses import replace

import pytest

from runner.grading.measurement import summarize_quality, summarize_times
from runner.grading.schedule import SLOW_AUDIT_REPEATS
from runner.grading.verdict import EDITION, judge
from runner.records.grading import Ending, QualityRound, Rules, Sample, Side
from runner.records.outcome import OutcomeKind

RULES = Rules(
    target=3.0, confidence=0.95, quality="Right", tolerance=None, minimum=0.8, rounds_max=6, seconds_max=60.0,
    edition=EDITION,
)  # fmt: skip
ROUNDS = 6


def outcome_of(edition: int, baseline: tuple[float, float], candidate: tuple[float, float]) -> OutcomeKind | None:
    """The verdict after the last round.

    Args:
        baseline, candidate: CPU seconds of a sample, and seconds in which it waited for others.
    """
    sides: list[tuple[Side, int, tuple[float, float]]] = [
        ("baseline", 0, baseline), ("candidate", 1, candidate), ("candidate", 1, candidate)
    ]  # fmt: skip
    samples = [
        Sample(
            side=side, run=run, round=number, position=position, ending=Ending.ANSWERED,
            seconds=(own_s + others_s) * (1.0 + 0.002 * (number % 3)), cpu_s=own_s, others_s=others_s,
        )
        for number in range(1, ROUNDS + 1)
        for position, (side, run, (own_s, others_s)) in enumerate(sides)
    ]  # fmt: skip
    qualities = [
        QualityRound(round=number, baseline=None, candidate=1.0, difference=0.2, variance=0.0001)
        for number in range(1, ROUNDS + 1)
    ]
    rules = replace(RULES, edition=edition)
    measured = summarize_times(samples, 1, rules, [7] * ROUNDS)
    judged = judge((), measured, summarize_quality(qualities, rules), 1, rules, ROUNDS, last=True)
    return None if judged is None else judged.kind


@pytest.mark.parametrize(
    ("baseline", "candidate", "kind"),
    [
        ((3.0, 0.9), (1.15, 0.0), OutcomeKind.INCONCLUSIVE),
        ((3.0, 0.9), (0.85, 0.0), OutcomeKind.PASSED),
        ((3.0, 0.9), (0.85, 0.2), OutcomeKind.PASSED),
        ((3.0, 0.0), (0.85, 0.0), OutcomeKind.PASSED),
        ((3.0, 0.0), (1.15, 0.0), OutcomeKind.TOO_SLOW),
    ],
    ids=["under the target", "over it", "over it, and held up as well", "on a quiet host", "under it there"],
)
def test_what_others_had_lifts_no_file_over_the_target(
    baseline: tuple[float, float], candidate: tuple[float, float], kind: OutcomeKind
) -> None:
    assert outcome_of(EDITION, baseline, candidate) is kind


def test_records_of_earlier_editions_keep_their_verdicts() -> None:
    assert outcome_of(2, (3.0, 0.9), (1.15, 0.0)) is OutcomeKind.PASSED


@pytest.mark.parametrize(
    ("edition", "slow_audit", "busy", "kind"),
    [
        (EDITION, (0.7, 0.8), True, OutcomeKind.INCONCLUSIVE),
        (EDITION, (1.5, 0.0), True, OutcomeKind.UNSTABLE),
        (EDITION, (0.7, 0.8), False, OutcomeKind.UNSTABLE),
        (EDITION, (0.7, 0.0), True, OutcomeKind.PASSED),
        (3, (0.7, 0.8), True, OutcomeKind.UNSTABLE),
    ],
    ids=["by what others had", "by itself", "on a host that is not busy", "not at all", "in an earlier edition"],
)
def test_a_data_set_that_is_slow_by_what_others_had_is_the_hosts_doubt(
    edition: int, slow_audit: tuple[float, float], busy: bool, kind: OutcomeKind
) -> None:
    def sample(side: Side, number: int, position: int, own_s: float, others_s: float) -> Sample:
        return Sample(
            side=side, run=int(side == "candidate"), round=number, position=position, ending=Ending.ANSWERED,
            seconds=(own_s + others_s) * (1.0 + 0.002 * (number % 3)), cpu_s=own_s, others_s=others_s,
        )  # fmt: skip

    others_s = 0.3 if busy else 0.0
    samples = [
        sample(side, number, position, own_s, waited_s)
        for number in range(1, ROUNDS + 1)
        for position, (side, own_s, waited_s) in enumerate(
            [("baseline", 3.0, others_s), ("candidate", 0.7, 0.0), ("candidate", 0.7, 0.0)]
        )
    ]  # type: ignore[misc]
    samples += [sample("candidate", number, 0, 0.7, 0.0) for number in range(ROUNDS + 1, 16)]
    samples.append(sample("candidate", 16, 0, *slow_audit))
    samples += [
        replace(sample("candidate", 16, 1 + n, *slow_audit), side="repeat")
        for n in range(SLOW_AUDIT_REPEATS if kind is not OutcomeKind.PASSED else 0)
    ]
    qualities = [
        QualityRound(round=number, baseline=None, candidate=1.0, difference=0.2, variance=0.0001)
        for number in range(1, 17)
    ]
    rules = replace(RULES, edition=edition, data_sets=16)
    measured = summarize_times(samples, 1, rules, [7] * 16)
    judged = judge((), measured, summarize_quality(qualities, rules), 1, rules, ROUNDS, last=True)
    assert judged is not None and judged.kind is kind, judged
