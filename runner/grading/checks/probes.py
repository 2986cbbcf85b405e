"""Component probes: required methods, called inside a sandbox on inputs that nobody knew before.

Where the task says `agree = "baseline"`, the values must be the baseline's on the same inputs, within a tolerance. Where
honest solutions differ (a normalisation, say), shape, finiteness and "not constant" must hold, and whether they compute what
the baseline computes is reported as equivalence. Every probe is repeated with one of its inputs after the other changed,
and where the task says `stateful`, with another instance: a method whose values stay the same uses neither its inputs nor
its parameters.

What this misses: a class that works when it is called, and that the timed path never calls. The witness and the control
(`answers.py`) are for that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.grading.sample import SampleSpec, layout, parse, warm_sandbox
from runner.records.grading import Equivalence, Finding, Mark
from runner.sandbox.container import GuestExit, Received, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.wire import Kind
from runner.tasks.schema import ProbeSection
from runner.tasks.task import Array, Task

# One call of one method, or the parsing of one file. chosen: the flagship's slowest takes well under a second.
PROBE_DEADLINE_S = 60.0
# What the parser inside may send, in bytes of the largest file: its names once as they are written and once as they are
# followed, in JSON, are under half of it for any file that is not made to outgrow it. chosen.
REPORT_BYTES_MIN, REPORT_BYTES_FOR_ONE = 1024 * 1024, 8
# Characters of an error that a finding shows. chosen: a line or three.
ERROR_MAX = 300
# Under this, the largest absolute value of a reference is taken for zero, and the error is not divided by it further.
SCALE_MIN = 1e-12

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Probe:
    """One method of one component, with everything that its call needs.

    Attributes:
        body: the inputs as raw bytes.
        bodies_changed: the same with one input after the other changed.
    """

    component: str
    section: ProbeSection
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    init: tuple[int | float, ...]
    body: bytes
    bodies_changed: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """What it calls, such as `ComplexNN.forward`."""
        return f"{self.component}.{self.section.method}"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe gave.

    Attributes:
        values: the arrays that came back, or what went wrong.
        changed: the same for each changed input.
        other_instance: the same from a second instance, where the probe asks for it.
    """

    values: Arrays | str
    changed: tuple[Arrays | str, ...] = ()
    other_instance: Arrays | str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What came of inspecting a file.

    Attributes:
        report: bytes that the parser inside sent; None when there was no answer.
        probed: what each probe gave.
    """

    report: bytes | None
    probed: tuple[ProbeResult, ...]


def make_probes(task: Task, scale: str, seed: int) -> tuple[Probe, ...]:
    """The task's probes with inputs drawn from a seed (standard normal; integers from 0 to 9)."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    return tuple(_make_probes(task, scale, rng))


def _make_probes(task: Task, scale: str, rng: np.random.Generator) -> Iterator[Probe]:
    sizes = task.scale(scale).sizes
    for component, section in task.file.components.items():
        for probe in section.probes:
            inputs = tuple(Array(f"in{i}", a.dtype, task.shape(a.shape, scale)) for i, a in enumerate(probe.inputs))
            outputs = tuple(Array(f"out{i}", a.dtype, task.shape(a.shape, scale)) for i, a in enumerate(probe.outputs))
            init = tuple(sizes[entry] if isinstance(entry, str) else entry for entry in probe.init)
            parts = [_random_bytes(rng, array) for array in inputs]
            changed = tuple(
                b"".join([*parts[:k], _random_bytes(rng, array), *parts[k + 1 :]]) for k, array in enumerate(inputs)
            )
            yield Probe(component, probe, inputs, outputs, init, b"".join(parts), changed)


def _random_bytes(rng: np.random.Generator, array: Array) -> bytes:
    dtype = np.dtype(array.dtype)
    values = rng.standard_normal(array.shape) if dtype.kind == "f" else rng.integers(0, 10, array.shape)
    return np.ascontiguousarray(values.astype(dtype), dtype=dtype.newbyteorder("<")).tobytes()


