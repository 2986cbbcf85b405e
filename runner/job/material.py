"""What there is to analyse of a job, or of several jobs of one task: records, transcripts, the facts of submissions.

Whatever is missing is said, and costs only what rests on it.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner.faults import Fault
from runner.job.measure.stored import read_measured
from runner.job.parse import build_parser_spec, parse_sources, refused_rules
from runner.job.played_task import recorded_task_folder, task_to_read
from runner.records.measured import Measured
from runner.records.run import JobConfig, Run
from runner.records.syntax import SyntaxFacts
from runner.report.analysis.analysis import Analysis, PooledJob, analyze_job
from runner.report.analysis.effort import Effort, effort_of
from runner.report.analysis.strategies import KnownPart
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image_inputs import Say
from runner.settings import Settings
from runner.store.jobs import StoredJob
from runner.store.results import submission_bytes
from runner.store.transcript import transcript_or_reason
from runner.tasks.strategies import NAME as STRATEGIES
from runner.tasks.strategies import SEEN, Part, load_strategies, rules_of
from runner.tasks.task import Task

STARTER = "starter"  # the name of its source among those that are parsed
NAMES_SHOWN = 3  # chosen: names of pooled jobs that fit in a heading


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is there of one job, or of several that were pooled.

    Attributes:
        config: what was asked for; of several, the first one's with the name and the runs of all.
        runs, efforts, sources: by run: records, what episodes took, bytes of submissions.
        jobs: which runs are which job's, where several were pooled.
        missing: what is not there, a line each.
        measured: what `analyze --measure` found; None where nothing was measured, and of several jobs.
        task_folder: where the task lay, as the records say; None where they do not.
    """

    config: JobConfig
    runs: Mapping[int, Run]
    efforts: Mapping[int, Effort]
    sources: Mapping[int, bytes]
    jobs: tuple[PooledJob, ...] = ()
    missing: tuple[str, ...] = ()
    measured: Measured | None = None
    task_folder: Path | None = None


def material_of(job: StoredJob, lost: str = "") -> Material:
    """What is there of a job.

    Args:
        lost: what of it could not be read; empty where nothing was.
    """
    kept = {number: submission_bytes(job.folder, run) for number, run in sorted(job.runs.items())}
    efforts: dict[int, Effort] = {}
    unread: list[str] = []
    for number, path in sorted(job.transcripts.items()):
        found = _effort_in(path)
        if isinstance(found, str):
            unread.append(f"how the episode of run {number} went: {found}")
        else:
            efforts[number] = found
    return Material(
        config=job.config or JobConfig(name=job.name),
        runs=job.runs,
        efforts=efforts,
        sources={number: source for number, source in kept.items() if isinstance(source, bytes)},
        missing=(*([lost] if lost else []), *_missing(job, kept), *unread),
        measured=read_measured(job.folder),
        task_folder=recorded_task_folder(job.folder),
    )


def _effort_in(path: Path) -> Effort | str:
    """Of one transcript at a time (those of a job together need not fit into memory), or why it cannot be read."""
    found = transcript_or_reason(path)
    if isinstance(found, str):
        return found
    return effort_of(entry.event for entry in found.entries if entry.event is not None)


def _missing(job: StoredJob, kept: Mapping[int, bytes | str]) -> list[str]:
    said = [f"run {number} cannot be read: {why}" for number, why in job.unread.items()]
    asked = job.config.runs if job.config is not None else 0
    if job.config is None:
        said.append("what was asked for was not recorded")
    if not job.runs:
        said.append("no run has an outcome")
    elif len(job.runs) + len(job.unread) < asked:
        said.append(f"{asked - len(job.runs) - len(job.unread)} of {asked} runs have no outcome")
    silent = [number for number, run in job.runs.items() if run.episode is not None and number not in job.transcripts]
    if silent:
        said.append(f"no transcript of {_runs_words(silent)} is kept")
    lost = [number for number, source in kept.items() if isinstance(source, str) and job.runs[number].submission]
    if lost:
        said.append(f"the submission of {_runs_words(lost)} is not kept")
    return said


def _runs_words(numbers: Sequence[int]) -> str:
    return f"run{'s' * (len(numbers) > 1)} {', '.join(map(str, sorted(numbers)))}"


# Several jobs


def same_task(materials: Sequence[Material]) -> list[list[Material]]:
    """The jobs whose runs may be counted together: of one task, at one scale, against one target."""
    groups: dict[tuple[str, str, float | None], list[Material]] = {}
    for material in materials:
        config = material.config
        groups.setdefault((config.task, config.scale, config.target), []).append(material)
    return list(groups.values())


