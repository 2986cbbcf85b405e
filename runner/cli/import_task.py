"""`python -m runner import FORMAT PATH`: another program's task as one of ours."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.bridges.harbor_files import check_new
from runner.bridges.harbor_import import import_task
from runner.bridges.harbor_task import read_harbor_task
from runner.cli.called import MODULE, as_called
from runner.cli.exit_codes import OK
from runner.cli.options import ImportOptions
from runner.faults import UsageFault
from runner.report.escape import shown
from runner.report.progress import Progress
from runner.sandbox.engine import find_engine
from runner.settings import Settings

HARBOR = "harbor"


def import_from(settings: Settings, options: ImportOptions) -> int:
    """Read the task, build its images, write its folder; returns the exit status.

    Raises:
        UsageFault: there is no such format, a base is no pair, or the folder is not empty.
        TaskFault: it is broken, or wants what we do not give.
        ImageFault: an image cannot be had or built.
    """
    if options.format != HARBOR:
        raise UsageFault(cause=f"there is no format {options.format!r} to import", hint=f"known: {HARBOR}")
    bases = bases_of(options.base or ())
    task = read_harbor_task(options.path, no_network=options.no_network)
    folder = options.to or Path(task.name)
    check_new(folder)
    with Progress(quiet=options.json) as progress:
        made = import_task(
            find_engine(settings),
            task,
            folder,
            options.path,
            bases,
            settings,
            progress.say,
            network=options.build_network,
        )
    commands = [
        as_called(f"{MODULE} --task {shlex.quote(str(folder))} --runs 1 --agent {agent}")
        for agent in ("oracle", "noop")
    ]
    if options.json:
        about = {
            "folder": str(folder),
            "task": made.task.name,
            "images": made.images,
            "lost": made.notes,
            "next": commands,
        }
        print(json.dumps(about))
        return OK
    print(f"task {made.task.name} in {folder}, {len(made.task.steps)} step(s)")
    for note in made.notes:
        print(f"  lost: {shown(note)}")
    print("Next: " + "\n      ".join(commands))
    return OK


def bases_of(given: Sequence[str]) -> Mapping[str, str]:
    """The images that stand in the place of others.

    Raises:
        UsageFault: one is no pair.
    """
    pairs = [entry.rpartition("=")[::2] for entry in given]
    for entry, (name, other) in zip(given, pairs, strict=True):
        if not name or not other:
            raise UsageFault(cause=f"--base {entry} is not FROM=IMAGE", hint="write --base python:3.12-slim=base")
    return dict(pairs)
