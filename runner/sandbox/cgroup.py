"""What a container has used, by the kernel's account of it: read outside the container, where nothing inside can write.

On the engine's own machine the cgroup's files are read (both versions); elsewhere the engine is asked once. A number that
cannot be had is None: nothing is guessed.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests

from runner.faults import EngineFault
from runner.sandbox.engine import ODD_ANSWER, Engine, engine_errors

CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "blkio")
# How often an account that must be had is asked for, and how long between. chosen: a hiccup of the engine's is over by then.
ACCOUNT_TRIES, ACCOUNT_PAUSE_S = 3, 0.5
# A sandbox that never had this share of its memory limit did not run into it. The kernel counts a kill for memory where the
# killed process was, whoever was short of it. Whose limit was reached is counted by version 2 alone (`oom`; the `failcnt` of
# version 1 stays 0 on Linux 6.18), and there not inside, where an engine's program puts a group with the same limit around
# the sandbox's. chosen: what such a program leaves in that group, or CPUs are granted in advance, is far below an eighth.
NEAR_LIMIT_SHARE = 7 / 8


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """Totals since the container's start.

    Attributes:
        cpu_s: CPU seconds of all its processes.
        throttled_s: seconds in which the CPU quota held it back.
        memory_peak_bytes: highest use, with swap where that is counted with it.
        pids_peak: most processes and threads at one time.
        written_bytes: to disks; what goes to a tmpfs is memory.
        memory_kills: processes that the kernel has ended for memory.
        limit_hits: times that its own memory limit left no other way; version 1 does not count them.
    """

    cpu_s: float | None = None
    throttled_s: float | None = None
    memory_peak_bytes: int | None = None
    pids_peak: int | None = None
    written_bytes: int | None = None
    memory_kills: int | None = None
    limit_hits: int | None = None

    def lost_to_host(self, limit_bytes: int) -> bool:
        """Whether the kernel has ended a process of it for memory, and its own limit was certainly not the reason."""
        if not self.memory_kills or self.limit_hits or self.memory_peak_bytes is None:
            return False
        return self.memory_peak_bytes < NEAR_LIMIT_SHARE * limit_bytes


def read_usage(engine: Engine, container_id: str) -> ResourceUsage:
    """The account of a container that lives; all None where it cannot be read."""
    try:
        return _read(engine, container_id)
    except (docker.errors.DockerException, requests.RequestException, OSError, *ODD_ANSWER):
        return ResourceUsage()


def read_cpu_s(engine: Engine, container_id: str) -> float | None:
    """The CPU seconds of a container, for what must not pass unseen; None where there are none: it has ended, or this engine
    counts nothing.

    Raises:
        EngineFault: the engine does not say, also when it is asked again.
    """
    for tries_left in reversed(range(ACCOUNT_TRIES)):
        try:
            with engine_errors(f"reading the CPU time of container {container_id[:12]}"):
                return _read(engine, container_id).cpu_s
        except EngineFault as fault:
            if isinstance(fault.__cause__, docker.errors.NotFound):
                return None
            if not tries_left or isinstance(fault.__cause__, requests.Timeout):  # that was all its time
                raise
        time.sleep(ACCOUNT_PAUSE_S)
    raise AssertionError("the last try returns or raises")


def last_usage(engine: Engine, container_id: str) -> ResourceUsage:
    """The account of a container that has just ended, as long as the kernel still has it; all None from then on."""
    folders = _folders(engine, container_id)
    return ResourceUsage() if folders is None else _from_files(folders)


def count_tasks(engine: Engine, container_id: str) -> int | None:
    """Processes and threads that a container has now; None where that cannot be read at this moment's own count."""
    folders = _folders(engine, container_id)
    return None if folders is None else _number(_text(folders["pids"] / "pids.current"))


def _read(engine: Engine, container_id: str) -> ResourceUsage:
    """Whatever the engine raises where it is asked comes out."""
    folders = _folders(engine, container_id)
    if folders is not None:
        return _from_files(folders)
    return _from_stats(engine.client.api.stats(container_id, stream=False, one_shot=True))


