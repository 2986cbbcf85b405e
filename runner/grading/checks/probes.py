"""Component probes: required methods, called inside a sandbox on inputs that nobody knew before.

Where the task says `agree = "baseline"`, the values must be the baseline's on the same inputs, within a tolerance. Where
honest solutions differ (a normalisation, say), shape, finiteness and "not constant" must hold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.grading.sample import Work, layout, parse, warmed
from runner.records.finding import Finding
from runner.sandbox.container import Arrived, Ended, Fleet, Sandbox
from runner.sandbox.wire import Kind
from runner.task import Array, ProbeSection, Task

PROBE_DEADLINE_S = 60.0
FACTS_BYTES_MAX = 1024 * 1024

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Probe:
    """One method of one component, with everything that its call needs.

    Attributes:
        body: the inputs as raw bytes.
    """

    component: str
    section: ProbeSection
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    init: tuple[int | float, ...]
    body: bytes

    @property
    def check(self) -> str:
        return f"component-works:{self.component}.{self.section.method}"


@dataclass(frozen=True, slots=True)
class Examined:
    """What a file did under examination.

    Attributes:
        facts: bytes that the parser inside sent; None when there was no answer.
        probed: for each probe the arrays that came back, or what went wrong.
    """

    facts: bytes | None
    probed: tuple[Arrays | str, ...]


def make_probes(task: Task, scale: str, seed: int) -> tuple[Probe, ...]:
    """The task's probes with inputs drawn from a seed (standard normal; integers from 0 to 9)."""
    draw = np.random.default_rng(np.random.SeedSequence(seed))
    return tuple(_make_probes(task, scale, draw))


def _make_probes(task: Task, scale: str, draw: np.random.Generator) -> Iterator[Probe]:
    sizes = task.scale(scale).sizes
    for component, section in task.file.components.items():
        for probe in section.probes:
            inputs = tuple(Array(f"in{i}", a.dtype, task.shape(a.shape, scale)) for i, a in enumerate(probe.inputs))
            outputs = tuple(Array(f"out{i}", a.dtype, task.shape(a.shape, scale)) for i, a in enumerate(probe.outputs))
            init = tuple(sizes[entry] if isinstance(entry, str) else entry for entry in probe.init)
            body = b"".join(_draw(draw, array) for array in inputs)
            yield Probe(component, probe, inputs, outputs, init, body)


def _draw(draw: np.random.Generator, array: Array) -> bytes:
    dtype = np.dtype(array.dtype)
    values = draw.standard_normal(array.shape) if dtype.kind == "f" else draw.integers(0, 10, array.shape)
    return np.ascontiguousarray(values.astype(dtype), dtype=dtype.newbyteorder("<")).tobytes()


def examine(
    fleet: Fleet, work: Work, source: bytes, probes: Sequence[Probe], *, cpuset: str, run: str = ""
) -> Examined:
    """Parse a file and call its components, in one sandbox; the parsing comes first, while nothing in there is hostile.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    with warmed(fleet, work, role="check", cpuset=cpuset, run=run) as sandbox:
        facts = sandbox.ask({"op": "facts"}, source, deadline_s=PROBE_DEADLINE_S, body_bytes_max=FACTS_BYTES_MAX)
        body = facts.frame.body if isinstance(facts, Arrived) and facts.frame.kind is Kind.REPLY else None
        if not probes:
            return Examined(body, ())
        head = {"op": "load", "file": work.task.file.submission.file}
        loaded = sandbox.ask(head, source, deadline_s=PROBE_DEADLINE_S)
        if not _is_answer(loaded):
            return Examined(body, tuple(_what_went_wrong(loaded) for _ in probes))
        return Examined(body, tuple(_probe(sandbox, probe) for probe in probes))


def _probe(sandbox: Sandbox, probe: Probe) -> Arrays | str:
    head = {
        "op": "probe",
        "component": probe.component,
        "init": list(probe.init),
        "method": probe.section.method,
        "convert": probe.section.convert,
        "inputs": layout(probe.inputs),
        "answer": layout(probe.outputs),
    }
    declared = sum(array.nbytes for array in probe.outputs)
    got = sandbox.ask(head, probe.body, deadline_s=PROBE_DEADLINE_S, body_bytes_max=declared)
    if isinstance(got, Arrived) and got.frame.kind is Kind.ANSWER:
        return parse(got.frame.body, probe.outputs)
    return _what_went_wrong(got)


def _is_answer(got: Arrived | Ended) -> bool:
    return isinstance(got, Arrived) and got.frame.kind is Kind.ANSWER


def _what_went_wrong(got: Arrived | Ended) -> str:
    if isinstance(got, Ended):
        return got.detail
    return str(got.frame.head.get("error", "no answer"))[:300]


def judge_probes(probes: Sequence[Probe], candidate: Examined, baseline: Examined) -> list[Finding]:
    """One finding a probe. Pure."""
    return [
        _judge(probe, mine, reference)
        for probe, mine, reference in zip(probes, candidate.probed, baseline.probed, strict=True)
    ]


def _judge(probe: Probe, mine: Arrays | str, reference: Arrays | str) -> Finding:
    name = f"{probe.component}.{probe.section.method}"
    if isinstance(mine, str):
        return Finding(probe.check, "component", "fail", f"Required component does not work: {name}: {mine}")
    if probe.section.agree == "baseline" and not isinstance(reference, str):
        error = max(_relative_error(mine[key], reference[key]) for key in mine)
        if error > probe.section.tolerance:
            text = f"{name} gives other values than the baseline's (relative error {error:.1e})"
            return Finding(probe.check, "component", "fail", text)
    if all(array.size > 1 and np.ptp(array.astype(np.float64)) == 0.0 for array in mine.values()):
        return Finding(probe.check, "component", "fail", f"{name} gives the same value everywhere")
    return Finding(probe.check, "component", "pass", f"{name} works")


def _relative_error(mine: NDArray[np.generic], reference: NDArray[np.generic]) -> float:
    scale = max(float(np.abs(reference.astype(np.float64)).max(initial=0.0)), 1e-12)
    return float(np.abs(mine.astype(np.float64) - reference.astype(np.float64)).max(initial=0.0)) / scale
