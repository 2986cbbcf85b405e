"""`python -m runner report JOB...`: each job as one HTML file that opens from disk; no engine is asked for it."""

import json
from pathlib import Path

from runner.cli.exit_codes import OK
from runner.cli.job_analysis import for_each_readable
from runner.cli.options import PageOptions
from runner.faults import UsageFault
from runner.job.pages import kept_analysis, write_report
from runner.report.escape import shown
from runner.report.html.page import NAME
from runner.settings import Settings
from runner.store.files import guard_writing
from runner.store.jobs import find_what_is_left


def report(settings: Settings, options: PageOptions) -> int:
    """Write a page for each job; returns the exit status.

    Raises:
        UsageFault: nothing of any of the jobs can be read, or one file was named for several.
        StoreFault: a page cannot be written.
    """
    if options.to is not None and len(options.jobs) > 1:
        raise UsageFault(cause=f"--output {options.to} for several jobs", hint="leave it out, or name one job")
    written = for_each_readable(options.jobs, lambda path: _report_of(settings, path, options.to))
    _say(written, as_json=options.json)
    return OK


def _say(written: list[Path], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([str(path) for path in written], ensure_ascii=True))
    else:
        print("\n".join(f"Report: {shown(str(path), len(str(path)))}" for path in written))


def _report_of(settings: Settings, given: Path, to: Path | None) -> Path:
    job, lost = find_what_is_left(settings, given)
    analysis, why = kept_analysis(job)
    path = to or job.folder / NAME
    guard_writing(path, lambda: path.parent.mkdir(parents=True, exist_ok=True))
    return write_report(settings, job, analysis, path, job.folder, missing=(lost, why))
