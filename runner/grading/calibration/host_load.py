"""How busy this machine is, for the record: load, time stolen by a hypervisor, frequency. None where it cannot be read."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

# The unit of /proc/stat (proc(5)).
TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
# Where the kernel counts in nanoseconds what each CPU has worked: the root of cpuacct (cgroup version 1), and the
# scheduler's own account, the seventh number of a CPU's line (Documentation/scheduler/sched-stats.rst).
CPUACCT, SCHEDSTAT = "/sys/fs/cgroup/cpuacct/cpuacct.usage_percpu", "/proc/schedstat"
# How far such an account may be from that in ticks, over the whole life of the machine. chosen: the two differ by how
# interrupts are charged, a percent on ordinary hosts; a container's own cgroup in place of the root shows a small part.
ACCOUNTS_DIFFER_MAX = 0.05
# What such an account is told to. chosen: it counts nanoseconds; what else runs between its two readings beside a sample is
# 0.2 to 0.6 ms on a quiet host.
FINE_UNIT_S = 0.0005


@dataclass(frozen=True, slots=True)
class HostLoad:
    """The machine at one moment.

    Attributes:
        load: average over one minute.
        steal_s: CPU seconds that the hypervisor has taken from one CPU since the start of the machine.
        mhz: frequency of that CPU.
        busy_s: CPU seconds that it has worked for processes, or was taken away, since then; without interrupts, which a
            process may bring about that is not charged for them.
        busy_unit_s: the part of a second that `busy_s` is told to; None: ticks.
    """

    load: float | None
    steal_s: float | None
    mhz: float | None
    busy_s: float | None
    busy_unit_s: float | None = None


def host_load(cpu: str) -> HostLoad:
    """The machine now, and one of its CPUs (a number, as in a cpuset)."""
    try:
        load: float | None = os.getloadavg()[0]
    except OSError:
        load = None
    seconds = _cpu_seconds(cpu)
    busy_s, unit_s = _busy_s(cpu, seconds) if seconds else (None, None)
    return HostLoad(load, seconds.get("steal"), _mhz(cpu), busy_s, unit_s)


def _busy_s(cpu: str, seconds: dict[str, float]) -> tuple[float, float | None]:
    """(what a CPU worked, the unit) by the finest account that there is; two readings of one process are of the same."""
    fine = _worked_ns(_finest_account(cpu), cpu)
    if fine is None:
        return seconds["steal"] + _worked_s(seconds), None
    return seconds["steal"] + fine / 1e9, FINE_UNIT_S


def _worked_s(seconds: dict[str, float]) -> float:
    return sum(seconds[name] for name in ("user", "nice", "system"))


@functools.cache
def _finest_account(cpu: str) -> str:
    """The file that counts what a CPU has worked in nanoseconds; empty where none is of the whole machine."""
    for path in (CPUACCT, SCHEDSTAT):
        fine, ticks = _worked_ns(path, cpu), _worked_s(_cpu_seconds(cpu) or {"user": 0.0, "nice": 0.0, "system": 0.0})
        if fine is not None and abs(fine / 1e9 - ticks) <= ACCOUNTS_DIFFER_MAX * ticks:
            return path
    return ""


def _worked_ns(path: str, cpu: str) -> int | None:
    """What one CPU has worked, by one of these files; None where that does not say."""
    if path == CPUACCT:
        values = "".join(_lines(path)).split()
        return int(values[int(cpu)]) if cpu.isdigit() and int(cpu) < len(values) else None
    for line in _lines(path) if path else ():
        name, *values = line.split()
        if name == f"cpu{cpu}" and len(values) > 6:
            return int(values[6])
    return None


def _cpu_seconds(cpu: str) -> dict[str, float]:
    """What one CPU has done, by kind (proc(5)); empty where it cannot be read."""
    kinds = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    for line in _lines("/proc/stat"):
        name, *values = line.split()
        if name == f"cpu{cpu}" and len(values) >= len(kinds):
            return {kind: int(value) / TICKS_PER_S for kind, value in zip(kinds, values, strict=False)}
    return {}


def _mhz(cpu: str) -> float | None:
    text = "".join(_lines(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")).strip()
    if text.isdigit():
        return int(text) / 1000.0
    frequencies = [line.partition(":")[2] for line in _lines("/proc/cpuinfo") if line.startswith("cpu MHz")]
    return float(frequencies[int(cpu)]) if cpu.isdigit() and int(cpu) < len(frequencies) else None


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
