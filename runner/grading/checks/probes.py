"""Component probes: required methods, called inside a sandbox on inputs that nobody knew before.

Whether a component is there is asked of the module that the file has become, never of its text: a class counts however it
was bound. An instance is made with the baseline's arguments, or else with those that the file itself uses.

Shape, finiteness and "not constant" must hold of every method. Whether it computes what the baseline's computes, within a
tolerance, is its equivalence: the task says whether that is required, or reported, since honest solutions may differ (in a
normalisation, say). Every probe is repeated with one of its inputs after the other changed: a
method whose values stay the same does not use its inputs. Where the task names `parameters`, all this is seen of an instance
as it is made or of one whose parameters were drawn (a fresh one may hold zeros), and the values must change with another
instance or with other parameters. Equivalence is then that of values with the same parameters on both sides.

What this misses: a class that works when it is called, and that the timed path never calls. The witness and the control
(`answers.py`) are for that.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.grading.checks.answers import VALUES_FEW
from runner.grading.checks.obligations import equivalence_of
from runner.grading.sample import SampleSpec, layout, parse, warm_sandbox
from runner.records.grading import Equivalence, Finding, Mark
from runner.sandbox.container import GuestExit, Received, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.wire import Kind
from runner.tasks.schema import ProbeSection
from runner.tasks.task import Array, Task

# One call of one method, or the parsing of one file. chosen: the flagship's slowest takes well under a second.
PROBE_DEADLINE_S = 60.0
# All calls for one submission together, the parsing included: one that hangs, or takes its time again and again, costs this
# once. chosen: the flagship's take some ten seconds, most of them where its baseline is run to see how it makes components.
PROBING_S = 120.0
# The same for all files of a run: its submission first, then the states of the file, where they are graded. chosen: five
# files that hang; a dozen that work take a third of it.
PROBING_RUN_S = 600.0
# What the parser inside may send, in bytes of the largest file: its names once as they are written and once as they are
# followed, in JSON, are under half of it for any file that is not made to outgrow it. chosen.
REPORT_BYTES_MIN, REPORT_BYTES_FOR_ONE = 1024 * 1024, 8
# Characters of an error that a finding shows. chosen: a line or three.
ERROR_MAX = 300
# Changes that are made where one may not show, since all of a few values, such as a label or a count, may stay the same.
# chosen: a bool that follows its input stays the same in all of them in one probe of 4096.
TRIES_MAX = 12
# Under this, the largest absolute value of a reference is taken for zero, and the error is not divided by it further.
SCALE_MIN = 1e-12

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Probe:
    """One method of one component, with everything that its call needs.

    Attributes:
        body: the inputs as raw bytes.
        draws: seeds of two sets of parameters, and of all that is drawn besides.
        shapes: of the baseline's parameters, where the task says them.
    """

    component: str
    section: ProbeSection
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    init: tuple[int | float, ...]
    body: bytes
    draws: tuple[int, int]
    shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def name(self) -> str:
        """What it calls, such as `ComplexNN.forward`."""
        return f"{self.component}.{self.section.method}"

    @property
    def tries(self) -> int:
        """How many changes are made, one after the other, until one shows."""
        return TRIES_MAX if sum(math.prod(array.shape) for array in self.outputs) <= VALUES_FEW else 1

    def changed(self, place: int) -> Iterator[bytes]:
        """The inputs as raw bytes with one of them drawn again, each time as another one."""
        array, start = self.inputs[place], sum(array.nbytes for array in self.inputs[:place])
        end = start + array.nbytes
        rng = np.random.default_rng([*self.draws, place])
        for _ in range(self.tries):
            yield self.body[:start] + _other_bytes(rng, array, self.body[start:end]) + self.body[end:]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe gave.

    Attributes:
        values: the arrays that came back, or what went wrong.
        changed: the same for each changed input: where several changes were made, of the first that shows, or of the last.
        other: the same with other parameters, where the probe names them.
        drawn: all of this from an instance whose parameters were drawn.
    """

    values: Arrays | str
    changed: tuple[Arrays | str, ...] = ()
    other: Arrays | str | None = None
    drawn: "ProbeResult | None" = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What came of inspecting a file.

    Attributes:
        report: bytes that the parser inside sent; None when there was no answer.
        failed: why the file does not run as a module; empty where it does, and where nothing of it was called.
        present: of the task's components those that the module has, each with the methods that it has.
        probed: what each probe gave; empty when the file does not run.
        dying_cpu_s: CPU seconds that its processes took to end after they were killed.
    """

    report: bytes | None
    probed: tuple[ProbeResult, ...] = ()
    failed: str = ""
    present: Mapping[str, frozenset[str]] = field(default_factory=dict)
    dying_cpu_s: float = 0.0


@dataclass
class ProbingTime:
    """What the calls for all files of one run may still take together.

    Attributes:
        left_s: seconds; a file that hangs takes PROBING_S of them and no more.
    """

    left_s: float = PROBING_RUN_S

    @contextlib.contextmanager
    def lent_to(self, sandbox: Sandbox) -> Iterator[None]:
        """Let a sandbox's answers take what one file may take; what they took is gone."""
        lent_s = sandbox.asking_left_s = max(0.0, min(PROBING_S, self.left_s))
        try:
            yield
        finally:
            self.left_s -= lent_s - (sandbox.asking_left_s or 0.0)