def inspect_file(
    fleet: Fleet, spec: SampleSpec, source: bytes, probes: Sequence[Probe], *, cpuset: str, run: str = ""
) -> Inspection:
    """Parse a file and call its components, in one sandbox; the parsing comes first, while nothing in there is hostile.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    with warm_sandbox(fleet, spec, role="check", cpuset=cpuset, run=run) as sandbox:
        bytes_max = max(REPORT_BYTES_MIN, REPORT_BYTES_FOR_ONE * spec.task.file.submission.max_bytes)
        asked = {"op": "facts", "bytes_max": bytes_max}
        parsed = sandbox.ask(asked, source, deadline_s=PROBE_DEADLINE_S, body_bytes_max=bytes_max)
        report = parsed.frame.body if isinstance(parsed, Received) and parsed.frame.kind is Kind.REPLY else None
        if not probes:
            return Inspection(report, ())
        head = {"op": "load", "file": spec.task.file.submission.file}
        loaded = sandbox.ask(head, source, deadline_s=PROBE_DEADLINE_S)
        if not _is_answer(loaded):
            return Inspection(report, tuple(ProbeResult(_error_text(loaded)) for _ in probes))
        return Inspection(report, tuple(_probe(sandbox, probe) for probe in probes))


def _probe(sandbox: Sandbox, probe: Probe) -> ProbeResult:
    values = _call(sandbox, probe, probe.body, fresh=True)
    if isinstance(values, str):
        return ProbeResult(values)
    changed = tuple(_call(sandbox, probe, body, fresh=False) for body in probe.bodies_changed)
    return ProbeResult(
        values, changed, _call(sandbox, probe, probe.body, fresh=True) if probe.section.stateful else None
    )


def _call(sandbox: Sandbox, probe: Probe, body: bytes, *, fresh: bool) -> Arrays | str:
    head = {
        "op": "probe",
        "fresh": fresh,
        "component": probe.component,
        "init": list(probe.init),
        "method": probe.section.method,
        "convert": probe.section.convert,
        "inputs": layout(probe.inputs),
        "answer": layout(probe.outputs),
    }
    declared = sum(array.nbytes for array in probe.outputs)
    reply = sandbox.ask(head, body, deadline_s=PROBE_DEADLINE_S, body_bytes_max=declared)
    if isinstance(reply, Received) and reply.frame.kind is Kind.ANSWER:
        return parse(reply.frame.body, probe.outputs)
    return _error_text(reply)


def _is_answer(reply: Received | GuestExit) -> bool:
    return isinstance(reply, Received) and reply.frame.kind is Kind.ANSWER


def _error_text(reply: Received | GuestExit) -> str:
    if isinstance(reply, GuestExit):
        return reply.detail
    return str(reply.frame.head.get("error", "no answer"))[:ERROR_MAX]


def judge_probes(
    probes: Sequence[Probe], candidate: Inspection, baseline: Inspection, equivalence: Equivalence = "report"
) -> list[Finding]:
    """One finding a probe, and one about its equivalence where the policy asks for it. Pure."""
    findings = []
    for probe, result, reference in zip(probes, candidate.probed, baseline.probed, strict=True):
        findings.append(_judge(probe, result, reference))
        if equivalence != "off" and findings[-1].mark == "pass":
            findings += _equivalence(probe, result, reference)
    return findings


def _judge(probe: Probe, result: ProbeResult, reference: ProbeResult) -> Finding:
    failure = _failure(probe, result, reference)
    if failure is None:
        text = f"{probe.name} works"
    elif isinstance(result.values, str):
        text = f"Required component does not work: {probe.name}: {failure}"
    else:
        text = f"{probe.name} {failure}"
    mark: Mark = "pass" if failure is None else "fail"
    return Finding("component-works", "component", mark, text, origin="data", about=probe.name)


def _failure(probe: Probe, result: ProbeResult, reference: ProbeResult) -> str | None:
    """Why a component does not do its work; None where it does."""
    values = result.values
    if isinstance(values, str):
        return values
    if probe.section.agree == "baseline" and not isinstance(reference.values, str):
        error = _largest_error(values, reference.values)
        if error > probe.section.tolerance:
            return f"gives other values than the baseline's (relative error {error:.1e})"
    if all(array.size > 1 and np.ptp(array.astype(np.float64)) == 0.0 for array in values.values()):
        return "gives the same value everywhere"
    for array, changed in zip(probe.inputs, result.changed, strict=False):
        if isinstance(changed, str):
            return f"does not work on other inputs: {changed}"
        if _largest_error(changed, values) == 0.0:
            return f"does not depend on its input {array.name.removeprefix('in')}"
    other = result.other_instance
    if isinstance(other, str):
        return f"does not work in a second instance: {other}"
    if other is not None and _largest_error(other, values) == 0.0:
        return "gives the same values with other parameters: it does not use its own"
    return None


def _equivalence(probe: Probe, result: ProbeResult, reference: ProbeResult) -> Iterator[Finding]:
    """Whether it computes what the baseline computes; nothing can be said of values that random parameters make."""
    if probe.section.stateful or isinstance(result.values, str) or isinstance(reference.values, str):
        return
    error = _largest_error(result.values, reference.values)
    same = error <= probe.section.tolerance
    text = f"{probe.name} computes {'what' if same else 'something else than'} the baseline's does"
    evidence = f"largest relative error {error:.1e}, {probe.section.tolerance:.0e} is allowed"
    yield Finding("equivalence", "equivalence", "pass" if same else "warn", text, evidence, "data", probe.name)


def _largest_error(values: Arrays, reference: Arrays) -> float:
    return max(_relative_error(values[name], reference[name]) for name in values)


def _relative_error(values: NDArray[np.generic], reference: NDArray[np.generic]) -> float:
    """The largest absolute difference over the largest absolute value of the reference."""
    scale = max(float(np.abs(reference.astype(np.float64)).max(initial=0.0)), SCALE_MIN)
    return float(np.abs(values.astype(np.float64) - reference.astype(np.float64)).max(initial=0.0)) / scale
