"""The report of a job on the console: each run as it is decided, a table and the totals at the end."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich.text import Text

from runner.budget.estimate import Estimate
from runner.records.run import JobConfig, Run, Totals
from runner.report.run_view import Lines, run_lines, summary_of, table_lines

WIDE = "=" * 60  # columns


class Console:
    """Prints a job's report as it comes about.

    Args:
        quality: what the task calls its quality.
        target: speed-up asked for; None where quality alone counts.
        verbose: list every check, and every state of the file.
        snapshots: show the states of the file, since they were asked to be graded.
    """

    def __init__(
        self, out: TextIO, quality: str, *, target: float | None = None, verbose: bool = False, snapshots: bool = False
    ) -> None:
        self._out, self._quality, self._target = out, quality, target
        self._verbose, self._snapshots = verbose, snapshots
        self._has_baseline = False

    def header(self, config: JobConfig, title: str) -> None:
        """What is going to happen."""
        mode = " sequentially" if config.concurrency == 1 else f", {config.concurrency} at a time"
        self._print(f"Task: {config.task} ({title}), scale {config.scale}, agent {config.agent}")
        self._print(f"Running {config.runs} test iterations{mode}...")
        self._print(WIDE)

    def run(self, run: Run) -> None:
        """One run's block, as soon as its outcome is final."""
        if not self._has_baseline and run.grading and run.grading.measurement and run.grading.measurement.baseline_s:
            self._has_baseline = True
            self._lines(baseline_lines(run))
        self._lines(run_lines(run, target=self._target, verbose=self._verbose, snapshots=self._snapshots))

    def end(self, runs: Sequence[Run], totals: Totals, asked: int, results: Path) -> None:
        """The table of runs, the totals, and where the results are; `asked` is how many runs there were to be."""
        if runs:
            self._print(WIDE)
            rows = [summary_of(run) for run in sorted(runs, key=lambda run: run.number)]
            self._lines(table_lines(rows, self._quality))
        self._lines(total_lines(totals, asked))
        self._print(f"Results: {results}")

    def _lines(self, lines: Iterable[Text]) -> None:
        for line in lines:
            self._print(line.plain)

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def baseline_lines(run: Run) -> Lines:
    """The baseline, once, as it was measured beside the first graded run."""
    assert run.grading is not None and run.grading.measurement is not None
    measurement, quality = run.grading.measurement, run.grading.quality
    rounds = sum(sample.side == "baseline" for sample in measurement.samples)
    value = "" if quality is None or quality.baseline is None else f", {quality.name.lower()}={quality.baseline:.4f}"
    spread = "one round" if rounds == 1 else f"mean of {rounds} rounds"
    yield Text(f"Baseline: time={measurement.baseline_s:.2f}s{value} ({spread})")


def total_lines(totals: Totals, asked: int) -> Lines:
    """Passed, failed, pass rate, what is not counted, time and cost; a figure that nobody measured is left out."""
    yield Text(WIDE)
    yield Text("Test Results:")
    yield Text(f"  Passed: {totals.passed}/{totals.counted}")
    yield Text(f"  Failed: {totals.failed}/{totals.counted}")
    rate = "none: no run counts" if totals.pass_rate is None else f"{100 * totals.pass_rate:.1f}%"
    yield Text(f"  Pass Rate: {rate}{_noise_words(totals)}")
    if totals.runs < asked:
        yield Text(f"  Not finished: {asked - totals.runs} of {asked} runs (submissions that were collected are kept)")
    if totals.inconclusive or totals.infrastructure:
        yield Text(f"  Not counted: {totals.inconclusive} inconclusive, {totals.infrastructure} infrastructure")
    cost = f", cost: ${totals.dollars:.2f}" if totals.dollars else ""
    yield Text(f"  Total time: {totals.seconds:.0f}s{cost}")
    yield Text(WIDE)


def _noise_words(totals: Totals) -> str:
    """How far the noise of the measurement alone could have moved the rate; empty where it could not."""
    low, high = totals.pass_rate_low, totals.pass_rate_high
    if low is None or high is None or low == high:
        return ""
    return f" (measurement noise alone: {100 * low:.1f}% to {100 * high:.1f}%)"


def estimate_lines(estimate: Estimate, config: JobConfig, *, known: bool) -> Iterator[str]:
    """What a job with a model can cost, and about how long its episodes take."""
    yield f"{config.runs} runs of {config.task} by {config.model}, {config.concurrency} at a time"
    if known:
        cap = 0.0 if config.dollars_max is None else config.dollars_max
        guess = (
            f"; a guess of the most that its limits allow: ${estimate.dollars_max:.2f}"
            if estimate.dollars_is_guess
            else ""
        )
        yield (
            f"  cost: at most ${cap:.2f} (--job-cost-limit; every turn is reserved before it is sent){guess}; "
            f"an episode of nothing but its dearest turns: about ${estimate.episode_dollars_max:.2f}"
        )
    else:
        yield "  cost: unknown, since no price of this model is known (--price IN/OUT); no limit on dollars can hold"
    yield (
        f"  time: a guess of {_minutes(estimate.episodes_s)} for the episodes (at most "
        f"{_minutes(estimate.episodes_s_max)}), besides the measuring"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
