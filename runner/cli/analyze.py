"""`python -m runner analyze JOB`: what its runs say together, from what was recorded; nothing is measured."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runner.cli.exit_codes import OK
from runner.cli.options import AnalyzeOptions
from runner.faults import Fault, UsageFault
from runner.job.parse import build_parser_spec, parse_sources
from runner.job.setup import load_task
from runner.records.run import JobConfig, Run
from runner.records.syntax import SyntaxFacts
from runner.report.analysis.analysis import Analysis, analyze_job
from runner.report.analysis.effort import Effort, effort_of
from runner.report.analysis.strategies import KnownPart
from runner.report.analysis.text import markdown, summary_lines
from runner.report.progress import Progress
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import Say
from runner.settings import Settings
from runner.store.files import write_file
from runner.store.jobs import StoredJob, find_job
from runner.store.results import submission_bytes
from runner.store.transcript import read_transcript
from runner.tasks.strategies import Part, load_strategies, rules_of

STARTER = "starter"  # the name of its source among those that are parsed


def analyze(settings: Settings, options: AnalyzeOptions) -> int:
    """Analyse a job, write analysis.json and analysis.md into its folder, and print the summary; returns the exit status.

    Raises:
        UsageFault: there is no such job, or it has no run with an outcome.
        StoreFault: the files cannot be written.
    """
    wanted = wanted_rates(options.want)
    job = find_job(settings, options.job)
    if job.config is None or not job.runs:
        raise UsageFault(cause=f"job {job.name} has no run with an outcome", hint="analyse it when one has ended")
    with Progress(quiet=options.show.quiet) as progress:
        analysis = analysis_of(settings, job, progress.say, wanted=wanted)
    write_analysis(job.folder, analysis)
    if options.show.json:
        print(json.dumps(asdict(analysis), ensure_ascii=True))
    else:
        print_summary(job.folder, analysis)
    return OK


def wanted_rates(text: str) -> tuple[float, float]:
    """A range of pass rates such as 10%..40%, as shares.

    Raises:
        UsageFault: it is not one.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%?\s*\.\.\s*(\d+(?:\.\d+)?)\s*%?\s*", text)
    low, high = (float(match[1]) / 100, float(match[2]) / 100) if match else (1.0, 0.0)
    if not 0 <= low <= high <= 1:
        raise UsageFault(cause=f"--want {text}: is not a range of pass rates", hint="write one such as 10%..40%")
    return low, high


def print_summary(folder: Path, analysis: Analysis) -> None:
    """The summary, and where the whole is."""
    print("\n".join([*summary_lines(analysis), f"Analysis: {folder / 'analysis.md'}"]))


def analysis_of(settings: Settings, job: StoredJob, say: Say, *, wanted: tuple[float, float]) -> Analysis:
    """The analysis of a job; without an engine, what needs no parsing.

    Args:
        wanted: lowest and highest pass rate that is wanted of the task.
    """
    assert job.config is not None
    parsed = _parse(settings, job.config, job.folder, job.runs, say)
    return analyze_job(
        job.config,
        [job.runs[number] for number in sorted(job.runs)],
        _efforts(job),
        starter=parsed.facts.get(STARTER),
        submissions={number: parsed.facts[str(number)] for number in job.runs if str(number) in parsed.facts},
        not_parsed=parsed.reason,
        parts=parsed.parts,
        wanted=wanted,
    )


def write_analysis(folder: Path, analysis: Analysis) -> None:
    """analysis.json and analysis.md.

    Raises:
        StoreFault: one cannot be written.
    """
    write_file(folder / "analysis.json", json.dumps(asdict(analysis), indent=2, ensure_ascii=False) + "\n")
    write_file(folder / "analysis.md", markdown(analysis))


def _efforts(job: StoredJob) -> dict[int, Effort]:
    transcripts = {number: read_transcript(path) for number, path in job.transcripts.items()}
    return {
        number: effort_of(entry.event for entry in transcript.entries if entry.event is not None)
        for number, transcript in transcripts.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """What the parser said of a job's sources, by run or `starter`; or why it said nothing."""

    facts: Mapping[str, SyntaxFacts] = field(default_factory=dict)
    parts: tuple[KnownPart, ...] = ()
    reason: str = ""


def _parse(settings: Settings, config: JobConfig, folder: Path, runs: Mapping[int, Run], say: Say) -> _Parsed:
    """Parse the starter and the submissions in a sandbox; a fault of it costs what is compared, and nothing else."""
    sources = {str(number): submission_bytes(folder, run) for number, run in sorted(runs.items())}
    found = {name: source for name, source in sources.items() if isinstance(source, bytes)}
    if not found:
        return _Parsed(reason="no run submitted a file that is kept")
    try:
        task = load_task(settings, config.task)
        parts, engine = load_strategies(task), find_engine(settings)
        spec = build_parser_spec(engine, settings, say)
        say(f"parsing {len(found)} submissions in a sandbox")
        fleet = Fleet(engine, f"analysis-{config.name}"[:60])
        facts = parse_sources(fleet, spec, {STARTER: task.baseline, **found}, rules_of(parts))
        return _Parsed(facts=facts, parts=tuple(map(_known_part, parts)))
    except Fault as fault:
        print(f"the submissions are not compared: {fault.cause}\n  hint: {fault.hint}", file=sys.stderr)
        return _Parsed(reason=fault.cause)


def _known_part(part: Part) -> KnownPart:
    return KnownPart(name=part.name, ways={strategy.id: strategy.title for strategy in part.strategy})
