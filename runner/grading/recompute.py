"""A verdict, recomputed from its record alone: the same function, the same numbers, no engine. Pure."""

from dataclasses import replace

from runner.grading.measurement import measured_rounds, summarize_quality, summarize_times
from runner.grading.verdict import judge
from runner.records.grading import Grading
from runner.records.outcome import OutcomeKind


def recompute(grading: Grading, run: int) -> Grading:
    """The grading with everything that follows from its samples, findings, scores and rules computed again.

    One that holds no measurement, or that a fault of the host ended, comes back as it is.

    Raises:
        ValueError: the record decides nothing.
    """
    if grading.rules is None or grading.measurement is None or grading.outcome.kind is OutcomeKind.INFRASTRUCTURE:
        return grading
    samples, rules = grading.measurement.samples, grading.rules
    rounds = sorted({sample.round for sample in samples})
    seed_of = dict(zip(rounds, grading.measurement.seeds, strict=True))
    last_round = max(rounds, default=0)
    times = summarize_times(samples, run, rules, [seed_of.get(number, 0) for number in range(1, last_round + 1)])
    quality = summarize_quality(grading.quality.rounds if grading.quality else (), rules)
    for is_last in (False, True):
        outcome = judge(grading.findings, times, quality, run, rules, measured_rounds(samples), last=is_last)
        if outcome is not None:
            return replace(grading, outcome=outcome, measurement=times, quality=quality)
    raise ValueError(f"the record of run {run} decides nothing")
