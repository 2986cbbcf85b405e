"""Jobs side by side: differences of pass rates, speed-ups and cost, with intervals, and what only one of them did. Pure.

Each job is compared with the first. An interval that holds «no difference» means that these runs cannot tell; each is right
in 95 of 100 by itself, not all of them at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy import special

from runner.records.outcome import properties
from runner.records.run import JobConfig, Run
from runner.report.analysis.analysis import Analysis
from runner.report.analysis.rates import LEVEL, Rate, wilson

SCHEMA = 1  # the form of what `compare --json` prints


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two jobs differ in one figure.

    Attributes:
        estimate: the second less the first (pass rate, US dollars a run), or the second over the first (speed-up).
        low, high: its 95 % bounds; None where there are too few runs for any.
        told: whether the bounds leave «no difference» out.
        not_compared: why there is no estimate; empty where there is one.
    """

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    told: bool = False
    not_compared: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFigures:
    """One of the jobs.

    Attributes:
        name, task, scale, target, agent, model, version: of the job; `version` is the digest of the task's files.
        rate: over the runs that count.
        speedup: geometric mean of the measured speed-ups, over `measured` runs; None without one.
        dollars: mean cost of an episode, US dollars; None without one.
        ways: by part, the known ways that its submissions took; empty where they were not parsed.
        novel: by part, the runs that solved it in no known way; parts with any.
        missing: what could not be read.
    """

    name: str
    task: str
    scale: str
    target: float | None
    agent: str
    model: str
    version: str
    rate: Rate
    speedup: float | None
    measured: int
    dollars: float | None
    ways: dict[str, dict[str, str]]
    novel: dict[str, tuple[int, ...]]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyOne:
    """Ways to solve a part that one of two jobs took and the other did not.

    Attributes:
        part: its name.
        first, second: titles of ways that only the first, or only the second, took.
    """

    part: str
    first: tuple[str, ...]
    second: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A job against the first.

    Attributes:
        name: of the job.
        rate: difference of the pass rates, by Newcombe's method 10 (1998).
        speedup: ratio of the geometric means of the measured speed-ups, by Welch's t on their logarithms.
        dollars: difference of the mean cost of an episode, by Welch's t.
        only_one: known ways that one of them alone took, by part.
        novel: parts that some submission of one or the other solved in no known way: whether these are the same is not told.
        ways_not_compared: why there are none; empty where they were compared.
        caution: what else differs, where it matters; empty where nothing does.
    """

    name: str
    rate: Difference
    speedup: Difference
    dollars: Difference
    only_one: tuple[OnlyOne, ...]
    novel: tuple[str, ...]
    ways_not_compared: str
    caution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Jobs side by side.

    Attributes:
        schema: the form of this record.
        jobs: all of them, in the order in which they were named.
        against_first: each but the first, compared with it.
    """

    schema: int = SCHEMA
    jobs: tuple[JobFigures, ...]
    against_first: tuple[Compared, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedJob:
    """What is compared of a job: its records and its analysis."""

    config: JobConfig
    runs: Sequence[Run]
    analysis: Analysis


def compare_jobs(jobs: Sequence[ComparedJob]) -> Comparison:
    """The jobs side by side; the first is what the others are compared with."""
    return Comparison(
        jobs=tuple(map(_figures, jobs)), against_first=tuple(_compared(jobs[0], other) for other in jobs[1:])
    )


# One job


def _figures(job: ComparedJob) -> JobFigures:
    speeds, costs = _speedups(job.runs), _costs(job.runs)
    return JobFigures(
        name=job.config.name,
        task=job.config.task,
        scale=job.config.scale,
        target=job.config.target,
        agent=job.config.agent,
        model=job.config.model,
        version=job.config.task_digest,
        rate=job.analysis.of_counted,
        speedup=math.exp(fmean(speeds)) if speeds else None,
        measured=len(speeds),
        dollars=fmean(costs) if costs else None,
        ways=_ways(job.analysis),
        novel=_novel(job.analysis),
        missing=job.analysis.missing,
    )


def _speedups(runs: Sequence[Run]) -> list[float]:
    """Logarithms of the measured speed-ups of runs that count."""
    counted = [run for run in runs if properties(run.outcome).counts]
    return [math.log(run.speedup.estimate) for run in counted if run.speedup and run.speedup.estimate > 0.0]


def _costs(runs: Sequence[Run]) -> list[float]:
    return [run.episode.dollars for run in runs if run.episode is not None and run.episode.dollars is not None]


def _ways(analysis: Analysis) -> dict[str, dict[str, str]]:
    return {part.name: {way.id: way.title for way in part.ways if way.is_known} for part in analysis.parts}


def _novel(analysis: Analysis) -> dict[str, tuple[int, ...]]:
    found = {
        part.name: tuple(sorted(run for way in part.ways if not way.is_known for run in way.runs))
        for part in analysis.parts
    }
    return {part: runs for part, runs in found.items() if runs}


# Two jobs


def _compared(first: ComparedJob, second: ComparedJob) -> Compared:
    apart = _apart(first.config, second.config)
    speed_apart = _apart(first.config, second.config, of=("task", "scale"))
    tasks_apart = _apart(first.config, second.config, of=("task",))
    return Compared(
        name=second.config.name,
        rate=Difference(not_compared=apart) if apart else _rates(first.analysis.of_counted, second.analysis.of_counted),
        speedup=Difference(not_compared=speed_apart) if speed_apart else _ratio(first.runs, second.runs),
        dollars=welch(_costs(first.runs), _costs(second.runs), "episodes with a known cost"),
        only_one=() if tasks_apart else _only_one(first.analysis, second.analysis),
        novel=() if tasks_apart else tuple(dict.fromkeys((*_novel(first.analysis), *_novel(second.analysis)))),
        ways_not_compared=tasks_apart or _no_ways(first, second),
        caution=_caution(first.config, second.config) if not tasks_apart else "",
    )


def _apart(first: JobConfig, second: JobConfig, of: Sequence[str] = ("task", "scale", "target")) -> str:
    """Why two jobs cannot be compared in a figure that depends on these; empty where they can."""
    differing = [name for name in of if getattr(first, name) != getattr(second, name)]
    if not differing:
        return ""
    name = differing[0]
    return f"different {name}s ({getattr(first, name)} and {getattr(second, name)})"


def _caution(first: JobConfig, second: JobConfig) -> str:
    digests = {config.task_digest for config in (first, second)} - {""}
    return "the task's files differ: a difference may be theirs" if len(digests) > 1 else ""


def _no_ways(first: ComparedJob, second: ComparedJob) -> str:
    without = [job.config.name for job in (first, second) if not job.analysis.parts]
    return f"no part of a submission is known of {' and '.join(without)}" if without else ""


def _only_one(first: Analysis, second: Analysis) -> tuple[OnlyOne, ...]:
    one, two = _ways(first), _ways(second)
    found = [
        OnlyOne(
            part=part,
            first=tuple(title for way, title in one[part].items() if way not in two[part]),
            second=tuple(title for way, title in two[part].items() if way not in one[part]),
        )
        for part in one
        if part in two
    ]
    return tuple(only for only in found if only.first or only.second)


def _rates(first: Rate, second: Rate) -> Difference:
    if not first.counted or not second.counted:
        return Difference(not_compared="in one of them no run counts")
    low, high = newcombe((first.passed, first.counted), (second.passed, second.counted))
    estimate = second.passed / second.counted - first.passed / first.counted
    return Difference(estimate=estimate, low=low, high=high, told=not low <= 0.0 <= high)


def newcombe(first: tuple[int, int], second: tuple[int, int], level: float = LEVEL) -> tuple[float, float]:
    """Bounds of the second share less the first (R. G. Newcombe, Statistics in Medicine 17, 1998, method 10).

    Args:
        first, second: (passed, counted).
    """
    (low_1, high_1), (low_2, high_2) = wilson(*first, level), wilson(*second, level)
    share_1, share_2 = first[0] / first[1], second[0] / second[1]
    difference = share_2 - share_1
    return (
        difference - math.hypot(share_2 - low_2, high_1 - share_1),
        difference + math.hypot(high_2 - share_2, share_1 - low_1),
    )


def _ratio(first: Sequence[Run], second: Sequence[Run]) -> Difference:
    found = welch(_speedups(first), _speedups(second), "measured speed-ups")
    if found.estimate is None:
        return found
    try:
        estimate, low, high = (
            None if log is None else math.exp(log) for log in (found.estimate, found.low, found.high)
        )
    except OverflowError:
        return Difference(not_compared="the measured speed-ups are too far apart to be computed with")
    return Difference(estimate=estimate, low=low, high=high, told=found.told)


def welch(first: Sequence[float], second: Sequence[float], what: str, level: float = LEVEL) -> Difference:
    """The mean of the second less that of the first, with bounds (B. L. Welch, Biometrika 34, 1947).

    Args:
        what: the values are, for the reason why there is no estimate.
    """
    if not first or not second:
        return Difference(not_compared=f"in one of them there are no {what}")
    try:
        return _welch(first, second, level)
    except OverflowError:  # a record that was changed, say
        return Difference(not_compared=f"the {what} are too large to be computed with")


def _welch(first: Sequence[float], second: Sequence[float], level: float) -> Difference:
    estimate = fmean(second) - fmean(first)
    if min(len(first), len(second)) < 2:
        return Difference(estimate=estimate)
    parts = [variance(values) / len(values) for values in (first, second)]
    if sum(parts) == 0.0:
        return Difference(estimate=estimate, low=estimate, high=estimate, told=estimate != 0.0)
    shares = [part / sum(parts) for part in parts]  # the squares of small ones would be nothing
    below = sum(share**2 / (len(values) - 1) for share, values in zip(shares, (first, second), strict=True))
    quantile = float(special.stdtrit(1.0 / below, 0.5 + level / 2.0))
    half = quantile * math.sqrt(sum(parts))
    return Difference(estimate=estimate, low=estimate - half, high=estimate + half, told=abs(estimate) > half)
