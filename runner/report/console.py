"""The report on the console, in the order in which a person asks: what, how fast, how good, why, how many.

Every line is plain text; what comes from a guest passes through `shown`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO, assert_never

from runner.budget.estimate import Estimate
from runner.records.episode import Submission
from runner.records.grading import Correctness, Finding, Interval, Measurement, Rules
from runner.records.outcome import (
    BadAnswer,
    Crashed,
    Inaccurate,
    Inconclusive,
    Infrastructure,
    MissingComponent,
    NoSubmission,
    NotEquivalent,
    Outcome,
    OutOfMemory,
    Passed,
    SandboxBroken,
    TimedOut,
    TooSlow,
    Unsafe,
)
from runner.records.run import JobConfig, Run, SnapshotGrade, Totals
from runner.report.escape import shown

WIDE, NARROW = "=" * 60, "=" * 50


class Console:
    """Prints a job's report as it comes about."""

    def __init__(self, out: TextIO, target: float | None, quality: str) -> None:
        self._out, self._target, self._quality = out, target, quality
        self._baseline_said = False

    def header(self, request: JobConfig, title: str) -> None:
        """What is going to happen."""
        mode = "sequentially" if request.jobs == 1 else f"{request.jobs} at a time"
        self._say(f"Task: {request.task} ({title}), scale {request.scale}, agent {request.agent}")
        self._say(f"Running {request.runs} test iterations {mode}...")
        self._say(WIDE)

    def run(self, run: Run) -> None:
        """One run's block, as soon as its outcome is final."""
        if not self._baseline_said and run.measurement and run.measurement.baseline_s is not None:
            self._baseline_said = True
            self._lines(baseline_lines(run, self._quality))
        self._lines(run_lines(run, self._target))

    def totals(self, totals: Totals, asked: int) -> None:
        """The end; `asked` is how many runs there were to be."""
        self._lines(total_lines(totals, asked))

    def _lines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self._say(line)

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def estimate_lines(found: Estimate, request: JobConfig, model: str, *, known: bool) -> Iterator[str]:
    """What a job with a model can cost, and about how long its episodes take."""
    yield f"{request.runs} runs of {request.task} by {model}, {request.jobs} at a time"
    if known:
        cap = 0.0 if request.dollars_max is None else request.dollars_max
        guess = (
            f"; a guess of the most that its limits allow: ${found.dollars_max:.2f}" if found.dollars_is_guess else ""
        )
        yield (
            f"  cost: at most ${cap:.2f} (--job-dollars; every turn is paid for beforehand){guess}; "
            f"an episode of nothing but its dearest turns: about ${found.episode_dollars_max:.2f}"
        )
    else:
        yield "  cost: unknown, since no price of this model is known (--price IN/OUT); no limit on dollars can hold"
    yield (
        f"  time: a guess of {_minutes(found.episodes_s)} for the episodes (at most {_minutes(found.episodes_s_max)}), "
        "besides the measuring"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def baseline_lines(run: Run, quality: str) -> Iterator[str]:
    """The baseline, once, as it was measured beside the first graded run."""
    assert run.measurement is not None
    value = run.correctness.baseline if run.correctness else None
    count = sum(sample.side == "baseline" for sample in run.measurement.samples)
    mean_s = _seconds(run.measurement.baseline_s)
    yield f"Baseline: time={mean_s}, {quality.lower()}={_number(value)} (mean of {count} rounds)"


def run_lines(run: Run, target: float | None) -> Iterator[str]:
    """A run's block."""
    if run.submission is not None:
        yield f"Graded {run.stored_at or shown(run.submission.path)} ({_how_it_came(run.submission)})"
    if run.measurement is not None and run.correctness is not None:
        yield ""
        yield from metric_lines(run.measurement, run.correctness, target, run.rules)
    if run.findings:
        yield ""
        yield "Running safety checks..."
        yield from finding_lines(run.findings)
    for note in run.notes:
        yield f"  ℹ {shown(note)}"
    if run.episode is not None and run.episode.facts:
        yield f"  ℹ Agent: {shown(', '.join(f'{name} {value}' for name, value in run.episode.facts.items()))}"
    if any(entry.outcome is not None for entry in run.snapshots):
        yield from snapshot_lines(run.snapshots)
    yield from outcome_lines(run, target)


def _how_it_came(submission: Submission) -> str:
    if submission.snapshot_turn is None:
        return f"submitted as {shown(submission.path)}"
    return f"the last state of the file, after turn {submission.snapshot_turn}: nothing was submitted"


def snapshot_lines(snapshots: Sequence[SnapshotGrade]) -> Iterator[str]:
    """Each state of the file, and the best of those that pass, over turns, tokens and dollars."""
    yield "  Best so far:"
    best: float | None = None
    for entry in snapshots:
        speedup = entry.measurement.speedup if entry.measurement else None
        if isinstance(entry.outcome, Passed) and speedup is not None:
            best = max(best or 0.0, speedup.estimate)
        usage, outcome = entry.snapshot.usage, entry.outcome.name if entry.outcome else "not graded"
        yield (
            f"    turn {entry.snapshot.turn:3}  {usage.total:9} tokens  ${entry.snapshot.dollars:7.2f}  {outcome:18} "
            f"{_ratio(speedup):>8}  best {'-' if best is None else f'{best:.2f}x'}"
        )


def metric_lines(
    measured: Measurement, correct: Correctness, target: float | None, rules: Rules | None = None
) -> Iterator[str]:
    """PERFORMANCE METRICS, of this run and of the baseline beside it."""
    name = correct.name
    yield NARROW
    yield "PERFORMANCE METRICS:"
    yield NARROW
    yield "  Baseline:"
    yield f"    - Time:     {_seconds(measured.baseline_s)}"
    yield f"    - {name}: {_number(correct.baseline)}"
    yield "  Optimized:"
    yield f"    - Time:     {_seconds(measured.candidate_s)}"
    yield f"    - {name}: {_number(correct.candidate)}"
    yield "  Results:"
    yield f"    - Speedup:  {_ratio(measured.speedup)}{'' if target is None else f' (target: {target}x)'}"
    if measured.speedup is not None:
        yield f"    - Interval: {_interval(measured.speedup)}"
        if measured.speedup.resolution is not None:
            yield f"    - Resolution: a factor of {measured.speedup.resolution:.2f} could be told; {_noise(rules)}"
    tolerance = "" if correct.tolerance is None else f" (tolerance: -{correct.tolerance:.4f})"
    difference = correct.difference
    yield f"    - {_short(name)} Diff: {'-' if difference is None else _signed(difference)}{tolerance}"
    yield NARROW


def _noise(rules: Rules | None) -> str:
    """What is known of the host's noise beforehand, and which try this is."""
    if rules is None:
        return "no certificate"
    known = f"certificate {rules.certificate.id}" if rules.certificate else "no certificate of this host"
    return known if rules.attempts == 1 else f"{known}; attempt {rules.attempt} of {rules.attempts}"


def _short(name: str) -> str:
    return "Acc" if name == "Accuracy" else name


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Each check by name, then the sum."""
    marks = {"pass": "✓", "fail": "✗", "warn": "⚠"}
    for finding in findings:
        yield f"    {marks[finding.mark]} {finding.name}: {shown(finding.text)}"
    failed = [finding for finding in findings if finding.mark == "fail"]
    for finding in failed:
        yield f"  ✗ Safety check failed: {shown(finding.text)}"
    if not failed:
        yield "  ✓ All safety checks passed"


def outcome_lines(run: Run, target: float | None) -> Iterator[str]:
    """What it comes to, and why."""
    expected = "" if target is None else f" (expected: {target}x or better)"
    where = run.stored_at or (shown(run.submission.path) if run.submission else "")
    reason, failed = shown(run.outcome.reason), f"✗ Run {run.number}: FAILURE"
    speedup = run.measurement.speedup if run.measurement else None
    match run.outcome:
        case Passed():
            yield f"  ✓ Agent achieved {reason}"
            other = [f.about for f in run.findings if f.subject == "equivalence" and f.mark == "warn"]
            if other:
                yield f"  ℹ It passes, but computes something else than the baseline in {', '.join(map(shown, other))}"
            yield f"✓ Run {run.number}: SUCCESS - Got {where}"
        case NoSubmission():
            yield f"  ⚠ Agent did not submit an optimized file path ({reason})"
            yield f"{failed} - No answer submitted{expected}"
        case MissingComponent() | Unsafe() | NotEquivalent():
            if speedup is not None:
                yield f"  ℹ Achieved {speedup.estimate:.2f}x speedup, but failed validation"
            yield f"{failed} - {reason}{expected}"
        case TooSlow():
            yield f"  ✗ {reason}"
            yield f"{failed} - {reason}"
        case Inaccurate():
            yield f"  ✗ {reason}"
            yield f"{failed} - not accurate enough: {reason}"
        case Crashed() | TimedOut() | OutOfMemory() | BadAnswer() | SandboxBroken():
            yield f"{failed} - {_words(run.outcome)}: {reason}{expected}"
        case Inconclusive():
            yield f"  ⚠ {reason}"
            yield f"? Run {run.number}: INCONCLUSIVE - it can't be told at the allowed cost; not counted"
        case Infrastructure():
            yield f"  ⚠ {reason}"
            yield f"  → {shown(run.outcome.hint)}"
            yield f"! Run {run.number}: INFRASTRUCTURE FAULT - not the agent's failure; not counted"
        case _:
            assert_never(run.outcome)
    yield ""


def _words(outcome: Outcome) -> str:
    return outcome.name.replace("_", " ")


def table_lines(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Outcome, speed-up with its bounds, difference in quality and path of each run of a results.json."""
    yield f"{'outcome':18} {'speedup':>9} {'interval':>18} {'quality':>9}  file"
    for run in runs:
        speedup, quality = run.get("speedup") or {}, (run.get("accuracy") or {}).get("difference")
        ratio = f"{speedup['estimate']:.2f}x" if speedup else "-"
        bounds = f"{speedup['low']:.2f}-{speedup['high']:.2f}" if speedup.get("low") is not None else "-"
        path = shown(str((run.get("submission") or {}).get("path", "")))
        apart = "-" if quality is None else _signed(quality)
        yield f"{shown(str(run['outcome'])):18} {ratio:>9} {bounds:>18} {apart:>9}  {path}"


def total_lines(totals: Totals, asked: int) -> Iterator[str]:
    """Passed, failed, pass rate, what is shown apart, time and cost."""
    yield WIDE
    yield "Test Results:"
    yield f"  Passed: {totals.passed}/{totals.counted}"
    yield f"  Failed: {totals.failed}/{totals.counted}"
    rate = "-" if totals.pass_rate is None else f"{100 * totals.pass_rate:.1f}%"
    yield f"  Pass Rate: {rate}"
    if totals.runs < asked:
        yield f"  Not finished: {asked - totals.runs} of {asked} runs (submissions that were collected are kept)"
    if totals.inconclusive or totals.infrastructure:
        yield f"  Not counted: {totals.inconclusive} inconclusive, {totals.infrastructure} infrastructure"
    if totals.pass_rate_low is not None and totals.pass_rate_high is not None:
        bounds = f"{100 * totals.pass_rate_low:.1f}% to {100 * totals.pass_rate_high:.1f}%"
        yield f"  By the noise of measuring: {bounds} (95%; the verdicts of one job share the baseline's samples)"
    yield f"  Total time: {totals.seconds:.0f}s, cost: ${totals.dollars:.2f}"
    yield WIDE


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _signed(value: float) -> str:
    """Four decimals with a sign; no difference is +0.0000 whichever side the rounding came from."""
    return f"{round(value, 4) + 0.0:+.4f}"


def _seconds(value: float | None) -> str:
    """Two decimals as a rule, more where a short time would show as nothing."""
    if value is None:
        return "-"
    return f"{value:.2f}s" if value >= 0.1 else f"{value:.4f}s"


def _ratio(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.estimate:.2f}x"


def _interval(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "none (one round only)"
    rounds = f"{interval.rounds} rounds"
    return f"{interval.low:.2f}x to {interval.high:.2f}x ({100 * interval.confidence:.1f}% confidence, {rounds})"
