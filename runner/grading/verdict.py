"""The judge: findings, samples and qualities in, one verdict out. Pure.

The order of judgement is the order of `judge`: unsafe before form and components, these before how it ran, that before
how good it was, and how fast it was last. None means: not decided yet, more rounds are needed.
"""

from collections.abc import Sequence

from runner.grading.intervals import looks
from runner.records.grading import Ending, Finding, Interval, Measurement, Quality, Rules, Sample
from runner.records.outcome import Outcome, OutcomeKind

# The slowest of a candidate's samples over its median one, past which it does not pass. chosen: honest files show 1.1 to 2
# (`guards` in results.json); a file that is fast only on most of its data shows the speed-up it lacks on the rest.
SLOWEST_OVER_MEDIAN_MAX = 4.0
_FAILURES: dict[Ending, OutcomeKind] = {
    Ending.CRASHED: OutcomeKind.CRASHED,
    Ending.TIMED_OUT: OutcomeKind.TIMED_OUT,
    Ending.OUT_OF_MEMORY: OutcomeKind.OUT_OF_MEMORY,
    Ending.BAD_ANSWER: OutcomeKind.BAD_ANSWER,
}
# What a failed check of each subject ends as, the most serious first.
_FAILED_CHECKS = (
    ("safety", OutcomeKind.UNSAFE),
    ("form", OutcomeKind.CRASHED),
    ("component", OutcomeKind.MISSING_COMPONENT),
)


def checks_verdict(findings: Sequence[Finding], rules: Rules) -> Outcome | None:
    """What the checks alone decide; such a submission is measured once, for its figures only."""
    failed = [finding for finding in findings if finding.mark == "fail"]
    for subject, kind in _FAILED_CHECKS:
        texts = [finding.text for finding in failed if finding.subject == subject]
        if texts:
            return Outcome(kind, "; ".join(texts))
    other = [finding.text for finding in findings if finding.subject == "equivalence" and finding.mark == "warn"]
    if other and (rules.equivalence == "enforce" or rules.strict):
        return Outcome(OutcomeKind.NOT_EQUIVALENT, "; ".join(other))
    warned = [finding.text for finding in findings if finding.mark == "warn"]
    if warned and rules.strict:
        return Outcome(OutcomeKind.UNSAFE, "; ".join(warned))
    return None


def execution_verdict(samples: Sequence[Sample], run: int) -> Outcome | None:
    """What a timed sample that gave no answer decides; the first one counts."""
    for sample in samples:
        if sample.run == run and sample.side == "candidate" and sample.ending in _FAILURES:
            return Outcome(_FAILURES[sample.ending], sample.detail or sample.ending.words)
    return None


def judge(
    findings: Sequence[Finding],
    measurement: Measurement,
    quality: Quality,
    run: int,
    rules: Rules,
    rounds: int,
    *,
    last: bool,
) -> Outcome | None:
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
    if quality.accurate is False:
        return Outcome(OutcomeKind.INACCURATE, _quality_words(quality))
    slow = _too_slow(measurement, rules)
    if slow is not None:
        return slow
    open_question = _open_question(measurement, quality, rules)
    if open_question is None:
        return Outcome(OutcomeKind.PASSED, _pass_reason(measurement, quality, rules))
    return Outcome(OutcomeKind.INCONCLUSIVE, f"{open_question} after {rounds} rounds") if last else None


def _too_slow(measurement: Measurement, rules: Rules) -> Outcome | None:
    speedup = measurement.speedup
    if rules.target is None or speedup is None or speedup.high is None or speedup.high >= rules.target:
        return None
    return Outcome(OutcomeKind.TOO_SLOW, f"Speedup {speedup.estimate:.2f}x is below target (need: {rules.target}x)")


def _open_question(measurement: Measurement, quality: Quality, rules: Rules) -> str | None:
    """Why a submission cannot pass yet; None where nothing stands in the way."""
    if not quality.accurate:
        return _quality_uncertainty(quality)
    if rules.target is None:
        return None
    speedup = measurement.speedup
    if speedup is None or speedup.low is None or speedup.high is None:
        return "there are too few rounds for an interval"
    if speedup.low < rules.target:
        return f"the interval {speedup.low:.2f}x to {speedup.high:.2f}x holds the target {rules.target}x"
    return _guard(measurement, speedup, rules.target)


def _guard(measurement: Measurement, speedup: Interval, target: float) -> str | None:
    """Why a submission whose interval lies above the target is not that fast all the time; it can only prevent a pass."""
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


def _pass_reason(measurement: Measurement, quality: Quality, rules: Rules) -> str:
    if rules.target is None or measurement.speedup is None:
        return _quality_words(quality)
    return f"{measurement.speedup.estimate:.2f}x speedup with correct answers (target: {rules.target}x)"


def _quality_words(quality: Quality) -> str:
    bar = "" if quality.bar is None else f" (at least {quality.bar:.4f} is needed)"
    return f"{quality.name} {quality.candidate or 0.0:.4f}{bar}"


def _quality_uncertainty(quality: Quality) -> str:
    if quality.low is None or quality.high is None:
        return "no answer could be judged"
    allowed = -(quality.tolerance or 0.0)
    return (
        f"the difference in {quality.name.lower()} lies between {quality.low:+.4f} and {quality.high:+.4f}, "
        f"allowed is {allowed:+.4f}"
    )
