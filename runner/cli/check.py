"""`python -m runner check FOLDER`: is this task sound, before money is spent on it?"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from runner.cli.exit_codes import BELOW_THRESHOLD, INTERRUPTED, OK
from runner.cli.option_groups import LimitOptions
from runner.cli.options import CheckOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.cli.words import counted
from runner.faults import Interrupted, UsageFault
from runner.job.setup import tasks_folder
from runner.job.task_check.check_task import check_folder, check_in_containers
from runner.job.task_check.remark import Remark
from runner.report.escape import shown
from runner.report.progress import Progress
from runner.sandbox.engine import find_engine
from runner.sandbox.leftovers import sweep
from runner.settings import Settings

MARKS = {"ok": "✓", "warn": "⚠", "fault": "✗"}


def check(settings: Settings, options: CheckOptions) -> int:
    """Check a task's folder; returns 1 with a fault, else 0.

    Raises:
        Fault: there is no such folder or scale, or engine or host failed.
    """
    if not options.folder.is_dir():
        raise UsageFault(cause=f"{options.folder} is not a folder", hint=_where_a_task_is(settings, options.folder))
    remarks: list[Remark] = []
    with Progress(quiet=options.show.quiet) as progress:
        try:
            with interrupt_on_sigterm():
                for remark in _remarks(settings, options, progress):
                    remarks.append(remark)
                    if not options.show.json:
                        print(_line(remark), flush=True)
        except (KeyboardInterrupt, Interrupted):
            print(f"interrupted after {len(remarks)} remarks", file=sys.stderr)
            return INTERRUPTED
    faults = sum(remark.mark == "fault" for remark in remarks)
    if options.show.json:
        print(json.dumps({"scale": options.scale, "ok": not faults, "remarks": [asdict(remark) for remark in remarks]}))
    else:
        warnings = sum(remark.mark == "warn" for remark in remarks)
        print(f"{counted(faults, 'fault')}, {counted(warnings, 'warning')}, at scale {options.scale}")
    return BELOW_THRESHOLD if faults else OK


def _where_a_task_is(settings: Settings, given: Path) -> str:
    """A hint: the folder of a known task, where its name was given in place of it."""
    known = tasks_folder(settings) / given
    if known.is_dir():
        return f"its folder is {known}"
    return "`python -m runner init FOLDER` writes a task"


def _remarks(settings: Settings, options: CheckOptions, progress: Progress) -> Iterator[Remark]:
    sound, found = check_folder(options.folder.absolute(), options.scale, options.seeds)
    yield from found
    if sound is None or options.no_containers:
        return
    engine = find_engine(settings)
    sweep(engine)
    yield from check_in_containers(
        engine, settings, sound, LimitOptions().job_cost_limit, progress.grading, progress.say
    )


def _line(remark: Remark) -> str:
    line = f"{MARKS[remark.mark]} {remark.check}: {shown(remark.text)}"
    return f"{line}\n    → {shown(remark.fix)}" if remark.fix else line
