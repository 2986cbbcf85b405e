"""The analysis as a person reads it: a summary for the console, and the whole as Markdown. Hostile text is escaped here."""

from collections.abc import Iterator, Sequence

from runner.report.analysis.analysis import Analysis, Failure
from runner.report.analysis.convergence import DEFINITION, Convergence
from runner.report.analysis.measured import measured_section
from runner.report.analysis.rates import Rate
from runner.report.analysis.strategies import PartFound, Way
from runner.report.analysis.tables import table as _table
from runner.report.analysis.targets import TargetCurve, TargetRange, rate_at
from runner.report.analysis.trajectories import RunPath
from runner.report.escape import capitalized, in_markdown, shown, shown_lines

# Lines of each list in the summary, which is to fit on a screen. chosen.
FAILURES_SHOWN, GROUPS_SHOWN, WAYS_SHOWN, PARTS_SHOWN, JOBS_SHOWN, MISSING_SHOWN, UNPARSED_SHOWN = 5, 5, 4, 7, 3, 3, 2
BAR = 20  # columns of a bar
EXCERPT_COLUMNS = 120  # chosen: a line of code


# The summary


def summary_lines(analysis: Analysis) -> Iterator[str]:
    """At most 40 lines."""
    yield "Analysis:"
    yield from _first(_job_lines(analysis), JOBS_SHOWN, "jobs")
    yield f"  Pass rate: {_rate_words(analysis.of_counted)}"
    yield from _tries_lines(analysis)
    yield from (f"  {line}" for line in _target_lines(analysis))
    yield from (f"  {line}" for line in _convergence_lines(analysis))
    yield from _first(_unparsed_lines(analysis), UNPARSED_SHOWN, "that do not parse")
    yield from _first([_part_words(part) for part in analysis.parts], PARTS_SHOWN, "parts")
    yield from (f"  {run.title}: run {run.run}, {run.detail}" for run in analysis.notable)
    yield from _first([_failure_words(failure) for failure in analysis.failures], FAILURES_SHOWN, "ways to fail")
    yield from _effort_lines(analysis)
    yield from _first([f"Missing: {shown(line)}" for line in analysis.missing], MISSING_SHOWN, "things missing")


def short_summary_lines(analysis: Analysis) -> Iterator[str]:
    """At most 9 lines, for one of several analyses."""
    yield f"Task {shown(analysis.task)}, scale {shown(analysis.scale)}: {shown(analysis.job)}"
    yield f"  Pass rate: {_rate_words(analysis.of_counted)}"
    yield from (f"  {line}" for line in _target_lines(analysis))
    yield from (f"  {line}" for line in _convergence_lines(analysis))
    if analysis.missing:
        yield f"  Missing: {shown('; '.join(analysis.missing))}"


def _first(lines: Sequence[str], count: int, what: str) -> Iterator[str]:
    """The first lines, and how many there are besides."""
    yield from (f"  {line}" for line in lines[:count])
    if len(lines) > count:
        yield f"  and {len(lines) - count} more {what}"


def _job_lines(analysis: Analysis) -> list[str]:
    return [
        f"Runs {job.first} to {job.last} are those of {shown(job.name)}, {job.runs} with an outcome"
        for job in analysis.jobs
    ]


def _unparsed_lines(analysis: Analysis) -> list[str]:
    failed = analysis.convergence.not_parsed if analysis.convergence is not None else {}
    return [f"Run {run} does not parse: {shown(reason)}" for run, reason in failed.items()]


def _rate_words(rate: Rate) -> str:
    if rate.value is None or rate.wilson is None:
        return "nothing counts"
    low, high = rate.wilson
    return f"{rate.passed} of {rate.counted} ({_percent(rate.value)}; 95 %: {_percent(low)} to {_percent(high)})"


def _tries_lines(analysis: Analysis) -> Iterator[str]:
    known = [tries for tries in analysis.tries if tries.at_least_one is not None]
    if len(known) > 1:
        words = ", ".join(f"{_percent(tries.at_least_one)} in {tries.k}" for tries in known)
        yield f"  One of k passes (pass@k): {words}"


def _target_lines(analysis: Analysis) -> Iterator[str]:
    curve = analysis.curve
    if curve is None or curve.target is None:
        return
    yield f"Target {curve.target:g}x passes {_percent(rate_at(curve, curve.target))} of {curve.runs} runs"
    low, high = analysis.wanted
    yield f"Wanted {_percent(low)} to {_percent(high)}: {_range_words(analysis.wanted_range)}"
    yield f"With {curve.runs} runs the pass rate at a target is known to within {100 * curve.half_width:.0f} points"
    if curve.other_failures:
        lost = ", ".join(f"{name.replace('_', ' ')} {_percent(n / curve.runs)}" for name, n in curve.other_failures)
        yield f"No target passes more than {_percent(curve.ceiling)}: lost to {lost}"


