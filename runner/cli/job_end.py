"""The end of a job: it is played, and what it came to is printed, analysed, put on a page and told to a CI."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from runner.cli.ci import report_to_ci
from runner.cli.exit_codes import exit_status
from runner.cli.options import RunOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.export.junit import Suite
from runner.records.run import JobConfig, Run, Totals
from runner.report.console import Console
from runner.report.hosts import host_lines
from runner.settings import Settings
from runner.store.job_folder import JobFolder
from runner.store.results import results_json
from runner.tasks.authors_code import put_back
from runner.tasks.task import Task


class Playable(Protocol):
    """A job on this host or on several."""

    config: JobConfig
    lock: dict[str, Any]
    runs: list[Run]

    @property
    def budget_ended(self) -> bool: ...

    @property
    def leaks(self) -> Sequence[str]: ...

    def totals(self) -> Totals: ...

    def play(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Show:
    """Where and how a job is shown.

    Attributes:
        streams: standard output and error, also while an agent's library has put something else in their place.
    """

    settings: Settings
    options: RunOptions
    task: Task
    streams: tuple[TextIO, TextIO]


def finish(job: Playable, console: Console, show: Show, folder: JobFolder) -> int:
    """Play a job and report it; returns the exit status."""
    folder.write_json("lock.json", job.lock)
    if not show.options.show.json:
        console.header(job.config, show.task.file.task.title)
    with interrupt_on_sigterm():
        interrupted = job.play()
    put_back(show.streams)  # an agent may have put others there
    totals = job.totals()
    if show.options.show.json:
        print(json.dumps(results_json(job.config, job.runs, totals, job.lock), ensure_ascii=True), file=show.streams[0])
    else:
        console.end(job.runs, totals, job.config.runs, folder.path / "results.json")
        for line in host_lines(job.runs):
            print(line.plain)
    if show.options.analysis and job.runs and not interrupted:
        _analyze(show, folder)
    if show.options.page and job.runs and not interrupted:
        _report(show, folder)
    report_to_ci(show.settings, show.options.ci, _suite(job.config, job.runs, totals.seconds))
    for leak in job.leaks:
        print(f"container {leak[:12]} may be left over: `docker rm -f {leak[:12]}`", file=sys.stderr)
    return exit_status(
        job.runs, totals, interrupted=interrupted, fail_under=job.config.fail_under, budget_ended=job.budget_ended
    )


def _problem(cause: str, hint: str) -> None:
    print(f"{cause}\n  hint: {hint}", file=sys.stderr)


def _analyze(show: Show, folder: JobFolder) -> None:
    """What the runs say together, as files and, unless JSON was asked for, in a summary; a fault of it ends nothing."""
    from runner.cli.job_analysis import print_summary
    from runner.job.pages import analyze_ended

    analysis = analyze_ended(show.settings, folder, _problem)
    if analysis is not None and not show.options.show.json:
        print_summary(folder.path, analysis)


def _report(show: Show, folder: JobFolder) -> None:
    """The job as a page, at the end; whatever is wrong with it changes neither the results nor the exit status."""
    from runner.job.pages import report_ended

    page = report_ended(show.settings, folder, _problem)
    if page is not None and not show.options.show.json:
        print(f"Report: {page}")


def _suite(config: JobConfig, runs: Sequence[Run], seconds: float) -> Suite:
    """A job's runs, as a CI is told of them."""
    about = {"scale": config.scale, "agent": config.agent, "model": config.model}
    return Suite(name=config.name, task=config.task, runs=runs, seconds=seconds, started=config.started, about=about)