def make_probes(task: Task, scale: str, seed: int) -> tuple[Probe, ...]:
    """The task's probes with inputs drawn from a seed (standard normal; integers from 0 to 9)."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    return tuple(_make_probes(task, scale, rng))


def _make_probes(task: Task, scale: str, rng: np.random.Generator) -> Iterator[Probe]:
    sizes = task.scale(scale).sizes
    for component, section in task.file.components.items():
        for probe in section.probes:
            inputs = tuple(Array(f"in{i}", a.dtype, task.shape(a.shape, scale)) for i, a in enumerate(probe.inputs))
            outputs = tuple(
                Array(f"out{i}", a.dtype or "float64", task.shape(a.shape, scale)) for i, a in enumerate(probe.outputs)
            )
            init = tuple(sizes[entry] if isinstance(entry, str) else entry for entry in probe.init)
            parts = [_random_bytes(rng, array) for array in inputs]
            first, second = (int(seed) for seed in rng.integers(0, 2**31, 2))
            shapes = tuple(task.shape(shape, scale) for shape in probe.parameter_shapes)
            yield Probe(component, probe, inputs, outputs, init, b"".join(parts), (first, second), shapes)


def _random_bytes(rng: np.random.Generator, array: Array) -> bytes:
    dtype = np.dtype(array.dtype)
    values = rng.standard_normal(array.shape) if dtype.kind == "f" else rng.integers(0, 10, array.shape)
    return np.ascontiguousarray(values.astype(dtype), dtype=dtype.newbyteorder("<")).tobytes()


def _other_bytes(rng: np.random.Generator, array: Array, first: bytes) -> bytes:
    """Other values than the first: a few integers are soon drawn alike, and no method can show that it uses what stays."""
    other = first
    while other == first and array.nbytes:
        other = _random_bytes(rng, array)
    return other


def inspect_file(
    fleet: Fleet,
    spec: SampleSpec,
    source: bytes,
    probes: Sequence[Probe],
    *,
    cpuset: str,
    time: ProbingTime,
    run: str = "",
) -> Inspection:
    """Parse a file and call its components, in one sandbox; the parsing comes first, while nothing in there is hostile.

    Args:
        time: what the files of its run have together.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    found = None
    with warm_sandbox(fleet, spec, role="check", cpuset=cpuset, run=run) as sandbox, time.lent_to(sandbox):
        report = _parse(sandbox, spec, source)
        if report is not None or not spec.task.file.components:
            found = _call_components(sandbox, spec, source, probes, report)
    if found is None:  # the parser did not survive the text; the file itself may
        with warm_sandbox(fleet, spec, role="check", cpuset=cpuset, run=run) as sandbox, time.lent_to(sandbox):
            found = _call_components(sandbox, spec, source, probes, None)
    return replace(found, dying_cpu_s=sandbox.dying_cpu_s)


def _parse(sandbox: Sandbox, spec: SampleSpec, source: bytes) -> bytes | None:
    bytes_max = max(REPORT_BYTES_MIN, REPORT_BYTES_FOR_ONE * spec.task.file.submission.max_bytes)
    head = {"op": "facts", "bytes_max": bytes_max}
    parsed = sandbox.ask(head, source, deadline_s=PROBE_DEADLINE_S, body_bytes_max=bytes_max)
    return parsed.frame.body if isinstance(parsed, Received) and parsed.frame.kind is Kind.REPLY else None


def _call_components(
    sandbox: Sandbox, spec: SampleSpec, source: bytes, probes: Sequence[Probe], report: bytes | None
) -> Inspection:
    task = spec.task
    if not task.file.components:
        return Inspection(report)
    present = load_components(sandbox, task, source)
    if isinstance(present, str):
        return Inspection(report, failed=present)
    probed = tuple(_probe(sandbox, probe, task.file.call.entry) for probe in probes)
    return Inspection(report, probed, present=present)