def _range_words(found: TargetRange | None) -> str:
    if found is None or found.high is None or found.low is None:
        return found.reason if found is not None else "nothing was measured"
    return f"a target over {found.low:.1f}x, up to {found.high:.1f}x"


def _convergence_lines(analysis: Analysis) -> Iterator[str]:
    found = analysis.convergence
    if found is None:
        yield f"Convergence: not known, {shown(analysis.no_convergence)}"
        return
    if found.mean is None:
        parsed = "only one submission" if found.runs else "no submission"
        yield f"Convergence: not known, {parsed} could be parsed"
        return
    bounds = (
        "" if found.low is None or found.high is None else f" (95 %: {_percent(found.low)} to {_percent(found.high)})"
    )
    untold = "" if found.is_told else f", {len(found.runs)} submissions cannot tell"
    yield f"Convergence: {_percent(found.mean)}{bounds}{untold}: {DEFINITION}"
    distinct = f"{found.distinct or 0.0:.1f} of {len(found.runs)}"
    yield f"Distinct solutions: {distinct}, in {len(found.groups)} groups: {_groups(found)}"


def _part_words(part: PartFound) -> str:
    ways = ", ".join(f"{shown(way.title)} {len(way.runs)}" for way in part.ways[:WAYS_SHOWN])
    more = f" and {len(part.ways) - WAYS_SHOWN} more" if len(part.ways) > WAYS_SHOWN else ""
    if part.not_seen:
        more += f", not seen {len(part.not_seen)}"
    return (
        f"{capitalized(shown(part.name))} ({part.submissions} submissions): {ways.strip() or 'none'}{more}; "
        f"{_percent(part.leading_share)} the same way, {part.effective:.1f} effective ways"
    )


def _groups(found: Convergence) -> str:
    shown_groups = ["+".join(map(str, group)) for group in found.groups[:GROUPS_SHOWN]]
    more = len(found.groups) - len(shown_groups)
    return ", ".join(shown_groups) + (f" and {more} more" if more > 0 else "")


def _failure_words(failure: Failure) -> str:
    cause = f", {shown(failure.cause)}" if failure.cause else ""
    runs = "run" if len(failure.runs) == 1 else "runs"
    return f"{capitalized(failure.outcome.replace('_', ' '))}{cause}: {runs} {', '.join(map(str, failure.runs))}"


def _effort_lines(analysis: Analysis) -> Iterator[str]:
    medians = analysis.median_effort
    if not medians:
        return
    times = ", ".join(f"{kind} {value:.1f} s" for kind, value in medians.items() if kind not in ("turns", "calls"))
    yield f"  An episode (median): {medians['turns']:g} turns, {medians['calls']:g} calls; {times}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


# The whole


def markdown(analysis: Analysis) -> str:
    """The analysis as a document, with every table whole."""
    return "\n".join(_document(analysis)).rstrip("\n") + "\n"


def _document(analysis: Analysis) -> Iterator[str]:
    yield from (f"# What the runs of {_plain(analysis.job)} say", "")
    yield from (f"Task {_plain(analysis.task)}, scale {_plain(analysis.scale)}.", "")
    yield from (f"{in_markdown(line)}.\n" for line in _job_lines(analysis))
    yield from ("## Pass rate", "")
    yield from _table(("of", "passed", "rate", "95 % (Wilson)", "95 % (Jeffreys)"), _rate_rows(analysis))
    rows = [(str(t.k), _percent(t.at_least_one), _percent(t.all_of_them)) for t in analysis.tries]
    yield from _table(("k", "at least one of k (pass@k)", "all of k (pass^k)"), rows)
    yield from ("## Where the target lies", "")
    yield from _target_section(analysis)
    yield from ("## Convergence", "")
    yield from (f"{in_markdown(line)}\n" for line in _convergence_lines(analysis))
    if analysis.convergence is not None and len(analysis.convergence.runs) > 1:
        yield from _matrix(analysis.convergence)
    yield from (f"{in_markdown(line)}\n" for line in _unparsed_lines(analysis))
    yield from ("## How each part was solved", "")
    yield from _parts_section(analysis)
    yield from ("## Runs that stand out", "")
    yield from _table(
        ("in what", "run", "figures"), [(run.title, str(run.run), run.detail) for run in analysis.notable]
    )
    if analysis.measured is not None:
        yield from ("## Measured", "")
        yield from measured_section(analysis.measured)
    yield from ("## Failures", "")
    failures = [(f.outcome, shown(f.cause), ", ".join(map(str, f.runs))) for f in analysis.failures]
    yield from _table(("outcome", "cause", "runs"), failures)
    yield from ("## How each run went", "")
    yield from _table(
        ("run", "ended", "turns", "first file after turn", "first that passes", "states (graded)", "tokens", "dollars"),
        [_path_row(path) for path in analysis.paths],
    )
    yield from ("Medians of those that passed and of those that failed; a difference is no cause.", "")
    rows = [(found.what, _figure(found.passed), _figure(found.failed)) for found in analysis.contrasts]
    yield from _table(("what", "passed", "failed"), rows)
    yield from ("## Effort", "")
    yield from _effort_table(analysis)
    if analysis.missing:
        yield from ("## What is missing", "")
        yield from (f"- {_plain(line)}" for line in analysis.missing)


