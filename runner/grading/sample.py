"""One sample: a fresh container, warmed while the clock stands; then *go*, one answer, and its end.

Up to *go* the container runs our driver alone. With *go* comes the file under test; from then on nothing in there is
trusted and nothing in there is asked: the host's clock stops at the last byte of an answer whose size the host declared.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runner.faults import InfrastructureFault
from runner.records.grading import Ending
from runner.sandbox.cgroup import ResourceUsage
from runner.sandbox.container import GuestExit, Received, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.wire import Kind
from runner.tasks.task import Array, Task

SETUP_DEADLINE_S = 300.0
TEXT_MAX = 2000


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """What every container of a round gets before *go*.

    Attributes:
        inputs: the case's inputs as raw bytes, in the order of `layout`.
        answer: the arrays that must come back.
        deadline_s: wall time of one sample.
    """

    task: Task
    sandbox: SandboxSpec
    layout: tuple[Array, ...]
    inputs: bytes
    answer: tuple[Array, ...]
    deadline_s: float


@dataclass(frozen=True, slots=True)
class SampleResult:
    """How one sample came out.

    Attributes:
        seconds: from *go* to the last byte, or to the end that came instead.
        arrays: the answer, checked; None without one.
        used: from *go* on (peaks: since the start), by the kernel's account.
    """

    ending: Ending
    seconds: float
    arrays: dict[str, NDArray[np.generic]] | None = None
    detail: str = ""
    used: ResourceUsage = field(default_factory=ResourceUsage)


def layout(arrays: tuple[Array, ...]) -> list[list[Any]]:
    """Arrays as the driver reads them: [name, dtype, shape]."""
    return [[array.name, array.dtype, list(array.shape)] for array in arrays]


@contextlib.contextmanager
def warm_sandbox(
    fleet: Fleet,
    spec: SampleSpec,
    *,
    role: Literal["baseline", "candidate", "sentinel", "check"],
    cpuset: str,
    run: str = "",
) -> Iterator[Sandbox]:
    """A container that has imported everything, read its data and said *ready*.

    Raises:
        InfrastructureFault: it did not become ready; no submission has run in it yet.
    """
    with fleet.open(spec.sandbox, "driver", role=role, cpuset=cpuset, run=run) as sandbox:
        head = {"op": "setup", "preload": list(spec.task.preloads), "inputs": layout(spec.layout)}
        got = sandbox.ask(head, spec.inputs, deadline_s=SETUP_DEADLINE_S)
        _check_ready(spec.task, got)
        yield sandbox


def _check_ready(task: Task, got: Received | GuestExit) -> None:
    if isinstance(got, GuestExit):
        raise InfrastructureFault(
            cause=f"a sandbox ended while it was set up: {got.how}, {got.detail}",
            hint="raise limits.memory in task.toml if the imports need more; else run `python -m runner doctor`",
        )
    failed = got.frame.head.get("failed")
    if got.frame.kind is not Kind.READY or failed:
        raise InfrastructureFault(
            cause=f"the image of task {task.name} cannot import {failed}",
            hint="add the module to the image's requirements, or take it off [imports] in task.toml",
        )


def run_sample(sandbox: Sandbox, spec: SampleSpec, source: bytes, cutoff_s: float | None = None) -> SampleResult:
    """Hand over the file and take the time.

    Args:
        cutoff_s: stop a sample that takes longer; it counts with that time.

    Raises:
        InfrastructureFault: engine or host failed; nothing is said about the submission.
    """
    task = spec.task
    head = {"op": "go", "file": task.file.submission.file, "entry": task.file.call.entry, "answer": layout(spec.answer)}
    declared = sum(array.nbytes for array in spec.answer)
    cut = cutoff_s is not None and cutoff_s < spec.deadline_s
    before = sandbox.used()
    start_s = time.monotonic()
    got = sandbox.ask(
        head, source, deadline_s=cutoff_s if cutoff_s and cut else spec.deadline_s, body_bytes_max=declared
    )
    if isinstance(got, GuestExit):
        return _ended(got, time.monotonic() - start_s, cutoff_s if cut else None)
    result = _answered(got, got.at_s - start_s, spec.answer)
    if result.arrays is not None and sandbox.stream.has_surplus:
        return SampleResult("bad_answer", result.seconds, detail="more came than the answer that was asked for")
    return replace(result, used=_since(before, sandbox.used()))


def _since(before: ResourceUsage, after: ResourceUsage) -> ResourceUsage:
    """Sums since *go*, peaks since the start."""

    def difference(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else max(0.0, b - a)

    return replace(
        after,
        cpu_s=difference(before.cpu_s, after.cpu_s),
        throttled_s=difference(before.throttled_s, after.throttled_s),
    )


def _ended(ended: GuestExit, seconds: float, cutoff_s: float | None) -> SampleResult:
    if ended.how == "silent" and cutoff_s is not None:
        return SampleResult("cut", cutoff_s, detail=f"stopped after {cutoff_s:.2f} s: far under the target already")
    endings: dict[str, Ending] = {
        "died": "crashed",
        "memory": "out_of_memory",
        "silent": "timed_out",
        "malformed": "bad_answer",
    }
    code = "" if ended.exit_code is None else f" (exit code {ended.exit_code})"
    return SampleResult(endings[ended.how], seconds, detail=ended.detail + code)


def _answered(got: Received, seconds: float, declared: tuple[Array, ...]) -> SampleResult:
    if got.frame.kind is Kind.FAILED:
        ending: Ending = "bad_answer" if got.frame.head.get("stage") == "answer" else "crashed"
        return SampleResult(ending, seconds, detail=str(got.frame.head.get("error", ""))[:TEXT_MAX])
    if got.frame.kind is not Kind.ANSWER:
        return SampleResult("bad_answer", seconds, detail="the frame is no answer")
    arrays = parse(got.frame.body, declared)
    if isinstance(arrays, str):
        return SampleResult("bad_answer", seconds, detail=arrays)
    return SampleResult("answered", seconds, arrays)


def parse(body: bytes, declared: tuple[Array, ...]) -> dict[str, NDArray[np.generic]] | str:
    """Raw little-endian bytes as the declared arrays, or why they are none: size, finiteness and range."""
    expected = sum(array.nbytes for array in declared)
    if len(body) != expected:
        return f"the answer has {len(body)} bytes, asked for were {expected}"
    made: dict[str, NDArray[np.generic]] = {}
    at = 0
    for array in declared:
        raw = np.frombuffer(body[at : at + array.nbytes], dtype=np.dtype(array.dtype).newbyteorder("<"))
        at += array.nbytes
        made[array.name] = raw.reshape(array.shape)
        if (why_not := _out_of_range(array, raw)) is not None:
            return why_not
    return made


def _out_of_range(array: Array, values: NDArray[np.generic]) -> str | None:
    if values.size == 0 or values.dtype == np.bool_:
        return None
    if not np.all(np.isfinite(values)):
        return f"{array.name} holds values that are not finite"
    low, high = values.min(), values.max()
    if (array.low is not None and low < array.low) or (array.high is not None and high > array.high):
        return f"{array.name} lies in [{low}, {high}], allowed is [{array.low}, {array.high}]"
    return None