def pooled(materials: Sequence[Material]) -> Material:
    """Several jobs of one task as one: the runs of each are numbered on after those of the job before."""
    if len(materials) == 1:
        return materials[0]
    runs: dict[int, Run] = {}
    efforts: dict[int, Effort] = {}
    sources: dict[int, bytes] = {}
    jobs: list[PooledJob] = []
    for material in materials:
        before = jobs[-1].last if jobs else 0
        last = before + max([0, *material.runs, *material.efforts])
        jobs.append(PooledJob(name=material.config.name, first=before + 1, last=last, runs=len(material.runs)))
        runs |= {before + number: replace(run, number=before + number) for number, run in material.runs.items()}
        efforts |= {before + number: effort for number, effort in material.efforts.items()}
        sources |= {before + number: source for number, source in material.sources.items()}
    configs = [material.config for material in materials]
    missing = [f"{material.config.name}: {line}" for material in materials for line in material.missing]
    if len({config.task_digest for config in configs}) > 1:
        missing.append("one state of the task: its files differ between these jobs")
    return Material(
        config=replace(configs[0], name=_joined(configs), runs=sum(config.runs for config in configs)),
        runs=runs,
        efforts=efforts,
        sources=sources,
        jobs=tuple(jobs),
        missing=tuple(missing),
        task_folder=next((one.task_folder for one in materials if one.task_folder is not None), None),
    )


def _joined(configs: Sequence[JobConfig]) -> str:
    more = len(configs) - NAMES_SHOWN
    return " + ".join(config.name for config in configs[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


# The analysis


def analysis_of(settings: Settings, material: Material, say: Say, *, wanted: tuple[float, float]) -> Analysis:
    """The analysis; without an engine, what needs no parsing.

    Args:
        wanted: lowest and highest pass rate that is wanted of the task.
    """
    parsed = _parse(settings, material, say)
    return analyze_job(
        material.config,
        [material.runs[number] for number in sorted(material.runs)],
        material.efforts,
        starter=parsed.facts.get(STARTER),
        submissions={number: parsed.facts[str(number)] for number in material.sources if str(number) in parsed.facts},
        not_parsed=parsed.reason,
        parts=parsed.parts,
        wanted=wanted,
        jobs=material.jobs,
        missing=(*material.missing, *parsed.missing),
        measured=material.measured,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """What the parser said of a job's sources, by run or `starter`; or why it said nothing."""

    facts: Mapping[str, SyntaxFacts] = field(default_factory=dict)
    parts: tuple[KnownPart, ...] = ()
    reason: str = ""
    missing: tuple[str, ...] = ()


def _parse(settings: Settings, material: Material, say: Say) -> _Parsed:
    """Parse the starter and the submissions in a sandbox; a fault of it costs what is compared, and nothing else."""
    if not material.sources:
        return _Parsed(reason="no run submitted a file that is kept")
    try:
        task = task_to_read(settings, material.config, material.task_folder)
        if task.kind != "python":
            return _Parsed(reason=f"submissions of kind {task.kind} are not compared as Python texts")
        parts, missing = _parts_of(task)
        if material.config.task_digest not in ("", task.digest):
            missing = (*missing, "the task as it was: its files have changed since, and today's are compared with")
        engine = find_engine(settings)
        spec = build_parser_spec(engine, settings, say)
        say(f"parsing {len(material.sources)} submissions in a sandbox")
        fleet = Fleet(engine, f"analysis-{re.sub('[^A-Za-z0-9_.-]+', '-', material.config.name)}"[:60])
        sources = {STARTER: task.baseline, **{str(number): source for number, source in material.sources.items()}}
        facts = parse_sources(fleet, spec, sources, rules_of(parts))
        refused = refused_rules(facts)
        missing = (*missing, *_refused_lines(refused), *_not_matched(facts))
        known = (_known_part(part, refused) for part in parts)
        return _Parsed(facts=facts, parts=tuple(part for part in known if part.ways), missing=missing)
    except Fault as fault:
        line = f"the submissions are not compared: {fault.cause} (hint: {fault.hint})"
        return _Parsed(reason=fault.cause, missing=(line,))


def _not_matched(facts: Mapping[str, SyntaxFacts]) -> tuple[str, ...]:
    """The submissions in which no strategy could be looked for, by reason."""
    reasons: dict[str, list[str]] = {}
    for name, found in facts.items():
        if found.no_matches and not found.error:
            reasons.setdefault(found.no_matches, []).append(name)
    return tuple(f"the strategies of {', '.join(names)} were not looked for: {why}" for why, names in reasons.items())


def _parts_of(task: Task) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """(the parts that strategies.toml names, what is missing of them)."""
    try:
        parts = load_strategies(task)
    except Fault as fault:
        return (), (f"how each part was solved: {fault.cause} (hint: {fault.hint})",)
    return parts, () if parts else (f"how each part was solved: the task {task.name} has no strategies.toml",)


def _known_part(part: Part, refused: Collection[str]) -> KnownPart:
    """What could be looked for of a part."""
    ways = {way.id: way.title for way in part.strategy if f"{part.name}/{way.id}" not in refused}
    return KnownPart(name=part.name, ways=ways, seen_known=bool(part.seen) and f"{part.name}/{SEEN}" not in refused)


def _refused_lines(refused: Mapping[str, str]) -> Iterator[str]:
    for name, why in refused.items():
        part, _, way = name.rpartition("/")
        what = f"whether the part {part} is there at all" if way == SEEN else f"the way {way} of the part {part}"
        yield f"{what}: ast-grep refuses a rule for it: {why} (hint: fix it in {STRATEGIES})"
