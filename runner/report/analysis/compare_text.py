"""Jobs side by side, as a person reads it. Hostile text is escaped here."""

from collections.abc import Iterator

from runner.report.analysis.compare import Compared, Comparison, Difference, JobFigures
from runner.report.escape import capitalized, shown

NAME_MAX = 32  # chosen: columns of a job's name in the table
CANNOT_TELL = "these runs cannot tell"


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """A table of the jobs, then each against the first."""
    names = [shown(job.name, NAME_MAX) for job in comparison.jobs]
    width = max(map(len, ["job", *names]))
    head = f"{'pass rate':>10}  {'95 %':>14}  {'speed-up':>10}  {'cost a run':>10}  agent, model, task"
    yield f"{'job':{width}}  {head}"
    for name, job in zip(names, comparison.jobs, strict=True):
        yield f"{name:{width}}  {_row(job)}"
    for compared in comparison.against_first:
        yield ""
        yield from _compared_lines(compared, names[0])
    for name, job in zip(names, comparison.jobs, strict=True):
        yield from (f"Missing of {name}: {shown(line)}" for line in job.missing)


def _row(job: JobFigures) -> str:
    rate = f"{job.rate.passed} of {job.rate.counted}"
    bounds = "-" if job.rate.wilson is None else f"{100 * job.rate.wilson[0]:.0f} to {100 * job.rate.wilson[1]:.0f} %"
    speed = "-" if job.speedup is None else f"{job.speedup:.2f}x"
    cost = "-" if job.dollars is None else f"${job.dollars:.4f}"
    target = "" if job.target is None else f", target {job.target:g}x"
    who = ", ".join(shown(word) for word in (job.agent, job.model, f"{job.task} {job.scale}") if word)
    return f"{rate:>10}  {bounds:>14}  {speed:>10}  {cost:>10}  {who}{target}"


def _compared_lines(compared: Compared, first: str) -> Iterator[str]:
    yield f"{shown(compared.name)} against {first}:"
    yield f"  Pass rate: {_rate_words(compared.rate)}"
    yield f"  Speed-up (geometric mean over measured runs): {_ratio_words(compared.speedup)}"
    yield f"  Cost of a run: {_cost_words(compared.dollars)}"
    if compared.ways_not_compared:
        yield f"  Ways: not compared, {shown(compared.ways_not_compared)}"
    for only in compared.only_one:
        here, there = (", ".join(map(shown, ways)) or "none" for ways in (only.second, only.first))
        yield f"  {capitalized(shown(only.part))}: only here {here}; only in {first} {there}"
    if not compared.ways_not_compared and not compared.only_one:
        yield f"  Ways: the same {'known ' if compared.novel else ''}ones in both"
    if not compared.ways_not_compared and compared.novel:
        yield f"  Solved in no known way, which is not compared: {', '.join(map(shown, compared.novel))}"
    if compared.caution:
        yield f"  Caution: {compared.caution}"


def _rate_words(found: Difference) -> str:
    if found.estimate is None or found.low is None or found.high is None:
        return f"not compared, {shown(found.not_compared)}"
    words = f"{100 * found.estimate:+.0f} points (95 %: {100 * found.low:+.0f} to {100 * found.high:+.0f})"
    return words + ("" if found.told else f": {CANNOT_TELL}")


def _ratio_words(found: Difference) -> str:
    if found.estimate is None:
        return f"not compared, {shown(found.not_compared)}"
    return _with_bounds(f"{found.estimate:.2f} times", found, "{:.2f}")


def _cost_words(found: Difference) -> str:
    if found.estimate is None:
        return f"not compared, {shown(found.not_compared)}"
    if found.estimate == found.low == found.high == 0.0:
        return "the same"
    return _with_bounds(f"{found.estimate:+.4f} US dollars", found, "{:+.4f}")


def _with_bounds(words: str, found: Difference, form: str) -> str:
    if found.low is None or found.high is None:
        return f"{words}; one run of each gives no bounds: {CANNOT_TELL}"
    bounds = f"{words} (95 %: {form.format(found.low)} to {form.format(found.high)})"
    return bounds + ("" if found.told else f": {CANNOT_TELL}")
