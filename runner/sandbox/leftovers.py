"""Containers whose runner is gone: found by their labels and by the liveness of who holds them.

A started sandbox ends with its stdin, so that nothing stays of a runner that was killed, but for what it had created and not
started yet, and for what an engine does not let go. Each container's label names its holder: a process by its number and the
time of its start, on a machine that has booted once. Whether a holder lives can be said on its own machine only; a container
of another machine's is left alone unless it can never have been anybody's work under way.
"""

import hashlib
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import docker

from runner.sandbox.engine import Engine, engine_errors
from runner.sandbox.removal import engine_seconds, remove
from runner.sandbox.spec import HOLDER_LABEL, LABEL

# After which a container that does not run is nobody's work under way. chosen: over what the answers to create, attach and
# start may take together, each a minute (`Settings.engine_timeout_s`), and half as much again.
NEVER_STARTED_AFTER_S = 300.0
MACHINE_DIGITS = 12  # chosen: enough that no two machines of a user share one
ENDED = ("created", "exited", "dead")
HOLDER = re.compile(rf"[0-9a-f]{{{MACHINE_DIGITS}}}:\d+:(\d+|unknown)")  # as `holder` writes it
# Of /proc/<pid>/stat, counted after the bracket of the name: what it does, and its start in ticks since the boot.
STATE_FIELD, START_FIELD = 0, 19


class Left(StrEnum):
    """What is known of a container."""

    HELD = "held"  # its runner lives
    ORPHANED = "orphaned"  # its runner is dead, or it was never started
    UNKNOWN = "unknown"  # its runner is another machine's, or says nothing of itself


@dataclass(frozen=True, slots=True)
class Leftover:
    """A container of ours.

    Attributes:
        id: of the container.
        job, role: of its labels; hostile text where somebody else made it.
        status: as the engine calls it.
        age_s: since it was created, by the engine's clock.
    """

    id: str
    job: str
    role: str
    status: str
    age_s: float
    left: Left


# Holders


def holder() -> str:
    """This process, as a label names it: machine, number, and start."""
    return f"{_machine()}:{os.getpid()}:{_start_of(os.getpid())}"


def _machine() -> str:
    """This machine since its boot, and the processes that this one can see there."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        known = boot + str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # no Linux: its name must do
        known = socket.gethostname()
    return hashlib.sha256(known.encode()).hexdigest()[:MACHINE_DIGITS]


def _start_of(pid: int) -> str:
    """When a process started; empty where there is none, or none that still runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:  # it may be another user's, of whom a host need not show anything (`hidepid`)
        return "" if Path("/proc/self/stat").exists() and not _is_there(pid) else "unknown"
    return "" if fields[STATE_FIELD] in ("Z", "X") else fields[START_FIELD]


def _is_there(pid: int) -> bool:
    """Whether there is a process of that number, whosever it is."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def is_alive(label: str) -> bool | None:
    """Whether a holder lives; None where that cannot be said here."""
    machine, _, process = label.partition(":")
    pid, _, start = process.partition(":")
    if machine != _machine() or not (pid.isascii() and pid.isdigit()):
        return None
    now = _start_of(int(pid))
    return None if now == "unknown" else bool(now) and now == start


# Containers


def leftovers(engine: Engine, label: str = LABEL) -> list[Leftover]:
    """Every container of ours on the engine, whatever its state.

    Args:
        label: that they must have.

    Raises:
        EngineFault: the engine does not answer.
    """
    with engine_errors("looking for left-over containers"):
        now_s = engine_seconds(engine.client.api.info()["SystemTime"])
        listed = engine.client.api.containers(all=True, filters={"label": label})
        found = [_read(entry, now_s) for entry in listed]
        images = [str(entry.get("ImageID", "")) for entry in listed]
    made = [_leftover(*entry) for entry in found]
    for index, (each, (_, labels, _, _), image_id) in enumerate(zip(made, found, images, strict=True)):
        if each.left is Left.ORPHANED and _is_of_image(engine, image_id, labels[HOLDER_LABEL]):
            made[index] = replace(each, left=Left.UNKNOWN)
    return made


def _is_of_image(engine: Engine, image_id: str, held_by: str) -> bool:
    """Whether a holder is in the image's own labels, as in one that somebody made of a sandbox: all have it that anybody
    makes of the image, and a runner writes its own over it."""
    with engine_errors("looking for left-over containers"):
        try:
            config = engine.client.api.inspect_image(image_id)["Config"] or {}
            return bool((config.get("Labels") or {}).get(HOLDER_LABEL) == held_by)
        except (docker.errors.ImageNotFound, docker.errors.NullResource):
            return False


def _read(entry: Mapping[str, Any], now_s: float) -> tuple[str, Mapping[str, str], str, float]:
    """(id, labels, status, age in seconds) of an entry of the engine's list."""
    labels = {str(name): str(value) for name, value in (entry.get("Labels") or {}).items()}
    return str(entry["Id"]), labels, str(entry.get("State", "")), now_s - float(entry.get("Created", now_s))


def _leftover(container_id: str, labels: Mapping[str, str], status: str, age_s: float) -> Leftover:
    held_by = labels.get(HOLDER_LABEL, "")
    # An image may bear our label, and so do all containers that others make of it: without a holder they are theirs.
    left = _left(is_alive(held_by), status, age_s) if HOLDER.fullmatch(held_by) else Left.UNKNOWN
    return Leftover(
        id=container_id,
        job=labels.get(f"{LABEL}.job", ""),
        role=labels.get(f"{LABEL}.role", labels.get(LABEL, "")),
        status=status,
        age_s=age_s,
        left=left,
    )


def _left(alive: bool | None, status: str, age_s: float) -> Left:
    if alive is not None:
        return Left.HELD if alive else Left.ORPHANED
    return Left.ORPHANED if status in ENDED and age_s > NEVER_STARTED_AFTER_S else Left.UNKNOWN


def remove_orphans(engine: Engine, found: Iterable[Leftover]) -> list[Leftover]:
    """Remove those whose runner is gone; those of them that could not be seen to be gone."""
    return [each for each in found if each.left is Left.ORPHANED and not remove(engine, each.id)]


def sweep(engine: Engine, label: str = LABEL) -> int:
    """Remove what runners left that are gone; how many there were.

    Raises:
        EngineFault: the engine does not answer.
    """
    orphans = [each for each in leftovers(engine, label) if each.left is Left.ORPHANED]
    return len(orphans) - len(remove_orphans(engine, orphans))
