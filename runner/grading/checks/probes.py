"""Component probes: required methods, called inside a sandbox on inputs that nobody knew before.

Where the task says `agree = "baseline"`, the values must be the baseline's on the same inputs, within a tolerance. Where
honest solutions differ (a normalisation, say), shape, finiteness and "not constant" must hold, and whether they compute what
the baseline computes is reported as equivalence. Every probe is repeated with each of its inputs drawn anew, and where the
task says `stateful`, with another instance: a method whose values stay the same uses neither its inputs nor its parameters.

What this misses: a class that works when it is called, and that the timed path never calls. The witness and the control
(`answers.py`) are for that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.grading.sample import SampleSpec, layout, parse, warm_sandbox
from runner.records.grading import Equivalence, Finding
from runner.sandbox.container import GuestExit, Received, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.wire import Kind
from runner.tasks.schema import ProbeSection
from runner.tasks.task import Array, Task

PROBE_DEADLINE_S = 60.0
FACTS_BYTES_MAX = 1024 * 1024

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Probe:
    """One method of one component, with everything that its call needs.

    Attributes:
        body: the inputs as raw bytes.
        bodies_changed: the same with one input after the other drawn anew.
    """

    component: str
    section: ProbeSection
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    init: tuple[int | float, ...]
    body: bytes
    bodies_changed: tuple[bytes, ...]

    @property
    def check(self) -> str:
        return f"component-works:{self.component}.{self.section.method}"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe gave.

    Attributes:
        values: the arrays that came back, or what went wrong.
        changed: the same for each changed input.
        again: from another instance, where the probe asks for it.
    """

    values: Arrays | str
    changed: tuple[Arrays | str, ...] = ()
    again: Arrays | str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file did under examination.

    Attributes:
        facts: bytes that the parser inside sent; None when there was no answer.
        probed: what each probe gave.
    """

    facts: bytes | None
    probed: tuple[ProbeResult, ...]


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
            parts = [_draw(draw, array) for array in inputs]
            changed = tuple(
                b"".join([*parts[:k], _draw(draw, array), *parts[k + 1 :]]) for k, array in enumerate(inputs)
            )
            yield Probe(component, probe, inputs, outputs, init, b"".join(parts), changed)


def _draw(draw: np.random.Generator, array: Array) -> bytes:
    dtype = np.dtype(array.dtype)
    values = draw.standard_normal(array.shape) if dtype.kind == "f" else draw.integers(0, 10, array.shape)
    return np.ascontiguousarray(values.astype(dtype), dtype=dtype.newbyteorder("<")).tobytes()


def examine(
    fleet: Fleet, spec: SampleSpec, source: bytes, probes: Sequence[Probe], *, cpuset: str, run: str = ""
) -> Inspection:
    """Parse a file and call its components, in one sandbox; the parsing comes first, while nothing in there is hostile.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    with warm_sandbox(fleet, spec, role="check", cpuset=cpuset, run=run) as sandbox:
        facts = sandbox.ask({"op": "facts"}, source, deadline_s=PROBE_DEADLINE_S, body_bytes_max=FACTS_BYTES_MAX)
        body = facts.frame.body if isinstance(facts, Received) and facts.frame.kind is Kind.REPLY else None
        if not probes:
            return Inspection(body, ())
        head = {"op": "load", "file": spec.task.file.submission.file}
        loaded = sandbox.ask(head, source, deadline_s=PROBE_DEADLINE_S)
        if not _is_answer(loaded):
            return Inspection(body, tuple(ProbeResult(_what_went_wrong(loaded)) for _ in probes))
        return Inspection(body, tuple(_probe(sandbox, probe) for probe in probes))


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
    got = sandbox.ask(head, body, deadline_s=PROBE_DEADLINE_S, body_bytes_max=declared)
    if isinstance(got, Received) and got.frame.kind is Kind.ANSWER:
        return parse(got.frame.body, probe.outputs)
    return _what_went_wrong(got)


def _is_answer(got: Received | GuestExit) -> bool:
    return isinstance(got, Received) and got.frame.kind is Kind.ANSWER


def _what_went_wrong(got: Received | GuestExit) -> str:
    if isinstance(got, GuestExit):
        return got.detail
    return str(got.frame.head.get("error", "no answer"))[:300]


def judge_probes(
    probes: Sequence[Probe], candidate: Inspection, baseline: Inspection, equivalence: Equivalence = "report"
) -> list[Finding]:
    """One finding a probe, and one about its equivalence where the policy asks for it. Pure."""
    found = []
    for probe, mine, reference in zip(probes, candidate.probed, baseline.probed, strict=True):
        found.append(_judge(probe, mine, reference))
        if equivalence != "off" and found[-1].mark == "pass":
            found += _equivalence(probe, mine, reference)
    return found


def _judge(probe: Probe, mine: ProbeResult, reference: ProbeResult) -> Finding:
    name = f"{probe.component}.{probe.section.method}"
    why_not = _why_not(probe, mine, reference)
    if why_not is None:
        return Finding(probe.check, "component", "pass", f"{name} works", origin="data")
    if isinstance(mine.values, str):
        return Finding(
            probe.check, "component", "fail", f"Required component does not spec: {name}: {why_not}", origin="data"
        )
    return Finding(probe.check, "component", "fail", f"{name} {why_not}", origin="data")


def _why_not(probe: Probe, mine: ProbeResult, reference: ProbeResult) -> str | None:
    values = mine.values
    if isinstance(values, str):
        return values
    if probe.section.agree == "baseline" and not isinstance(reference.values, str):
        error = _largest_error(values, reference.values)
        if error > probe.section.tolerance:
            return f"gives other values than the baseline's (relative error {error:.1e})"
    if all(array.size > 1 and np.ptp(array.astype(np.float64)) == 0.0 for array in values.values()):
        return "gives the same value everywhere"
    for array, changed in zip(probe.inputs, mine.changed, strict=False):
        if isinstance(changed, str):
            return f"does not work on other inputs: {changed}"
        if _largest_error(changed, values) == 0.0:
            return f"does not depend on its input {array.name.removeprefix('in')}"
    if isinstance(mine.again, str):
        return f"does not work in a second instance: {mine.again}"
    if mine.again is not None and _largest_error(mine.again, values) == 0.0:
        return "gives the same values with other parameters: it does not use its own"
    return None


def _equivalence(probe: Probe, mine: ProbeResult, reference: ProbeResult) -> Iterator[Finding]:
    """Whether it computes what the baseline computes; nothing can be said of values that random parameters make."""
    if probe.section.stateful or isinstance(mine.values, str) or isinstance(reference.values, str):
        return
    name, error = f"{probe.component}.{probe.section.method}", _largest_error(mine.values, reference.values)
    same = error <= probe.section.tolerance
    text = f"{name} computes {'what' if same else 'something else than'} the baseline's does"
    evidence = f"largest relative error {error:.1e}, {probe.section.tolerance:.0e} is allowed"
    yield Finding(f"equivalence:{name}", "equivalence", "pass" if same else "warn", text, evidence, "data")


def _largest_error(mine: Arrays, reference: Arrays) -> float:
    return max(_relative_error(mine[key], reference[key]) for key in mine)


def _relative_error(mine: NDArray[np.generic], reference: NDArray[np.generic]) -> float:
    scale = max(float(np.abs(reference.astype(np.float64)).max(initial=0.0)), 1e-12)
    return float(np.abs(mine.astype(np.float64) - reference.astype(np.float64)).max(initial=0.0)) / scale
