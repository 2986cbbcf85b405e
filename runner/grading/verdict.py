"""The judge: findings, samples and qualities in, one verdict out. Pure.

The order of judgement is the order of `judge`: unsafe before form and components, these before how it ran, that before
how good it was, and how fast it was last. None means: not decided yet, more rounds are needed. `audits_due` says how many
data sets a file that could pass must still be seen on.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from runner.grading.doubt import (
    HOSTS_SLOWEST_MAX,
    judge_quality_doubt,
    judge_slow_data_set,
    judge_slowest,
    judge_speed_doubt,
    slow_data_set,
    wrong_data_set,
)
from runner.grading.hiccups import counted_samples
from runner.grading.intervals import is_early, looks, round_difference
from runner.grading.measurement import data_sets, timed_rounds
from runner.grading.stalls import held_up_by_others, host_is_busy, of_its_own
from runner.records.grading import Ending, Equivalence, Finding, Measurement, Quality, Rules, Sample
from runner.records.outcome import Outcome, OutcomeKind

# Which rules new gradings are judged by; older records keep theirs (`Rules.edition`).
EDITION = 5
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
    ("equivalence", OutcomeKind.NOT_EQUIVALENT),
    ("time", OutcomeKind.TIMED_OUT),
    ("answer", OutcomeKind.BAD_ANSWER),
    ("build", OutcomeKind.BUILD_FAILED),
)


def checks_verdict(findings: Sequence[Finding], rules: Rules) -> Outcome | None:
    """What the checks alone decide; such a submission is measured once, for its figures only."""
    failed = [finding for finding in findings if finding.mark == "fail"]
    for subject, kind in _FAILED_CHECKS:
        texts = [finding.text for finding in failed if finding.subject == subject]
        if texts:
            return Outcome(kind, "; ".join(texts))
    other = [finding.text for finding in findings if finding.subject == "equivalence" and finding.mark == "warn"]
    # Findings of today's probes fail where equivalence is required; records of earlier versions only warn.
    if other and (rules.equivalence is Equivalence.REQUIRED or rules.strict):
        return Outcome(OutcomeKind.NOT_EQUIVALENT, "; ".join(other))
    warned = [finding.text for finding in findings if finding.mark == "warn"]
    if warned and rules.strict:
        return Outcome(OutcomeKind.UNSAFE, "; ".join(warned))
    return None


def unmet(findings: Sequence[Finding], rules: Rules) -> tuple[str, ...]:
    """The checks that the rules ask for and that were not made yet: each with the reason, where one is known."""
    made = {finding.name for finding in findings if finding.mark != "unchecked"}
    reasons = {finding.name: f"{finding.name} ({finding.text})" for finding in findings}
    return tuple(reasons.get(name, name) for name in rules.obligations if name not in made)


def execution_verdict(samples: Sequence[Sample], run: int) -> Outcome | None:
    """What a timed sample that gave no answer decides; the first one counts."""
    for sample in samples:
        if sample.run == run and sample.side in ("candidate", "repeat") and sample.ending in _FAILURES:
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
    """The verdict, or None while more rounds, or an audit, may decide it.

    Args:
        rounds: how many rounds with a baseline are done.
        last: there will be no more rounds.
    """
    early = checks_verdict(findings, rules)
    if early is not None:
        return early
    if rules.repetitions:
        return judge_repetitions(measurement, quality, run, rules, last=last)
    failed = execution_verdict(measurement.samples, run)
    if failed is not None:
        return failed if rules.edition == 1 else replace(failed, reason=f"{failed.reason}{_open_control(findings)}")
    if rules.edition > 1 and (wrong := wrong_data_set(quality, rules)) is not None:
        return Outcome(OutcomeKind.INACCURATE, wrong)
    certified = rules.certificate is not None
    is_early_look = rules.target is not None and is_early(rounds, certified=certified) and not last
    if rounds not in looks(certified) and not is_early_look and not last:
        return None
    if quality.accurate is False:
        return None if is_early_look else Outcome(OutcomeKind.INACCURATE, _quality_words(quality))
    slow = _too_slow(measurement, rules)
    if slow is not None:
        return slow if rules.edition < 4 else replace(slow, reason=f"{slow.reason}{_open_control(findings)}")
    open_question = _open_question(measurement, quality, run, rules) or _audit_question(measurement, run, rules)
    if open_question is None:
        return _pass(findings, measurement, quality, rules, last=last)
    if is_early_look:
        return None
    if rules.edition > 1:
        return _judge_doubt(open_question, measurement, quality, run, rules, rounds, last=last)
    return Outcome(OutcomeKind.INCONCLUSIVE, f"{open_question} after {rounds} rounds") if last else None


def judge_repetitions(
    measurement: Measurement, quality: Quality, run: int, rules: Rules, *, last: bool
) -> Outcome | None:
    """The verdict where no time decides: what each repetition of the grading says, and to pass all of them must.

    One that ended without an answer by the file's own doing decides, as a sample does where time counts: no other makes up
    for it, nor need another one say the same. Otherwise a file that cannot do the work would fail in two ways, or now and
    then, or take so long that there are no more repetitions, and not be counted. Of the quality, and where the host may have
    kept a repetition from its answer, all of them say more than one.
    """
    if rules.edition < 5:
        return _judge_equal_repetitions(measurement, quality, run, rules, last=last)
    own = execution_verdict([sample for sample in measurement.samples if not held_up_by_others(sample)], run)
    if own is not None:
        return own
    failures, reached = _repetitions(measurement, quality, run)
    made = len(failures) + len(reached)
    if made < rules.repetitions and not last:
        return None
    if not all(reached.values()):
        return _judge_misses(quality, rules, made)
    if made < rules.repetitions:
        return _too_few_repetitions(made, rules)
    if not failures:
        return _judge_reached(quality, rules)
    if not reached:
        return execution_verdict(measurement.samples, run)
    text = f"its repetitions differ: in {len(failures)} of {made} others had the CPU until its time was up"
    return Outcome(OutcomeKind.INCONCLUSIVE, text)


def _repetitions(measurement: Measurement, quality: Quality, run: int) -> tuple[dict[int, Sample], dict[int, bool]]:
    """The repetitions that failed, and whether each of the others reaches the bar; by their numbers."""
    failures = {s.round: s for s in measurement.samples if s.run == run and s.ending in _FAILURES}
    return failures, {entry.round: entry.difference >= 0.0 for entry in quality.rounds if entry.round not in failures}


def _judge_misses(quality: Quality, rules: Rules, made: int) -> Outcome:
    """The verdict where a repetition does not reach the bar, which may have been by luck.

    Args:
        made: how many repetitions there are.
    """
    under, words = sum(entry.difference < 0.0 for entry in quality.rounds), _quality_words(quality)
    if made >= rules.repetitions and under == len(quality.rounds):
        return Outcome(OutcomeKind.INACCURATE, words)
    wrong = wrong_data_set(quality, rules)
    if wrong is not None or quality.accurate is False:
        return Outcome(OutcomeKind.INACCURATE, wrong or words)
    if made < rules.repetitions:
        return _too_few_repetitions(made, rules)
    question = f"its repetitions differ: {under} of {len(quality.rounds)} are under the bar"
    return (
        Outcome(OutcomeKind.INCONCLUSIVE, question)
        if quality.accurate
        else judge_quality_doubt(question, quality, rules)
    )


def _too_few_repetitions(made: int, rules: Rules) -> Outcome:
    return Outcome(OutcomeKind.INCONCLUSIVE, f"{made} of {rules.repetitions} repetitions were made")


def _judge_reached(quality: Quality, rules: Rules) -> Outcome:
    """The verdict where all repetitions reach the bar; it may have been luck."""
    if quality.accurate is None:
        return judge_quality_doubt(_quality_uncertainty(quality), quality, rules)
    return Outcome(OutcomeKind.PASSED, _quality_words(quality))


def _judge_equal_repetitions(
    measurement: Measurement, quality: Quality, run: int, rules: Rules, *, last: bool
) -> Outcome | None:
    """As earlier editions had it: all repetitions must say the same, and where they do not, nobody knows."""
    failures, reached = _repetitions(measurement, quality, run)
    said = [
        *(_FAILURES[sample.ending] for sample in failures.values()),
        *(OutcomeKind.PASSED if fine else OutcomeKind.INACCURATE for fine in reached.values()),
    ]
    if len(set(said)) > 1:
        counts = ", ".join(f"{kind.words} {said.count(kind)} times" for kind in dict.fromkeys(said))
        return Outcome(OutcomeKind.INCONCLUSIVE, f"its repetitions differ: {counts}")
    if len(said) < rules.repetitions:
        return _too_few_repetitions(len(said), rules) if last else None
    if failures:
        return execution_verdict(measurement.samples, run)
    if said[0] is OutcomeKind.INACCURATE:
        return Outcome(OutcomeKind.INACCURATE, _quality_words(quality))
    return _judge_reached(quality, rules)


def _open_control(findings: Sequence[Finding]) -> str:
    """What is to be said of a control besides a sample that failed: nobody shall hide one behind the other."""
    texts = [finding.text for finding in findings if finding.check == "control" and finding.mark == "unchecked"]
    return f"; control not checked: {'; '.join(texts)}" if texts else ""


def audits_due(measurement: Measurement, quality: Quality, run: int, rules: Rules, rounds: int, *, last: bool) -> int:
    """On how many more data sets, without the baseline, a file must be seen that could pass otherwise; 0: none.

    That all data sets which were looked at were fine says little of those which were not: a file that is quick on three
    of four, and hopeless on the fourth, meets three fine ones in 42 % of gradings and sixteen in 1 %. The candidate's
    samples are cheap, the baseline's are not.
    """
    certified = rules.certificate is not None
    is_look = rounds in looks(certified) or is_early(rounds, certified=certified)
    if rules.target is None or not (is_look or last):
        return 0
    if _open_question(measurement, quality, run, rules) is not None:
        return 0
    return max(0, rules.data_sets - data_sets(measurement.samples, run))


def _too_slow(measurement: Measurement, rules: Rules) -> Outcome | None:
    speedup = measurement.speedup
    if rules.target is None or speedup is None or speedup.high is None or speedup.high >= rules.target:
        return None
    return Outcome(OutcomeKind.TOO_SLOW, f"Speedup {speedup.estimate:.2f}x is below target (need: {rules.target}x)")


def _open_question(measurement: Measurement, quality: Quality, run: int, rules: Rules) -> str | None:
    """Why a submission cannot pass yet; None where nothing stands in the way."""
    return _speed_question(measurement, run, rules) if quality.accurate else _quality_uncertainty(quality)


def _speed_question(measurement: Measurement, run: int, rules: Rules) -> str | None:
    """Why its speed is not shown yet in the measured rounds; None where it is."""
    if rules.target is None:
        return None
    speedup = measurement.speedup
    if speedup is None or speedup.low is None or speedup.high is None:
        return "there are too few rounds for an interval"
    if speedup.low < rules.target:
        return f"the interval {speedup.low:.2f}x to {speedup.high:.2f}x holds the target {rules.target}x"
    return _guard(measurement, run, rules)


def _guard(measurement: Measurement, run: int, rules: Rules) -> str | None:
    """Why a submission whose interval lies above the target is not that fast all the time; it can only prevent a pass."""
    target = rules.target or 0.0
    if measurement.median_ratio is None or measurement.median_ratio < target:
        return f"the median of the rounds is {measurement.median_ratio or 0:.2f}x, under the target {target}x"
    if measurement.total_ratio is None or measurement.total_ratio < target:
        return f"the ratio of the total times is {measurement.total_ratio or 0:.2f}x, under the target {target}x"
    return _slowest_question(measurement, run, rules) or _busy_question(measurement, run, rules)


def _busy_question(measurement: Measurement, run: int, rules: Rules) -> str | None:
    """Whether a busy host alone lifts a submission over the target: the longer baseline is held up, and the submission's
    short samples, of which those that were held up are repeated, are not."""
    samples = measurement.samples
    if rules.edition < 3 or rules.target is None or not host_is_busy(samples):
        return None
    kept = [*(s for s in samples if not s.run), *counted_samples(samples, run)]
    differences = [round_difference(*sides) for sides in timed_rounds([of_its_own(sample) for sample in kept])]
    ratio = math.exp(sum(differences) / len(differences)) if differences else 0.0
    if ratio >= rules.target:
        return None
    return f"others had the CPU, too: without what they had it is {ratio:.2f}x, under the target {rules.target}x"


def _slowest_question(measurement: Measurement, run: int, rules: Rules) -> str | None:
    slowest, speedup = measurement.slowest_over_median or 0.0, measurement.speedup
    if slowest <= SLOWEST_OVER_MEDIAN_MAX or speedup is None:
        return None
    if rules.edition > 1 and _slowest_s(measurement, run) <= (measurement.baseline_s or 0.0) / (
        rules.target or math.inf
    ):
        return None  # even its slowest sample met the target: a hiccup in a file that is far above it
    return f"its slowest sample took {slowest:.1f} times its median one, {speedup.estimate:.2f}x is not what it does"


def _slowest_s(measurement: Measurement, run: int) -> float:
    return max((sample.seconds for sample in counted_samples(measurement.samples, run)), default=0.0)


def _audit_question(measurement: Measurement, run: int, rules: Rules) -> str | None:
    """What stands in the way of a file whose measured rounds are fine; None where it was fine on enough data sets."""
    if rules.target is None:
        return None
    seen, audit = data_sets(measurement.samples, run), measurement.audit
    if seen < rules.data_sets:
        return f"it was seen on {seen} data sets, {rules.data_sets} are needed"
    if rules.edition > 1 and (slow := slow_data_set(measurement.samples, run, rules)) is not None:
        return f"{slow}, and the target is {rules.target}x"
    if audit is not None and (audit.low is None or audit.low < rules.target):
        bounds = f"{audit.low or 0.0:.2f}x to {audit.high or 0.0:.2f}x"
        return f"over all {seen} data sets the interval {bounds} does not lie above the target {rules.target}x"
    return None


def _judge_doubt(
    question: str, measurement: Measurement, quality: Quality, run: int, rules: Rules, rounds: int, *, last: bool
) -> Outcome | None:
    """Whose doubt it is, where it will not be closed; None while it may be."""
    question = f"{question} after {rounds} rounds"
    if audits_due(measurement, quality, run, rules, rounds, last=last):
        return Outcome(OutcomeKind.INCONCLUSIVE, question) if last else None
    if not quality.accurate:
        return _judge_doubts(question, measurement, quality, run, rules, rounds) if last else None
    return _judge_speed(question, measurement, run, rules, rounds, last=last)


def _judge_doubts(
    question: str, measurement: Measurement, quality: Quality, run: int, rules: Rules, rounds: int
) -> Outcome:
    """The verdict where the quality is open at the end.

    Where that is nobody's doubt, the speed may be in doubt, too, by the file's own doing, which shall not hide behind it.
    """
    of_quality = judge_quality_doubt(question, quality, rules)
    if rules.edition < 5 or of_quality.kind is not OutcomeKind.INCONCLUSIVE:
        return of_quality
    speed = _speed_question(measurement, run, rules) or slow_data_set(measurement.samples, run, rules)
    if speed is None:
        return of_quality
    of_speed = _judge_speed(f"{speed} after {rounds} rounds", measurement, run, rules, rounds, last=True)
    return of_quality if of_speed is None or of_speed.kind is OutcomeKind.INCONCLUSIVE else of_speed


def _judge_speed(
    question: str, measurement: Measurement, run: int, rules: Rules, rounds: int, *, last: bool
) -> Outcome | None:
    """Whose doubt it is that a file's speed is open, where it will not be closed; None while it may be."""
    if measurement.speedup is None or measurement.speedup.low is None:
        return Outcome(OutcomeKind.INCONCLUSIVE, question) if last else None
    if (slowest := _slowest_question(measurement, run, rules)) is not None:
        hosts_max = HOSTS_SLOWEST_MAX if rules.edition > 2 else SLOWEST_OVER_MEDIAN_MAX
        slowest = f"{slowest} after {rounds} rounds"
        return judge_slowest(slowest, measurement.samples, run, SLOWEST_OVER_MEDIAN_MAX, hosts_max)
    open_question = _speed_question(measurement, run, rules)
    if open_question is None and slow_data_set(measurement.samples, run, rules):
        return judge_slow_data_set(question, measurement.samples, run, rules)
    if open_question is not None and open_question == _busy_question(measurement, run, rules):
        return Outcome(OutcomeKind.INCONCLUSIVE, question) if last else None
    return judge_speed_doubt(question, measurement, run, rules, rounds, last=last)


def _pass(
    findings: Sequence[Finding], measurement: Measurement, quality: Quality, rules: Rules, *, last: bool
) -> Outcome | None:
    """A pass, if every check that the task asks for was made; what was not is made again while there are rounds."""
    missing = unmet(findings, rules)
    if not missing:
        return Outcome(OutcomeKind.PASSED, _pass_reason(measurement, quality, rules))
    return Outcome(OutcomeKind.INCONCLUSIVE, f"not checked: {'; '.join(missing)}") if last else None


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
