"""The walls of a sandbox by name: which of them stand, and what it means where one does not.

A wall is what several fields of an engine's answer, and of PID 1's look around, say together. One that an engine cannot
put up ends a job before its first episode; whoever names it (`--allow-unenforced`) goes on, and the result says so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.faults import UsageFault

# A wall, and what it stops.
WALLS = {
    "memory": "a guest that takes the host's memory",
    "processes": "fork bombs and floods of threads",
    "cpu": "a guest that takes the CPUs of others",
    "disk": "a guest that fills a disk, or a file system of its own without end",
    "root": "changes to the image, and writable places that nobody counts",
    "network": "anything that leaves the sandbox but by its frames",
    "capabilities": "what root may do",
    "privileges": "programs that give rights to whoever starts them",
    "calls": "system calls that a guest has no use for: namespaces, mounts, tracing, keyrings, rings, rare sockets",
    "pages": "what reaches pages, a pool for filters and modules that a host has once, and what it keeps beside limits",
    "user": "a guest that counts as another user of the host",
    "namespaces": "a guest that sees or signals what is not its own",
    "quotas": "kernel objects without end: descriptors, queues, signals, locked memory",
}
# A field of the engine's answer, or of PID 1's, and its wall. What is in none is no wall: it must be as asked for.
WALL_OF_FIELD = {
    **dict.fromkeys(("Memory", "MemorySwap", "memory_bytes"), "memory"),
    **dict.fromkeys(("PidsLimit", "pids"), "processes"),
    **dict.fromkeys(("NanoCpus", "CpusetCpus"), "cpu"),
    **dict.fromkeys(("Tmpfs", "ShmSize", "workspace_bytes", "tmp_bytes", "shm_bytes"), "disk"),
    **dict.fromkeys(("ReadonlyRootfs", "root_writable", "writable_mounts", "Mounts", "ReadonlyPaths"), "root"),
    **dict.fromkeys(("NetworkMode", "interfaces"), "network"),
    **dict.fromkeys(("CapDrop", "CapAdd", "Privileged", "capabilities", "bounding"), "capabilities"),
    "no_new_privileges": "privileges",
    **dict.fromkeys(("SecurityOpt", "seccomp", "walled"), "calls"),
    "refused": "pages",
    **dict.fromkeys(("User", "uid", "gid", "groups", "GroupAdd"), "user"),
    **dict.fromkeys(
        ("IpcMode", "PidMode", "UTSMode", "UsernsMode", "CgroupnsMode", "MaskedPaths", "pid"), "namespaces"
    ),
    **dict.fromkeys(("Ulimits", "ulimits"), "quotas"),
}


SAID = "engine, "  # and a wall: what the engine says of itself


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that is not as it was asked for.

    Attributes:
        field: its name, with where it was seen.
        wall: the wall that it belongs to; empty for none.
    """

    field: str
    asked: object
    found: object

    @property
    def wall(self) -> str:
        if self.field.startswith(SAID):
            return self.field.removeprefix(SAID)
        return WALL_OF_FIELD.get(self.field.removeprefix("HostConfig.").removeprefix("inside, "), "")

    def __str__(self) -> str:
        return f"{self.field}: {short(self.asked)} / {short(self.found)}"


SHOWN_CHARS = 160  # chosen: a filter of system calls has ten thousand


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """The walls that a user goes on without.

    Raises:
        UsageFault: there is no such wall.
    """
    found = tuple(sorted(set(names)))
    for name in found:
        if name not in WALLS:
            raise UsageFault(cause=f"there is no wall {name!r}", hint=f"the walls are {', '.join(WALLS)}")
    return found


def refusal(walls: Iterable[str]) -> tuple[str, str]:
    """(cause, hint) where walls do not stand: the same words from a job and from the doctor."""
    missing = [name for name in WALLS if name in set(walls)]
    cause = "this engine does not enforce " + "; ".join(f"{name} (it stops {WALLS[name]})" for name in missing)
    flags = " ".join(f"--allow-unenforced {name}" for name in missing)
    return cause, f"use another engine or runtime, or go on without: {flags}"


def isolation(differences: Iterable[Difference], runtime: str, seen: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a record says of a sandbox: its grade, the walls that stand and those that do not, and whose kernel it is.

    The grade is `full` where all stand, else `partial`. Landlock is no wall that is asked for: commands are confined by it
    where the kernel has it, and `landlock` is its version, or 0.

    Args:
        seen: what PID 1 saw before anything of a guest's ran.
    """
    missing = {difference.wall for difference in differences if difference.wall}
    return {
        "grade": "partial" if missing else "full",
        "walls": [name for name in WALLS if name not in missing],
        "unenforced": [name for name in WALLS if name in missing],
        "kernel": "gVisor" if seen.get("gvisor") else f"the host's, shared ({runtime or 'default runtime'})",
        "landlock": version if isinstance(version := seen.get("landlock"), int) else 0,
    }
