"""`python -m runner analyze --measure JOB`: what only measuring tells; what is there already is not measured again."""

import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from runner.budget.clock import SystemClock
from runner.cli.exit_codes import INFRASTRUCTURE, INTERRUPTED, OK
from runner.cli.options import AnalyzeOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.faults import Interrupted, UsageFault
from runner.job.material import analysis_of, material_of
from runner.job.measure.plan import USUAL
from runner.job.measure.session import MeasuringSession, Wanted, open_session
from runner.job.pages import write_analysis
from runner.records.measured import Study
from runner.report.analysis.measured import measured_lines
from runner.report.progress import Progress
from runner.settings import Settings
from runner.store.job_folder import reopen_job_folder
from runner.store.jobs import StoredJob, read_job


def measure(settings: Settings, jobs: Sequence[StoredJob], options: AnalyzeOptions, wanted: tuple[float, float]) -> int:
    """Measure what is not measured yet, having said what it costs; then analyse as ever. Returns the exit status.

    Raises:
        Fault: before anything was measured.
    """
    job = _one_job(jobs)
    asked = Wanted(
        of=options.of or USUAL, studies=options.only or tuple(Study), rounds=options.rounds, task=options.task
    )
    interrupted, faults = False, []
    with contextlib.closing(reopen_job_folder(job.folder)), Progress(quiet=options.show.quiet) as progress:
        with open_session(settings, job, asked, SystemClock(), progress.say, progress.grading) as session:
            _print_plan(session, options)
            if options.dry_run:
                return OK
            try:
                with interrupt_on_sigterm():
                    session.run()
            except (KeyboardInterrupt, Interrupted):
                interrupted = True
            faults = session.faults
        analysis = analysis_of(settings, material_of(read_job(job.folder)), progress.say, wanted=wanted)
    folder = options.to or job.folder
    write_analysis(folder, analysis)
    if options.show.json:
        print(json.dumps(asdict(analysis), ensure_ascii=True))
    elif analysis.measured is not None:
        print("\n".join([*measured_lines(analysis.measured), f"Analysis: {folder / 'analysis.md'}"]))
    for fault in faults:
        print(f"not measured, {fault}; the same command measures it again", file=sys.stderr)
    if interrupted:
        print("interrupted: what was measured is kept; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return INFRASTRUCTURE if faults else OK


def _one_job(jobs: Sequence[StoredJob]) -> StoredJob:
    """The job that is to be measured.

    Raises:
        UsageFault: there are several, or it has nothing that could be measured.
    """
    if len(jobs) > 1:
        raise UsageFault(cause="--measure takes one job at a time", hint="name one")
    job = jobs[0]
    if job.config is None or not job.runs:
        raise UsageFault(cause=f"job {job.name} has no run with an outcome", hint="measure it when one has ended")
    return job


def _print_plan(session: MeasuringSession, options: AnalyzeOptions) -> None:
    """What will be measured, and what that costs; on stderr where stdout is JSON."""
    out = sys.stderr if options.show.json else sys.stdout
    baseline_s = session.baseline_s()
    for title, cost, kept in session.plan():
        print(f"  {title}: {'measured before' if kept else cost.words(baseline_s)}", file=out)
    print(f"To be measured: {session.total().words(baseline_s)}", file=out, flush=True)
