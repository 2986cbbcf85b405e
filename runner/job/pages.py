"""What is written beside a job's records when it is over: analysis.json, analysis.md and report.html.

Whatever is wrong with them changes neither results nor exit status: it is said, and the job stands.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from runner.faults import Fault
from runner.job.material import analysis_of, material_of
from runner.job.played_task import recorded_task_folder, task_to_read
from runner.report.analysis import WANTED_RATES
from runner.report.analysis.analysis import Analysis, analyze_job
from runner.report.analysis.text import markdown
from runner.report.html.material import Material, Starter, read_analysis
from runner.report.html.page import NAME, html_report
from runner.settings import Settings
from runner.store.files import guard_writing, write_file
from runner.store.job_folder import JobFolder
from runner.store.jobs import StoredJob, read_job

T = TypeVar("T")
ANALYZE = "`python -m runner analyze` compares them"
CHANGED = "the starter file as it was: the task has changed since, and changes are shown against today's"


def analyze_ended(settings: Settings, folder: JobFolder, problem: Callable[[str, str], None]) -> Analysis | None:
    """Write what the runs of a job say together; None where that failed.

    Args:
        problem: called with cause and hint then.
    """

    def write() -> Analysis:
        job = read_job(folder.root)
        analysis = analysis_of(settings, material_of(job), lambda step: None, wanted=WANTED_RATES)
        analysis = with_kept_comparison(job, analysis)
        write_analysis(folder.root, analysis)
        return analysis

    return _or_tell("no analysis", write, problem)


def report_ended(settings: Settings, folder: JobFolder, problem: Callable[[str, str], None]) -> Path | None:
    """Write a job as a page, and give its path; None where that failed.

    Args:
        problem: called with cause and hint then.
    """

    def write() -> Path:
        job = read_job(folder.root)
        analysis, why = kept_analysis(job)
        write_report(settings, job, analysis, folder.root / NAME, folder.path, missing=(why,))
        return folder.path / NAME

    return _or_tell("no report", write, problem)


def _or_tell(lost: str, write: Callable[[], T], problem: Callable[[str, str], None]) -> T | None:
    """What was written; None where that failed, which is told."""
    try:
        return write()
    except Fault as fault:
        problem(f"{lost}: {fault.cause}", fault.hint)
    except Exception as error:  # boundary: it reads what models wrote, and a job's exit status must not depend on that
        problem(f"{lost}: {type(error).__name__}: {error}", "please report it")
    return None


def write_analysis(folder: Path, analysis: Analysis) -> None:
    """analysis.json and analysis.md.

    Raises:
        StoreFault: one cannot be written.
    """
    guard_writing(folder, lambda: folder.mkdir(parents=True, exist_ok=True))
    write_file(folder / "analysis.json", json.dumps(asdict(analysis), indent=2, ensure_ascii=False) + "\n")
    write_file(folder / "analysis.md", markdown(analysis))


def write_report(
    settings: Settings, job: StoredJob, analysis: Analysis, path: Path, named: Path, *, missing: tuple[str, ...] = ()
) -> Path:
    """Write the page of a job; returns its path.

    Args:
        named: the job's folder, as the user names it.
        missing: what is missing besides what the analysis says, a line each.

    Raises:
        StoreFault: it cannot be written.
    """
    starter = starter_of(settings, job)
    material = Material(job=job, named=str(named), analysis=analysis, starter=starter, missing=missing)
    write_file(path, html_report(material))
    return path


def kept_analysis(job: StoredJob) -> tuple[Analysis, str]:
    """(the analysis that is kept beside a job, else one of what needs no parsing; what is missing of it).

    One that was made of other verdicts or figures is not used: runs have been graded or played again since.
    """
    material = material_of(job)
    runs = [material.runs[number] for number in sorted(material.runs)]
    kept = read_analysis(job.folder)
    reason = kept if isinstance(kept, str) else "analysis.json is of other verdicts or speeds than these"
    fresh = analyze_job(
        material.config,
        runs,
        material.efforts,
        not_parsed=reason,
        missing=material.missing,
        measured=material.measured,
    )
    if isinstance(kept, Analysis) and _verdicts_and_speeds(kept) == _verdicts_and_speeds(fresh):
        return replace(kept, measured=fresh.measured or kept.measured), ""
    return fresh, f"how the submissions compare: {reason} ({ANALYZE})" if material.sources else ""


def with_kept_comparison(job: StoredJob, analysis: Analysis) -> Analysis:
    """An analysis of a job; where its submissions could not be parsed now, with how they compared when they could.

    Without an engine, say, what is kept beside the job would be written over with less.
    """
    kept = read_analysis(job.folder) if analysis.convergence is None else ""
    if isinstance(kept, str) or kept.convergence is None:
        return analysis
    if _verdicts_and_speeds(kept) != _verdicts_and_speeds(analysis):
        return analysis
    note = f"a new comparison of the submissions: {analysis.no_convergence}; what analysis.json said of them is kept"
    return replace(
        analysis,
        convergence=kept.convergence,
        no_convergence="",
        parts=kept.parts,
        notable=kept.notable,
        contrasts=kept.contrasts,
        missing=(*analysis.missing, note),
    )


def _verdicts_and_speeds(analysis: Analysis) -> tuple[object, ...]:
    """What an analysis says of outcomes and speeds."""
    return analysis.of_all, analysis.failures, analysis.curve


def starter_of(settings: Settings, job: StoredJob) -> Starter:
    """The file that a job's agents began with, as far as the task is still what it was."""
    config = job.config
    if config is None or not config.task:
        return Starter(note="the starter file: no record says which task it was")
    try:
        task = task_to_read(settings, config, recorded_task_folder(job.folder))
    except Fault as fault:
        return Starter(note=f"the starter file: {fault.cause}; submissions are shown whole")
    changed = config.task_digest not in ("", task.digest)
    return Starter(source=task.baseline, note=CHANGED if changed else "")
