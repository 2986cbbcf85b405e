"""The judge: findings, samples and qualities in, one verdict out. Pure.

The order of judgement is the order of `judge`: unsafe before form and components, these before how it ran, that before
how good it was, and how fast it was last. None means: not decided yet, measure on.
"""

from collections.abc import Sequence

from runner.grading.intervals import LOOKS
from runner.records.correctness import Correctness
from runner.records.finding import Finding
from runner.records.measurement import Measurement
from runner.records.outcome import (
    BadAnswer,
    Crashed,
    Inaccurate,
    Inconclusive,
    MissingComponent,
    OutOfMemory,
    Passed,
    TimedOut,
    TooSlow,
    Unsafe,
    Verdict,
)
from runner.records.sample import Ending, Sample

_FAILURES: dict[Ending, type[Crashed | TimedOut | OutOfMemory | BadAnswer]] = {
    "crashed": Crashed,
    "timed_out": TimedOut,
    "out_of_memory": OutOfMemory,
    "bad_answer": BadAnswer,
}


def disqualified(findings: Sequence[Finding]) -> Verdict | None:
    """What the checks alone decide; such a submission is measured once, for its figures only."""
    failed = [finding for finding in findings if finding.mark == "fail"]
    for subject, verdict in (("safety", Unsafe), ("form", Crashed), ("component", MissingComponent)):
        named = [finding.text for finding in failed if finding.subject == subject]
        if named:
            return verdict("; ".join(named))
    return None


def ran_badly(samples: Sequence[Sample], run: int) -> Verdict | None:
    """What a sample that gave no answer decides; the first one counts."""
    for sample in samples:
        if sample.run == run and sample.side == "candidate" and sample.ending != "answered":
            return _FAILURES[sample.ending](sample.detail or sample.ending.replace("_", " "))
    return None


def judge(
    findings: Sequence[Finding],
    measurement: Measurement,
    correctness: Correctness,
    run: int,
    target: float | None,
    rounds: int,
    rounds_max: int,
) -> Verdict | None:
    """The verdict, or None while more rounds may decide it.

    Args:
        target: speed-up asked for, a ratio; None where quality alone counts.
        rounds: how many rounds are done.
        rounds_max: how many there may be.
    """
    early = disqualified(findings) or ran_badly(measurement.samples, run)
    if early is not None:
        return early
    last = rounds >= rounds_max
    if rounds not in LOOKS and not last:
        return None
    if correctness.accurate is False:
        return Inaccurate(_quality_words(correctness))
    if target is None:
        return Passed(_quality_words(correctness))
    return _judge_speed(measurement, target, last)


def _judge_speed(measurement: Measurement, target: float, last: bool) -> Verdict | None:
    speedup = measurement.speedup
    if speedup is None or speedup.low is None or speedup.high is None:
        return Inconclusive("too few rounds for an interval") if last else None
    if speedup.low >= target:
        return Passed(f"{speedup.estimate:.2f}x speedup with correct answers (target: {target}x)")
    if speedup.high < target:
        return TooSlow(f"Speedup {speedup.estimate:.2f}x is below target (need: {target}x)")
    if not last:
        return None
    return Inconclusive(
        f"the interval {speedup.low:.2f}x to {speedup.high:.2f}x holds the target {target}x after {speedup.rounds} rounds"
    )


def _quality_words(correctness: Correctness) -> str:
    bar = "" if correctness.bar is None else f" (at least {correctness.bar:.4f} is needed)"
    return f"{correctness.name} {correctness.candidate:.4f}{bar}"
