"""How busy this machine is, for the record: load, time stolen by a hypervisor, frequency. None where it cannot be read."""

import os
from dataclasses import dataclass
from pathlib import Path

# The unit of /proc/stat (proc(5)).
TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class HostLoad:
    """The machine at one moment.

    Attributes:
        load: average over one minute.
        steal_s: CPU seconds that the hypervisor has taken from one CPU since the start of the machine.
        mhz: frequency of that CPU.
    """

    load: float | None
    steal_s: float | None
    mhz: float | None


def host_load(cpu: str) -> HostLoad:
    """The machine now, and one of its CPUs (a number, as in a cpuset)."""
    try:
        load: float | None = os.getloadavg()[0]
    except OSError:
        load = None
    return HostLoad(load, _steal_s(cpu), _mhz(cpu))


def _steal_s(cpu: str) -> float | None:
    for line in _lines("/proc/stat"):
        fields = line.split()
        if fields[0] == f"cpu{cpu}" and len(fields) > 8:
            return int(fields[8]) / TICKS_PER_S
    return None


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
