"""A verdict computed again from its record alone: the same function, the same numbers, no engine. Pure."""

from collections.abc import Sequence

from runner.grading.measurement import correctness, measurement
from runner.grading.verdict import judge
from runner.records.grading import Correctness, Finding, Measurement, QualityRound, Rules, Sample
from runner.records.outcome import Verdict


def recompute_verdict(
    run: int,
    samples: Sequence[Sample],
    findings: Sequence[Finding],
    qualities: Sequence[QualityRound],
    rules: Rules,
    seeds: Sequence[int],
) -> tuple[Measurement, Correctness, Verdict]:
    """What a recorded grading comes to.

    Args:
        seeds: of the rounds in the record, in order.

    Raises:
        ValueError: the record decides nothing.
    """
    rounds = sorted({sample.round for sample in samples})
    by_round = dict(zip(rounds, seeds, strict=True))
    measured = measurement(samples, run, rules, [by_round.get(n, 0) for n in range(1, max(rounds, default=0) + 1)])
    correct = correctness(qualities, rules)
    for last in (False, True):
        verdict = judge(findings, measured, correct, run, rules, max(rounds, default=0), last=last)
        if verdict is not None:
            return measured, correct, verdict
    raise ValueError(f"the record of run {run} decides nothing")
