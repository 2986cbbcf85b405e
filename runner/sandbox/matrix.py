"""What an engine enforces with each of its runtimes, tried with one sandbox each: the matrix of walls."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from runner.faults import InfrastructureFault
from runner.sandbox.container import Received, Sandbox
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.walls import WALLS

CALLS = 50  # chosen: enough for a median, in a tenth of a second
CALL_DEADLINE_S = 30.0  # chosen: far over what any runtime needs for one


@dataclass(frozen=True, slots=True)
class Column:
    """One runtime.

    Attributes:
        unenforced: walls that do not stand with it; all of them where no sandbox comes up.
        refused: why no sandbox comes up; empty where one does.
        kernel: whose it is.
        start_s: from the call that creates a sandbox to its first word.
        call_ms: median of an empty request.
        landlock: version of the kernel's Landlock, by which commands are confined; 0 for none.
    """

    runtime: str
    unenforced: tuple[str, ...]
    refused: str = ""
    kernel: str = ""
    start_s: float | None = None
    call_ms: float | None = None
    landlock: int = 0


def runtimes_of(engine: Engine) -> list[str]:
    """Those that start containers; an engine also lists the shims that start these."""
    return [name for name in engine.facts.runtimes if not name.startswith("io.containerd.")]


def try_runtimes(engine: Engine, spec: SandboxSpec, runtimes: Sequence[str]) -> Iterator[Column]:
    """A sandbox with each runtime, every wall allowed to be missing, so that what is missing can be seen.

    Raises:
        Interrupted: we are stopping.
    """
    fleet = Fleet(engine, "walls")
    for runtime in runtimes:
        loose = replace(spec, runtime=runtime, unenforced=tuple(WALLS))
        started = time.monotonic()
        try:
            with fleet.open(loose, "toolserver", role="walls", cpuset=all_cpus(engine)) as sandbox:
                start_s = time.monotonic() - started
                calls = [_call_ms(sandbox) for _ in range(CALLS)]
                isolation = sandbox.enforced["isolation"]
        except InfrastructureFault as fault:
            yield Column(runtime, tuple(WALLS), refused=fault.cause)
            continue
        missing, kernel = tuple(isolation["unenforced"]), str(isolation["kernel"])
        yield Column(runtime, missing, "", kernel, start_s, median(calls), isolation["landlock"])


def _call_ms(sandbox: Sandbox) -> float:
    started = time.monotonic()
    if not isinstance(sandbox.ask({"op": "ping"}, deadline_s=CALL_DEADLINE_S), Received):
        raise InfrastructureFault(cause="a sandbox ended while it was looked at", hint="try again")
    return 1000 * (time.monotonic() - started)


def table(columns: Sequence[Column]) -> Iterator[str]:
    """The matrix as lines: a wall a line, a runtime a column."""
    width = max(14, *(len(column.runtime) + 2 for column in columns)) if columns else 14
    yield f"{'wall':14}" + "".join(f"{column.runtime:>{width}}" for column in columns)
    for wall in WALLS:
        marks = ("-" if column.refused else "no" if wall in column.unenforced else "enforced" for column in columns)
        yield f"{wall:14}" + "".join(f"{mark:>{width}}" for mark in marks)
    yield f"{'start':14}" + "".join(f"{_number(column.start_s, 's'):>{width}}" for column in columns)
    yield f"{'a call':14}" + "".join(f"{_number(column.call_ms, 'ms'):>{width}}" for column in columns)
    versions = ("-" if column.refused else str(column.landlock or "no") for column in columns)
    yield f"{'Landlock':14}" + "".join(f"{version:>{width}}" for version in versions)
    for column in columns:
        yield f"{column.runtime}: {column.refused or column.kernel}"


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.2f} {unit}"
