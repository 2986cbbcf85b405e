"""The judge: findings, samples and qualities in, one verdict out. Pure.

The order of judgement is the order of `judge`: unsafe before form and components, these before how it ran, that before
how good it was, and how fast it was last. None means: not decided yet, measure on.
"""

from collections.abc import Sequence

from runner.grading.intervals import looks
from runner.records.grading import Correctness, Ending, Finding, Interval, Measurement, Rules, Sample
from runner.records.outcome import (
    BadAnswer,
    Crashed,
    Inaccurate,
    Inconclusive,
    MissingComponent,
    NotEquivalent,
    OutOfMemory,
    Passed,
    TimedOut,
    TooSlow,
    Unsafe,
    Verdict,
)

SLOWEST_OVER_MEDIAN_MAX = 4.0
_FAILURES: dict[Ending, type[Crashed | TimedOut | OutOfMemory | BadAnswer]] = {
    Ending.CRASHED: Crashed,
    Ending.TIMED_OUT: TimedOut,
    Ending.OUT_OF_MEMORY: OutOfMemory,
    Ending.BAD_ANSWER: BadAnswer,
}


def checks_verdict(findings: Sequence[Finding], rules: Rules) -> Verdict | None:
    """What the checks alone decide; such a submission is measured once, for its figures only."""
    failed = [finding for finding in findings if finding.mark == "fail"]
    for subject, verdict in (("safety", Unsafe), ("form", Crashed), ("component", MissingComponent)):
        named = [finding.text for finding in failed if finding.subject == subject]
        if named:
            return verdict("; ".join(named))
    other = [finding.text for finding in findings if finding.subject == "equivalence" and finding.mark == "warn"]
    if other and (rules.equivalence == "enforce" or rules.strict):
        return NotEquivalent("; ".join(other))
    warned = [finding.text for finding in findings if finding.mark == "warn"]
    if warned and rules.strict:
        return Unsafe("; ".join(warned))
    return None


def execution_verdict(samples: Sequence[Sample], run: int) -> Verdict | None:
    """What a timed sample that gave no answer decides; the first one counts."""
    for sample in samples:
        if sample.run == run and sample.side == "candidate" and sample.ending in _FAILURES:
            return _FAILURES[sample.ending](sample.detail or sample.ending.words)
    return None


def judge(
    findings: Sequence[Finding],
    measurement: Measurement,
    correctness: Correctness,
    run: int,
    rules: Rules,
    rounds: int,
    *,
    last: bool,
) -> Verdict | None:
    """The verdict, or None while more rounds may decide it.

    Args:
        rounds: how many rounds are done.
        last: there will be no more rounds.
    """
    early = checks_verdict(findings, rules) or execution_verdict(measurement.samples, run)
    if early is not None:
        return early
    if rounds not in looks(rules.certificate is not None) and not last:
        return None
    if correctness.accurate is False:
        return Inaccurate(_quality_words(correctness))
    slow = _too_slow(measurement, rules)
    if slow is not None:
        return slow
    open_question = _open_question(measurement, correctness, rules)
    if open_question is None:
        return Passed(_pass_reason(measurement, correctness, rules))
    return Inconclusive(f"{open_question} after {rounds} rounds") if last else None


def _too_slow(measurement: Measurement, rules: Rules) -> Verdict | None:
    speedup = measurement.speedup
    if rules.target is None or speedup is None or speedup.high is None or speedup.high >= rules.target:
        return None
    return TooSlow(f"Speedup {speedup.estimate:.2f}x is below target (need: {rules.target}x)")


def _open_question(measurement: Measurement, correctness: Correctness, rules: Rules) -> str | None:
    """What still stands between a submission and a pass; None where nothing does."""
    if not correctness.accurate:
        return _quality_uncertainty(correctness)
    if rules.target is None:
        return None
    speedup = measurement.speedup
    if speedup is None or speedup.low is None or speedup.high is None:
        return "there are too few rounds for an interval"
    if speedup.low < rules.target:
        return f"the interval {speedup.low:.2f}x to {speedup.high:.2f}x holds the target {rules.target}x"
    return _guard(measurement, speedup, rules.target)


def _guard(measurement: Measurement, speedup: Interval, target: float) -> str | None:
    """Why a submission whose interval is above the target is not fast all the time; it can only take a pass away."""
    if measurement.median_ratio is None or measurement.median_ratio < target:
        return f"the median of the rounds is {measurement.median_ratio or 0:.2f}x, under the target {target}x"
    if measurement.total_ratio is None or measurement.total_ratio < target:
        return f"the ratio of the total times is {measurement.total_ratio or 0:.2f}x, under the target {target}x"
    slowest = measurement.slowest_over_median or 0.0
    if slowest > SLOWEST_OVER_MEDIAN_MAX:
        return (
            f"its slowest sample took {slowest:.1f} times its median one, {speedup.estimate:.2f}x is not what it does"
        )
    return None


def _pass_reason(measurement: Measurement, correctness: Correctness, rules: Rules) -> str:
    if rules.target is None or measurement.speedup is None:
        return _quality_words(correctness)
    return f"{measurement.speedup.estimate:.2f}x speedup with correct answers (target: {rules.target}x)"


def _quality_words(correctness: Correctness) -> str:
    bar = "" if correctness.bar is None else f" (at least {correctness.bar:.4f} is needed)"
    return f"{correctness.name} {correctness.candidate or 0.0:.4f}{bar}"


def _quality_uncertainty(correctness: Correctness) -> str:
    if correctness.low is None or correctness.high is None:
        return "no answer could be judged"
    allowed = -(correctness.tolerance or 0.0)
    return (
        f"the difference in {correctness.name.lower()} lies between {correctness.low:+.4f} and {correctness.high:+.4f}, "
        f"allowed is {allowed:+.4f}"
    )