def load_components(sandbox: Sandbox, task: Task, source: bytes) -> dict[str, frozenset[str]] | str:
    """Run the file in a sandbox, for the calls that follow: the components that it has, with their methods; or why it fails.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    loaded = sandbox.ask({"op": "load", "file": task.file.submission.file}, source, deadline_s=PROBE_DEADLINE_S)
    if not _is_answer(loaded):
        return _error_text(loaded)
    components = {name: section.methods for name, section in task.file.components.items()}
    described = sandbox.ask(
        {"op": "describe", "components": components, "entry": task.file.call.entry}, b"", deadline_s=PROBE_DEADLINE_S
    )
    return read_presence(described.frame.head.get("present") if isinstance(described, Received) else None)


def read_presence(claimed: Any) -> dict[str, frozenset[str]]:
    """What the module says that it has, in the form that it must have; hostile, but what it claims is called, too."""
    if not isinstance(claimed, dict):
        return {}
    return {str(name): frozenset(map(str, has)) for name, has in claimed.items() if isinstance(has, list)}


def _probe(sandbox: Sandbox, probe: Probe, entry: str) -> ProbeResult:
    def call(body: bytes, *, fresh: bool, draw: int | None = None) -> Arrays | str:
        return call_method(sandbox, probe, entry, body, fresh=fresh, draw=draw)

    def changed(values: Arrays | str) -> tuple[Arrays | str, ...]:
        places = range(len(probe.inputs))
        return tuple(_that_shows(values, (call(body, fresh=False) for body in probe.changed(k))) for k in places)

    values = call(probe.body, fresh=True)
    if isinstance(values, str):
        return ProbeResult(values)
    if probe.section.parameters is None:
        return ProbeResult(values, changed(values))
    tries = range(probe.tries)
    as_made = ProbeResult(values, changed(values), _that_shows(values, (call(probe.body, fresh=True) for _ in tries)))
    first, second = probe.draws
    values = call(probe.body, fresh=True, draw=first)
    others = (call(probe.body, fresh=False, draw=second + number) for number in tries)
    return replace(as_made, drawn=ProbeResult(values, changed(values), _that_shows(values, others)))


def _that_shows(values: Arrays | str, others: Iterator[Arrays | str]) -> Arrays | str:
    """The first of some results that differs from the values, or that is none; else the last.

    A label or a count often stays the same where what it was made of changes: one change shows nothing of them.
    """
    other = values
    for other in others:
        if isinstance(values, str) or isinstance(other, str) or _largest_error(other, values) > 0.0:
            break
    return other


def call_method(
    sandbox: Sandbox,
    probe: Probe,
    entry: str,
    body: bytes,
    *,
    fresh: bool,
    draw: int | None = None,
    deadline_s: float = PROBE_DEADLINE_S,
) -> Arrays | str:
    """Call a component's method in a sandbox that has run its file: the arrays that came back, or what went wrong.

    Args:
        entry: the timed function; an instance is made with the arguments that it uses where the probe's do not fit.
        body: the inputs as raw bytes.
        fresh: with a new instance; else with the component's last one.
        draw: seed of parameters to set first.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    outputs = zip(probe.outputs, probe.section.outputs, strict=True)
    head = {
        "op": "probe",
        "fresh": fresh,
        "component": probe.component,
        "init": list(probe.init),
        "entry": entry,
        "method": probe.section.method,
        "parameters": probe.section.parameters,
        "draw": draw,
        "shapes": probe.shapes,
        "convert": probe.section.convert,
        "inputs": layout(probe.inputs),
        "answer": layout(probe.outputs),
        "any_dtype": [array.name for array, section in outputs if section.dtype is None],
    }
    declared = sum(array.nbytes for array in probe.outputs)
    reply = sandbox.ask(head, body, deadline_s=deadline_s, body_bytes_max=declared)
    if isinstance(reply, Received) and reply.frame.kind is Kind.ANSWER:
        return parse(reply.frame.body, probe.outputs)
    return _error_text(reply)


def _is_answer(reply: Received | GuestExit) -> bool:
    return isinstance(reply, Received) and reply.frame.kind is Kind.ANSWER


def _error_text(reply: Received | GuestExit) -> str:
    if isinstance(reply, GuestExit):
        return reply.detail
    return str(reply.frame.head.get("error", "no answer"))[:ERROR_MAX]


def judge_presence(task: Task, candidate: Inspection, places: Mapping[str, int]) -> list[Finding]:
    """Whether the file runs, and one finding a component: whether the module has it. Pure.

    Args:
        places: the lines of classes and methods (`Name.method`) in the text; they only help whoever reads the finding.
    """
    if candidate.failed:
        text = f"The file cannot be run: {candidate.failed}"
        return [Finding(check="source-runs", subject="form", mark="fail", text=text, origin="data")]
    return [
        _presence(name, section.methods, candidate.present.get(name), places)
        for name, section in task.file.components.items()
    ]


