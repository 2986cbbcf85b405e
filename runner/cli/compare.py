"""`python -m runner compare JOB JOB...`: jobs side by side, from what was recorded; nothing is measured."""

import json
from dataclasses import asdict

from runner.cli.exit_codes import OK
from runner.cli.job_analysis import find_jobs
from runner.cli.options import CompareOptions
from runner.faults import UsageFault
from runner.job.material import analysis_of, material_of
from runner.job.pages import with_kept_comparison
from runner.report.analysis import WANTED_RATES
from runner.report.analysis.compare import ComparedJob, compare_jobs
from runner.report.analysis.compare_text import comparison_lines
from runner.report.progress import Progress
from runner.settings import Settings
from runner.store.jobs import StoredJob


def compare(settings: Settings, options: CompareOptions) -> int:
    """Print them side by side; returns the exit status.

    Raises:
        UsageFault: only one of the jobs was named, or can be read.
    """
    if len(options.jobs) < 2:
        raise UsageFault(cause="one job has nothing to be compared with", hint="name two jobs or more")
    jobs = find_jobs(settings, options.jobs)
    if len(jobs) < 2:
        raise UsageFault(
            cause=f"{jobs[0][0].folder} has nothing to be compared with: no other job can be read",
            hint="correct the names of those that were not read",
        )
    with Progress(quiet=options.show.quiet) as progress:
        comparison = compare_jobs([_compared_job(settings, job, lost, progress) for job, lost in jobs])
    if options.show.json:
        print(json.dumps(asdict(comparison), ensure_ascii=True))
    else:
        print("\n".join(comparison_lines(comparison)))
    return OK


def _compared_job(settings: Settings, job: StoredJob, lost: str, progress: Progress) -> ComparedJob:
    material = material_of(job, lost)
    analysis = with_kept_comparison(job, analysis_of(settings, material, progress.say, wanted=WANTED_RATES))
    return ComparedJob(config=material.config, runs=list(material.runs.values()), analysis=analysis)
