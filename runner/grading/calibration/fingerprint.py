"""A host's fingerprint: whatever its noise may depend on, as far as it can be read."""

import platform
from dataclasses import dataclass
from pathlib import Path

from runner.sandbox.engine import Engine
from runner.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Whatever a host's noise may depend on; another value of any of these needs another certificate.

    The fields, in this order, name the certificate's file. What cannot be read is empty.

    Attributes:
        cpu: the processor's model.
        cores: CPUs of the engine's machine.
        governor: how the kernel chooses the CPU's frequency.
        smt: "1" where two hardware threads share a core.
        kernel, engine: their versions.
        image: id of the task's image.
        task: digest of the task's folder.
    """

    cpu: str
    cores: int
    governor: str
    smt: str
    kernel: str
    engine: str
    image: str
    task: str
    scale: str


def fingerprint(engine: Engine, task: Task, scale: str, image_id: str) -> Fingerprint:
    """The fingerprint of the engine's machine; of a remote one only what its engine tells."""
    local = engine.is_local
    return Fingerprint(
        cpu=_cpu_model() if local else "",
        cores=engine.facts.ncpu,
        governor=_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") if local else "",
        smt=_read("/sys/devices/system/cpu/smt/active") if local else "",
        kernel=engine.facts.kernel,
        engine=engine.facts.version,
        image=image_id,
        task=task.digest,
        scale=scale,
    )


def _cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith(("model name", "Hardware")):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
