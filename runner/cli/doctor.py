"""`python -m runner doctor`: is this host fit for a job?"""

import json
import sys
from dataclasses import asdict

from runner.cli.options import DoctorOptions
from runner.report.escape import shown
from runner.report.progress import Progress
from runner.sandbox.engine import Engine
from runner.sandbox.host_checks import Check, allowed_by, examine, refuse_wrong_engine
from runner.sandbox.image import resolve_image
from runner.sandbox.install import ensure_engine
from runner.sandbox.matrix import runtimes_of, table, try_runtimes
from runner.selftest.besiege import hostile_spec
from runner.settings import Settings

MARKS = {"ok": "✓", "warn": "⚠", "fault": "✗"}


def doctor(settings: Settings, options: DoctorOptions) -> int:
    """Examine the host, fixing first what was asked for; returns the exit status: 3 with a fault, else 0.

    With `--walls` it prints the matrix of walls instead.

    Raises:
        InfrastructureFault: an engine or an image that was asked for could not be had.
    """
    with Progress(quiet=options.show.quiet) as progress:
        if options.install_engine:
            ensure_engine(settings, _say, _ask)
        checks, engine = examine(settings)
        if options.build and engine is not None:
            for name in options.build:
                resolve_image(engine, name, settings, say=progress.say)
            checks, _ = examine(settings)
        if options.walls and engine is not None:
            return _walls(engine, settings, options, progress)
    print(json.dumps([asdict(check) for check in checks]) if options.show.json else "\n".join(map(_line, checks)))
    return 3 if any(check.mark == "fault" for check in checks) else 0


def _walls(engine: Engine, settings: Settings, options: DoctorOptions, progress: Progress) -> int:
    """Print the matrix; 3 where, with the runtime that a job would use, no sandbox comes up, or a wall is missing that was
    not allowed to be.
    """
    refuse_wrong_engine(engine.facts)
    image = resolve_image(engine, "base", settings, say=progress.say)
    spec = hostile_spec(image, "", ())
    used = settings.runtime or engine.facts.default_runtime
    # The one that a job would use is looked at whatever it is called: an empty name is the engine's default.
    columns = list(try_runtimes(engine, spec, list(dict.fromkeys([*runtimes_of(engine), used]))))
    print(
        json.dumps([asdict(column) for column in columns])
        if options.show.json
        else "\n".join(map(shown, table(columns)))
    )
    (own,) = [column for column in columns if column.runtime == used]
    return 3 if own.refused or set(own.unenforced) - set(allowed_by(settings)) else 0


def _line(check: Check) -> str:
    line = f"{MARKS[check.mark]} {check.name}: {shown(check.seen)}"
    return f"{line}\n    → {shown(check.hint)}" if check.hint else line


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _ask(question: str) -> bool:
    """On a terminal it asks; elsewhere it has been said, and goes on."""
    if sys.stdin is None or not sys.stdin.isatty():
        return True
    print(f"{question} [Y/n] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")
