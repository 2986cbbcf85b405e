"""A run as a person reads it: its figures, what the checks found, the verdict; and a table of runs.

The one renderer of a run: the console of a job, `show`, `grade` and `regrade` print these lines. What comes from a guest
passes through `shown`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from rich.text import Text

from runner.records.grading import Finding, Grading, Interval, Measurement, Quality, Rules
from runner.records.outcome import PROPERTIES, Outcome, OutcomeKind
from runner.records.run import Run, SnapshotRecord, SubmissionRecord, best_so_far
from runner.report.escape import shown

DIM, GOOD, BAD, DOUBT = "dim", "green", "red", "yellow"
MARKS = {"pass": ("✓", GOOD), "fail": ("✗", BAD), "warn": ("⚠", DOUBT), "unchecked": ("–", DOUBT)}
Lines = Iterator[Text]


# One run


def run_lines(run: Run, *, target: float | None = None, verbose: bool = False, snapshots: bool = False) -> Lines:
    """A run's block: metrics, checks, the verdict, an empty line.

    Args:
        target: speed-up asked for, where the run has no rules that say so.
        verbose: list the passed checks, too, and what is known of the measurement's resolution.
        snapshots: show the states of the submission's file.
    """
    target = run.grading.rules.target if run.grading and run.grading.rules else target
    if run.submission is not None:
        yield Text(f"Graded {_file(run.submission)} ({_source_words(run.submission)})")
    if run.grading is not None:
        yield from grading_lines(run.grading, target, verbose=verbose)
    if run.episode is not None and run.episode.facts:
        facts = ", ".join(f"{name} {value}" for name, value in run.episode.facts.items())
        yield Text(f"  ℹ Agent: {shown(facts)}")
    if snapshots or verbose:
        yield from snapshot_lines(run.snapshots)
    yield verdict_line(run, target)
    if run.outcome.hint:
        yield Text(f"  hint: {shown(run.outcome.hint)}")
    yield Text()


def _file(submission: SubmissionRecord) -> str:
    return shown(submission.stored_at or submission.path)


def _source_words(submission: SubmissionRecord) -> str:
    if submission.snapshot_turn is None:
        return f"submitted as {shown(submission.path)}"
    return f"the last state of the file, after turn {submission.snapshot_turn}: nothing was submitted"


def grading_lines(grading: Grading, target: float | None, *, verbose: bool) -> Lines:
    """Metrics, then what the checks found, then notes."""
    if grading.measurement is not None and grading.quality is not None:
        yield from metric_lines(grading.measurement, grading.quality, target)
        if verbose and grading.measurement.speedup is not None:
            yield from _resolution_lines(grading.measurement.speedup, grading.rules)
    yield from check_lines(grading.findings, verbose=verbose)
    for note in grading.notes:
        yield Text(f"  ℹ {shown(note)}")


def metric_lines(measurement: Measurement, quality: Quality, target: float | None) -> Lines:
    """PERFORMANCE METRICS, of this run and of the baseline that was measured with it."""
    name = quality.name
    if measurement.baseline_s is None:  # nothing was compared: a time that nobody measured is not shown
        bar = "" if quality.bar is None else f" (at least {number_words(quality.bar)} is needed)"
        took = "" if measurement.candidate_s is None else f", in {seconds_words(measurement.candidate_s)} (mean)"
        yield Text(f"  {name}: {number_words(quality.candidate)}{bar}{took}")
        return
    yield Text("  PERFORMANCE METRICS:")
    yield Text(f"    Baseline:  Time {seconds_words(measurement.baseline_s)}, {name} {number_words(quality.baseline)}")
    yield Text(
        f"    Optimized: Time {seconds_words(measurement.candidate_s)}, {name} {number_words(quality.candidate)}"
    )
    if measurement.speedup is not None:
        asked = "" if target is None else f" (target: {target}x)"
        yield Text(f"    Speedup:   {measurement.speedup.estimate:.2f}x{asked}{_interval_words(measurement.speedup)}")
    if quality.difference is not None:
        tolerance = "" if quality.tolerance is None else f" (tolerance: -{quality.tolerance:.4f})"
        yield Text(f"    {f'{short_name(name)} Diff:':10} {_signed(quality.difference)}{tolerance}")


def short_name(name: str) -> str:
    """A quality's name before «Diff»."""
    return "Acc" if name == "Accuracy" else name