def _folders(engine: Engine, container_id: str) -> dict[str, Path] | None:
    """The cgroup's folder for each controller, under the names that Docker gives them; None if it is elsewhere."""
    if not engine.is_local:
        return None
    names = (f"docker/{container_id}", f"system.slice/docker-{container_id}.scope")
    for name in names:
        if (CGROUPS / name / "cpu.stat").is_file():
            return dict.fromkeys(CONTROLLERS, CGROUPS / name)
        if (CGROUPS / "cpuacct" / name).is_dir():
            return {controller: CGROUPS / controller / name for controller in CONTROLLERS}
    return None


def _from_files(folders: Mapping[str, Path]) -> ResourceUsage:
    stat = _pairs(_text(folders["cpu"] / "cpu.stat"))
    usage_ns = _number(_text(folders["cpuacct"] / "cpuacct.usage"))
    cpu_s = stat["usage_usec"] / 1e6 if "usage_usec" in stat else None if usage_ns is None else usage_ns / 1e9
    throttled_ns = 1000 * stat["throttled_usec"] if "throttled_usec" in stat else stat.get("throttled_time")
    kills, limit_hits = _memory_events(folders["memory"])
    return ResourceUsage(
        cpu_s=cpu_s,
        throttled_s=None if throttled_ns is None else throttled_ns / 1e9,
        memory_peak_bytes=_memory_peak(folders["memory"]),
        pids_peak=_number(_text(folders["pids"] / "pids.peak")),
        written_bytes=_written(folders["blkio"]),
        memory_kills=kills,
        limit_hits=limit_hits,
    )


def _memory_peak(folder: Path) -> int | None:
    """With swap, where version 1 counts that with it: pages that a guest had written out are as much in its limit's way."""
    names = ("memory.peak", "memory.max_usage_in_bytes", "memory.memsw.max_usage_in_bytes")
    return max((peak for name in names if (peak := _number(_text(folder / name))) is not None), default=None)


def _memory_events(folder: Path) -> tuple[int | None, int | None]:
    """(kills, hits of the limit): `memory.events` of version 2, `memory.oom_control` of version 1."""
    name = "memory.events" if (folder / "memory.events").is_file() else "memory.oom_control"
    found = _pairs(_text(folder / name))
    return found.get("oom_kill"), found.get("oom")


def _written(folder: Path) -> int | None:
    """Bytes written to disks: `io.stat` of version 2, `Write` lines of version 1; None where neither is counted."""
    if (folder / "io.stat").is_file():
        return sum(int(value) for value in re.findall(r"wbytes=(\d+)", _text(folder / "io.stat")))
    text = _text(folder / "blkio.throttle.io_service_bytes")
    return sum(int(value) for value in re.findall(r"Write (\d+)", text)) if text else None


def _from_stats(found: Any) -> ResourceUsage:
    # `pids_stats` has the number of this moment alone: whoever started more and ended them would look like nobody.
    cpu, memory = (found.get(name) or {} for name in ("cpu_stats", "memory_stats"))
    total_ns = (cpu.get("cpu_usage") or {}).get("total_usage")
    if total_ns == 0:
        # PID 1 alone has used some: of a container that has ended, and where nothing is counted, the engine says noughts.
        return ResourceUsage()
    throttled_ns = (cpu.get("throttling_data") or {}).get("throttled_time")
    return ResourceUsage(
        cpu_s=None if total_ns is None else total_ns / 1e9,
        throttled_s=None if throttled_ns is None else throttled_ns / 1e9,
        memory_peak_bytes=memory.get("max_usage"),
        written_bytes=_written_by_engine(found),
    )


def _written_by_engine(found: Mapping[str, Any]) -> int | None:
    entries = (found.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    return None if entries is None else sum(entry["value"] for entry in entries if entry["op"].lower() == "write")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:  # the container is gone, or this kernel does not count that
        return ""


def _pairs(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in text.splitlines()) if value.isdigit()}


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None