def _plain(text: str) -> str:
    """A hostile text that is one line of the document, and nothing but text."""
    return in_markdown(shown(text))


def _rate_rows(analysis: Analysis) -> list[tuple[str, ...]]:
    named = (("runs that count", analysis.of_counted), ("all runs", analysis.of_all))
    return [
        (name, f"{rate.passed} of {rate.counted}", _percent(rate.value), _bounds(rate.wilson), _bounds(rate.jeffreys))
        for name, rate in named
    ]


def _bounds(bounds: tuple[float, float] | None) -> str:
    return "-" if bounds is None else f"{_percent(bounds[0])} to {_percent(bounds[1])}"


def _target_section(analysis: Analysis) -> Iterator[str]:
    if analysis.curve is None:
        yield from ("No target was asked for, or no run was measured.", "")
        return
    yield from (f"{line}\n" for line in _target_lines(analysis))
    yield from (
        "A submission passes at every target up to the lower bound of its interval, if only its speed is in question.",
        "",
    )
    rows = [_point_row(analysis.curve, number) for number in range(len(analysis.curve.points))]
    yield from _table(("target", "pass rate", "", "band of the whole curve, 95 %"), rows)


def _point_row(curve: TargetCurve, number: int) -> tuple[str, ...]:
    point = curve.points[number]
    bar = "█" * round(BAR * point.rate)
    return f"up to {point.target:.2f}x", _percent(point.rate), bar, f"{_percent(point.low)} to {_percent(point.high)}"


def _parts_section(analysis: Analysis) -> Iterator[str]:
    if not analysis.parts:
        yield from ("The task names no parts, or nothing could be parsed.", "")
        return
    for part in analysis.parts:
        counted = f"of {part.submissions} submissions; one may take several ways"
        yield from (f"**{in_markdown(capitalized(shown(part.name)))}**, {counted}.", "")
        head = ("way", "runs", "passed", "speed-up", "quality", "lines")
        yield from _table(head, [_way_row(way) for way in part.ways])
        for way in part.ways:
            if way.excerpt:
                yield from (f"{in_markdown(capitalized(shown(way.title)))}, run {way.runs[0]}:", "")
                yield from (*(f"    {line}" for line in shown_lines(way.excerpt, EXCERPT_COLUMNS)), "")
        if part.not_seen:
            yield from (f"Not seen in runs {', '.join(map(str, part.not_seen))}.", "")
        if part.untried:
            yield from (f"Not tried: {', '.join(map(_plain, part.untried))}.", "")


def _way_row(way: Way) -> tuple[str, ...]:
    speed = "-" if way.speedups is None else f"{way.speedups[0]:.2f}x to {way.speedups[1]:.2f}x"
    quality = "-" if way.qualities is None else f"{way.qualities[0]:.4f} to {way.qualities[1]:.4f}"
    passed = f"{way.passed} of {len(way.runs)}"
    return shown(way.title), ", ".join(map(str, way.runs)), passed, speed, quality, f"{way.lines:g}"


def _path_row(path: RunPath) -> tuple[str, ...]:
    turns = ("-" if turn is None else str(turn) for turn in (path.first_file, path.first_passing))
    states = f"{path.states} ({path.graded})"
    return str(path.run), shown(path.ended), str(path.turns), *turns, states, str(path.tokens), f"{path.dollars:.4f}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _matrix(found: Convergence) -> Iterator[str]:
    yield from ("Similarity of the changes, by run:", "")
    rows = [
        (str(run), *(_percent(value) for value in row)) for run, row in zip(found.runs, found.similarity, strict=True)
    ]
    yield from _table(("run", *map(str, found.runs)), rows, first_bold=True)


def _effort_table(analysis: Analysis) -> Iterator[str]:
    kinds = sorted({kind for effort in analysis.effort.values() for kind in effort.by_kind})
    rows = [
        (
            str(run),
            str(effort.turns),
            str(effort.calls),
            str(effort.errors),
            "-" if effort.seconds is None else f"{effort.seconds:.1f}",
            *(f"{effort.by_kind.get(kind, 0.0):.1f}" for kind in kinds),
        )
        for run, effort in analysis.effort.items()
    ]
    yield from _table(("run", "turns", "calls", "wrong calls", "seconds", *(f"{kind}, s" for kind in kinds)), rows)