def _interval_words(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return ", one round only: no interval"
    bounds = f"{interval.low:.2f}x to {interval.high:.2f}x"
    return f", {bounds} at {100 * interval.confidence:.1f}% confidence in {interval.rounds} rounds"


def _resolution_lines(speedup: Interval, rules: Rules | None) -> Lines:
    """The smallest factor that could have been told, and what was known of the host's noise beforehand."""
    if speedup.resolution is None:
        return
    known = "no certificate of this host"
    if rules is not None and rules.certificate is not None:
        known = f"certificate {rules.certificate.id}"
    if rules is not None and rules.attempts > 1:
        known += f"; attempt {rules.attempt} of {rules.attempts}"
    yield Text(f"    Resolution: a factor of {speedup.resolution:.2f} could be told; {known}", DIM)


def check_lines(findings: Sequence[Finding], *, verbose: bool) -> Lines:
    """Failures, warnings and what was not checked, or that there are no failures; with `verbose` every check by name."""
    if not findings:
        return
    if verbose:
        for finding in findings:
            mark, style = MARKS[finding.mark]
            yield Text.assemble("    ", (mark, style), f" {shown(finding.name)}: {shown(finding.text)}")
    failed = [finding for finding in findings if finding.mark == "fail"]
    warned = [finding for finding in findings if finding.mark == "warn"]
    for finding in failed:
        what = "" if finding.subject in ("answer", "build") else "Safety check failed: "
        yield Text.assemble("  ", ("✗", BAD), f" {what}{shown(finding.text)}")
    for finding in () if verbose else warned:
        yield Text.assemble("  ", ("⚠", DOUBT), f" {shown(finding.text)}")
    unchecked = [finding for finding in findings if finding.mark == "unchecked"]
    for finding in () if verbose or failed else unchecked:
        yield Text.assemble("  ", ("–", DOUBT), f" Not checked: {finding.check}: {shown(finding.text)}")
    if not failed:
        made = "All safety checks that could be made passed" if unchecked else "All safety checks passed"
        yield Text.assemble("  ", ("✓", GOOD), f" {made}")


def verdict_line(run: Run, target: float | None) -> Text:
    """The one line that says how the run ended, and why."""
    expected = "" if target is None else f" (expected: {target}x or better)"
    reason = shown(run.outcome.reason)
    failed_checks = [f for f in (run.grading.findings if run.grading else ()) if f.mark == "fail"]
    speedup = run.speedup
    name, kind = f"Run {run.number}", run.outcome.kind
    match kind:
        case OutcomeKind.PASSED:
            where = f" - Got {_file(run.submission)}" if run.submission else ""
            words = f"✓ {name}: SUCCESS - {reason}{where}"
        case OutcomeKind.MISSING_COMPONENT | OutcomeKind.UNSAFE | OutcomeKind.NOT_EQUIVALENT:
            what = f"{kind.words}, see the failed check above" if failed_checks else reason
            ratio = "" if speedup is None else f"; achieved {speedup.estimate:.2f}x speedup, but failed validation"
            words = f"✗ {name}: FAILURE - {what}{ratio}{expected}"
        case OutcomeKind.NO_SUBMISSION:
            words = f"✗ {name}: FAILURE - No answer submitted: {reason}{expected}"
        case OutcomeKind.TOO_SLOW | OutcomeKind.UNSTABLE:
            words = f"✗ {name}: FAILURE - {reason}"
        case OutcomeKind.INACCURATE:
            words = f"✗ {name}: FAILURE - not accurate enough: {reason}"
        case (
            OutcomeKind.CRASHED
            | OutcomeKind.TIMED_OUT
            | OutcomeKind.OUT_OF_MEMORY
            | OutcomeKind.BAD_ANSWER
            | OutcomeKind.BUILD_FAILED
            | OutcomeKind.SANDBOX_BROKEN
        ):
            words = f"✗ {name}: FAILURE - {kind.words}: {reason}{expected}"
        case OutcomeKind.INCONCLUSIVE:
            words = f"? {name}: INCONCLUSIVE - {reason}; not counted"
        case OutcomeKind.INFRASTRUCTURE:
            words = f"! {name}: INFRASTRUCTURE FAULT - {reason}; not the agent's failure, not counted"
        case _:
            assert_never(kind)
    return Text(words, colour_of(run.outcome))


def colour_of(outcome: Outcome | None) -> str:
    """The colour of an outcome's name; of one that is not known yet, that of doubt."""
    return DOUBT if outcome is None else PROPERTIES[outcome.kind].colour


def snapshot_lines(snapshots: Sequence[SnapshotRecord]) -> Lines:
    """Each state of the file over turns, tokens and dollars, and the best of those that pass so far."""
    if not snapshots:
        return
    yield Text("  Best so far, over the states of the file:")
    yield Text(f"  {'turn':>6} {'tokens':>10} {'cost':>10}  {'outcome':18} {'speed-up':>9} {'best':>9}", DIM)
    for snapshot, best in zip(snapshots, best_so_far(snapshots), strict=True):
        words = snapshot.outcome.kind.words if snapshot.outcome else "not graded"
        yield Text.assemble(
            f"  {snapshot.turn:>6} {snapshot.tokens:>10} {f'${snapshot.dollars:.4f}':>10}  ",
            (f"{words:18}", colour_of(snapshot.outcome)),
            f" {ratio_words(snapshot.speedup.estimate if snapshot.speedup else None):>9} {ratio_words(best):>9}",
        )


# A table of runs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run on one line.

    Attributes:
        outcome: None where there is no verdict yet.
        speedup, low, high: ratio and its bounds; None where none was measured.
        quality: the candidate's mean.
        turns, dollars, seconds: of the episode; None for a file that was graded without an agent.
        ending: why the episode ended, or which file it is; hostile text.
    """

    number: int
    outcome: OutcomeKind | None = None
    speedup: float | None = None
    low: float | None = None
    high: float | None = None
    quality: float | None = None
    turns: int | None = None
    dollars: float | None = None
    seconds: float | None = None
    ending: str = ""


def summary_of(run: Run) -> RunSummary:
    """The line of a run that has its outcome."""
    episode, speedup = run.episode, run.speedup
    return RunSummary(
        number=run.number,
        outcome=run.outcome.kind,
        speedup=speedup.estimate if speedup else None,
        low=speedup.low if speedup else None,
        high=speedup.high if speedup else None,
        quality=run.grading.quality.candidate if run.grading and run.grading.quality else None,
        turns=episode.turns if episode else None,
        dollars=episode.dollars if episode else None,
        seconds=episode.seconds if episode else None,
        ending=episode.ending if episode else run.submission.path if run.submission else "",
    )


def table_lines(rows: Sequence[RunSummary], quality: str = "Quality") -> Lines:
    """The runs as a table; a column that no run has a value for is left out."""
    with_turns = any(row.turns is not None for row in rows)
    with_cost = any(row.dollars for row in rows)
    head = f"{'run':>4}  {'outcome':18} {'speed-up':>9} {'interval':>18} {shown(quality)[:10]:>10}"
    head += f" {'turns':>6}" if with_turns else ""
    head += f" {'cost':>9}" if with_cost else ""
    head += f" {'time':>7}" if with_turns else ""
    yield Text(f"{head}  {'ending' if with_turns else 'file'}", DIM)
    for row in rows:
        words = row.outcome.words if row.outcome is not None else "no verdict yet"
        colour = PROPERTIES[row.outcome].colour if row.outcome is not None else DOUBT
        bounds = "-" if row.low is None or row.high is None else f"{row.low:.2f}x-{row.high:.2f}x"
        rest = f" {ratio_words(row.speedup):>9} {bounds:>18} {number_words(row.quality):>10}"
        rest += f" {'-' if row.turns is None else row.turns:>6}" if with_turns else ""
        rest += f" {f'${row.dollars or 0.0:.4f}':>9}" if with_cost else ""
        rest += f" {'-' if row.seconds is None else f'{row.seconds:.0f}s':>7}" if with_turns else ""
        yield Text.assemble(f"{row.number:>4}  ", (f"{words:18}", colour), rest, f"  {shown(row.ending)}".rstrip())


# Figures


def number_words(value: float | None) -> str:
    """Four decimals, or a dash."""
    return "-" if value is None else f"{value:.4f}"


def _signed(value: float) -> str:
    """Four decimals with a sign; no difference is +0.0000 whichever side the rounding came from."""
    return f"{round(value, 4) + 0.0:+.4f}"


def seconds_words(value: float | None) -> str:
    """Two decimals as a rule, more where a short time would show as nothing."""
    if value is None:
        return "-"
    return f"{value:.2f}s" if value >= 0.1 else f"{value:.4f}s"


def ratio_words(value: float | None) -> str:
    """Two decimals and an x, or a dash."""
    return "-" if value is None else f"{value:.2f}x"
