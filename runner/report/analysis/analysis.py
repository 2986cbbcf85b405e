"""The analysis of a job: everything that its runs say together, as one record."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from runner.records.measured import Measured
from runner.records.outcome import OutcomeKind, properties
from runner.records.run import JobConfig, Run
from runner.records.syntax import SyntaxFacts
from runner.report.analysis import WANTED_RATES
from runner.report.analysis.convergence import Convergence, convergence_of, kept_share
from runner.report.analysis.effort import Effort
from runner.report.analysis.notable import NotableRun, notable_runs
from runner.report.analysis.rates import Rate, pass_all_k, pass_at_k, rate_of
from runner.report.analysis.strategies import KnownPart, PartFound, parts_found
from runner.report.analysis.targets import TargetCurve, TargetRange, range_for, target_curve
from runner.report.analysis.trajectories import Contrast, RunPath, contrasts_of, paths_of

SCHEMA = 1  # the form of analysis.json
KS = (1, 2, 5, 10)  # the usual numbers of tries


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """What k runs would give.

    Attributes:
        k: how many.
        at_least_one, all_of_them: chance that one passes (pass@k), and that all do (pass^k); None where too few runs count.
    """

    k: int
    at_least_one: float | None
    all_of_them: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Runs that ended alike.

    Attributes:
        outcome: of these runs.
        cause: the first failed check, or why the episode ended; empty where the outcome says it all.
        runs: their numbers.
    """

    outcome: str
    cause: str
    runs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledJob:
    """One of several jobs whose runs are counted together, numbered on from job to job.

    Attributes:
        name: of the job.
        first, last: numbers here of its run 1 and of its last one.
        runs: how many of them have an outcome.
    """

    name: str
    first: int
    last: int
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What the runs of a job, or of several of one task, say together.

    Attributes:
        schema: the form of this record.
        job: its name.
        task, scale: what it was about.
        of_counted: the pass rate over the runs whose outcome counts.
        of_all: the same over all runs, with those that the host spoiled.
        tries: pass@k and pass^k.
        curve: the pass rate as a function of the target; None where quality alone counts, or nothing was measured.
        wanted, wanted_range: the wanted pass rates, and the targets that give them.
        failures: runs that did not pass, by outcome and cause, the most frequent first.
        convergence: of the submissions; None where none was parsed.
        no_convergence: why none was; empty where some were.
        parts: how each part of the task was solved; empty where the task names none, or nothing could be parsed.
        notable: runs that stand out.
        effort: what each episode took, by run.
        jobs: which runs are which job's, where several were counted together.
        missing: what could not be read, and so is not in here, a line each; hostile text.
        paths: how each run went that had an episode.
        contrasts: what those that passed used and wrote, against those that failed.
        measured: what `analyze --measure` found; None where nothing was measured.
    """

    schema: int = SCHEMA
    job: str
    task: str
    scale: str
    of_counted: Rate
    of_all: Rate
    tries: tuple[Tries, ...]
    curve: TargetCurve | None
    wanted: tuple[float, float]
    wanted_range: TargetRange | None
    failures: tuple[Failure, ...]
    convergence: Convergence | None
    no_convergence: str
    parts: tuple[PartFound, ...]
    notable: tuple[NotableRun, ...]
    effort: Mapping[int, Effort]
    jobs: tuple[PooledJob, ...] = ()
    missing: tuple[str, ...] = ()
    measured: Measured | None = None
    paths: tuple[RunPath, ...] = ()
    contrasts: tuple[Contrast, ...] = ()

    @property
    def median_effort(self) -> dict[str, float]:
        """Medians over the episodes: turns, calls, seconds, and seconds by kind."""
        if not self.effort:
            return {}
        kinds = {kind for effort in self.effort.values() for kind in effort.by_kind}
        medians = {kind: median(e.by_kind.get(kind, 0.0) for e in self.effort.values()) for kind in sorted(kinds)}
        turns, calls = (
            median(values) for values in zip(*((e.turns, e.calls) for e in self.effort.values()), strict=True)
        )
        return {"turns": turns, "calls": calls, **medians}


def analyze_job(
    config: JobConfig,
    runs: Sequence[Run],
    effort: Mapping[int, Effort],
    *,
    starter: SyntaxFacts | None = None,
    submissions: Mapping[int, SyntaxFacts] | None = None,
    not_parsed: str = "",
    parts: Sequence[KnownPart] = (),
    wanted: tuple[float, float] = WANTED_RATES,
    jobs: tuple[PooledJob, ...] = (),
    missing: tuple[str, ...] = (),
    measured: Measured | None = None,
) -> Analysis:
    """The analysis of a job's records.

    Args:
        effort: by run, of its transcript.
        starter: the file that agents begin with; None where nothing was parsed.
        submissions: by run.
        not_parsed: why nothing was.
        parts: of the task's problem.
        wanted: lowest and highest pass rate that is wanted of the task.
        jobs: which runs are which job's, where several are counted together.
        missing: what could not be read.
        measured: after the job had ended.
    """
    counted = [run for run in runs if properties(run.outcome).counts]
    passed = sum(run.outcome.kind is OutcomeKind.PASSED for run in counted)
    curve = target_curve(runs, config.target)
    parsed = submissions or {}
    convergence = convergence_of(starter, parsed) if starter is not None and parsed else None
    kept = {run: kept_share(starter, facts) for run, facts in parsed.items() if starter is not None and not facts.error}
    lines = {run: facts.lines for run, facts in parsed.items() if not facts.error}
    return Analysis(
        job=config.name,
        task=config.task,
        scale=config.scale,
        of_counted=rate_of(passed, len(counted)),
        of_all=rate_of(passed, len(runs)),
        tries=tuple(_tries(passed, len(counted), k) for k in KS if k <= max(1, len(counted))),
        curve=curve,
        wanted=wanted,
        wanted_range=range_for(curve, wanted) if curve is not None else None,
        failures=_failures(runs),
        convergence=convergence,
        no_convergence="" if convergence is not None else not_parsed or "no run submitted a file",
        parts=parts_found(parts, {run.number: run for run in runs}, parsed),
        notable=tuple(notable_runs(runs, config.target, kept, lines)),
        paths=paths_of(runs),
        contrasts=contrasts_of(runs, lines),
        effort=dict(sorted(effort.items())),
        jobs=jobs,
        missing=missing,
        measured=measured,
    )


def _tries(passed: int, counted: int, k: int) -> Tries:
    return Tries(k=k, at_least_one=pass_at_k(passed, counted, k), all_of_them=pass_all_k(passed, counted, k))


def _failures(runs: Sequence[Run]) -> tuple[Failure, ...]:
    groups: dict[tuple[str, str], list[int]] = {}
    for run in sorted(runs, key=lambda run: run.number):
        if run.outcome.kind is not OutcomeKind.PASSED:
            groups.setdefault((run.outcome.kind.value, _cause(run)), []).append(run.number)
    sizes = Counter({key: len(numbers) for key, numbers in groups.items()})
    return tuple(Failure(outcome=key[0], cause=key[1], runs=tuple(groups[key])) for key, _ in sizes.most_common())


def _cause(run: Run) -> str:
    """The first failed check by name, or why the episode ended."""
    failed = [finding for finding in (run.grading.findings if run.grading else ()) if finding.mark == "fail"]
    if failed:
        return failed[0].name
    if run.outcome.kind is OutcomeKind.NO_SUBMISSION and run.episode is not None:
        return run.episode.ending
    return ""