def _presence(name: str, methods: Sequence[str], has: frozenset[str] | None, places: Mapping[str, int]) -> Finding:
    if has is None:
        text = f"Missing required component: {name}{_place(name, places)}"
        return Finding(
            check="component-present", subject="component", mark="fail", text=text, origin="data", about=name
        )
    lacks = [f"{method}{_place(f'{name}.{method}', places)}" for method in methods if method not in has]
    if lacks:
        text = f"Required component {name} lacks {', '.join(lacks)}"
        return Finding(
            check="component-present", subject="component", mark="fail", text=text, origin="data", about=name
        )
    text = f"{name} is there, with {', '.join(methods)}"
    return Finding(check="component-present", subject="component", mark="pass", text=text, origin="data", about=name)


def _place(name: str, places: Mapping[str, int]) -> str:
    """Where the text defines what the module does not have: inside a function, perhaps, or before it was deleted."""
    return f" (line {places[name]} defines it, but the module does not have it)" if name in places else ""


def judge_probes(
    task: Task,
    probes: Sequence[Probe],
    candidate: Inspection,
    baseline: Inspection,
    policy: Equivalence | None = None,
) -> list[Finding]:
    """One finding a probe, and one about its equivalence where that is asked for; none of a file that does not run. Pure.

    Args:
        policy: the user's about equivalence; None: the task's.
    """
    if candidate.failed:
        return []
    findings = []
    with np.errstate(all="ignore"):  # hostile numbers may overflow: an error of infinity is as good as any
        for probe, result, reference in zip(probes, candidate.probed, baseline.probed, strict=True):
            findings.append(_judge(probe, result))
            wanted = equivalence_of(task, probe.component, probe.section, policy)
            if wanted is not Equivalence.OFF and findings[-1].mark == "pass":
                findings.append(_equivalence(probe, result, reference, wanted))
    return findings


def _judge(probe: Probe, result: ProbeResult) -> Finding:
    failure = _failure(probe, result)
    if failure is not None and result.drawn is not None and _failure(probe, result.drawn) is None:
        failure = None  # as it is made it holds what shows nothing: zeros, or the same values each time
    if failure is None:
        text = f"{probe.name} works"
    elif isinstance(result.values, str):
        text = f"Required component does not work: {probe.name}: {failure}"
    else:
        text = f"{probe.name} {failure}"
    mark: Mark = "pass" if failure is None else "fail"
    return Finding(check="component-works", subject="component", mark=mark, text=text, origin="data", about=probe.name)


def _failure(probe: Probe, result: ProbeResult) -> str | None:
    """Why a component does not do its work; None where it does."""
    values = result.values
    if isinstance(values, str):
        return values
    if all(array.size > 1 and np.ptp(array.astype(np.float64)) == 0.0 for array in values.values()):
        return "gives the same value everywhere"
    for array, changed in zip(probe.inputs, result.changed, strict=False):
        if isinstance(changed, str):
            return f"does not work on other inputs: {changed}"
        if array.nbytes and _largest_error(changed, values) == 0.0:
            return f"does not depend on its input {array.name.removeprefix('in')}"
    other = result.other
    if isinstance(other, str):
        return f"does not work with other parameters: {other}"
    if other is not None and _largest_error(other, values) == 0.0:
        return "gives the same values with other parameters: it does not use its own"
    return None


def _equivalence(probe: Probe, result: ProbeResult, reference: ProbeResult, wanted: Equivalence) -> Finding:
    """Whether it computes what the baseline computes, with the same parameters on both sides where it has any."""
    values, expected = (side.values if side.drawn is None else side.drawn.values for side in (result, reference))
    otherwise: Mark = "fail" if wanted is Equivalence.REQUIRED else "warn"
    if isinstance(values, str) or isinstance(expected, str):
        text = (
            f"{probe.name} could not be compared with the baseline's: {values if isinstance(values, str) else expected}"
        )
        return Finding(
            check="equivalence",
            subject="equivalence",
            mark=otherwise,
            text=text,
            evidence="",
            origin="data",
            about=probe.name,
        )
    error = _largest_error(values, expected)
    same = error <= probe.section.tolerance
    given = "" if result.drawn is None else ", given the same parameters"
    text = f"{probe.name} computes {'what' if same else 'something else than'} the baseline's does{given}"
    evidence = f"largest relative error {error:.1e}, {probe.section.tolerance:.0e} is allowed"
    return Finding(
        check="equivalence",
        subject="equivalence",
        mark="pass" if same else otherwise,
        text=text,
        evidence=evidence,
        origin="data",
        about=probe.name,
    )


def _largest_error(values: Arrays, reference: Arrays) -> float:
    return max(_relative_error(values[name], reference[name]) for name in values)


def _relative_error(values: NDArray[np.generic], reference: NDArray[np.generic]) -> float:
    """The largest absolute difference over the largest absolute value of the reference."""
    scale = max(float(np.abs(reference.astype(np.float64)).max(initial=0.0)), SCALE_MIN)
    return float(np.abs(values.astype(np.float64) - reference.astype(np.float64)).max(initial=0.0)) / scale
