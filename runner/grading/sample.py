"""One sample: a fresh container, warmed while no clock runs; then *go*, one answer, and its end.

Up to *go* the container runs our driver alone. With *go* comes the file under test; from then on nothing in there is
trusted, and no question to it is part of a measurement: the host's clock stops at the last byte of an answer whose size
the host declared.
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
from runner.sandbox.container import BESIDE_WORDS, ExitCause, GuestExit, Received, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.wire import Kind
from runner.tasks.task import Array, Task

# Start, imports and data of one container; torch takes some ten seconds when many warm up at once. chosen: what takes
# longer is an engine that hangs.
SETUP_DEADLINE_S = 300.0
# Characters of a guest's own words that are kept: a traceback's end, and no more. chosen.
TEXT_MAX = 2000


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """What a container of a round gets before *go*, and what it must answer.

    Attributes:
        layout: the arrays of `inputs`; empty for a check, which needs no data.
        inputs: the case's inputs as raw bytes, in the order of `layout`.
        answer: the arrays that must come back.
        deadline_s: wall time of one sample.
        preload: modules that are imported before *go*.
        cases: what each case of a program gets on its stdin; None where a function is called.
    """

    task: Task
    sandbox: SandboxSpec
    layout: tuple[Array, ...]
    inputs: bytes
    answer: tuple[Array, ...]
    deadline_s: float
    preload: tuple[str, ...]
    cases: tuple[bytes, ...] | None = None

    @property
    def calls(self) -> int:
        """How many times the entry is called: of as many `inputs` holds the data."""
        return self.task.file.call.repeat if self.layout else 1


@dataclass(frozen=True, slots=True)
class SampleResult:
    """How one sample ended.

    Attributes:
        seconds: from *go* to the last byte, or to the end that came instead.
        arrays: the answer, checked for size, finiteness and range; None without one.
        detail: what went wrong, in the guest's words where it had some: hostile text.
        used: resources from *go* on (peaks: since the container's start), as the kernel counts them.
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
    program: Literal["driver", "profiler", "forkserver"] = "driver",
) -> Iterator[Sandbox]:
    """A container that has imported everything, read its data and said *ready*.

    Args:
        program: a profiler is never measured; a fork server's samples are forked later (`shared_container.py`).

    Raises:
        InfrastructureFault: it did not become ready; no submission has run in it yet.
    """
    name = program if spec.cases is None else "cases"
    with fleet.open(spec.sandbox, name, role=role, cpuset=cpuset, run=run) as sandbox:
        head = {"op": "setup", "preload": list(spec.preload), "inputs": layout(spec.layout), "calls": spec.calls}
        reply = sandbox.ask(head, spec.inputs, deadline_s=SETUP_DEADLINE_S)
        _check_ready(spec.task, reply)
        yield sandbox


def _check_ready(task: Task, reply: Received | GuestExit) -> None:
    if isinstance(reply, GuestExit):
        raise InfrastructureFault(
            cause=f"a sandbox ended while it was set up: {reply.how}, {reply.detail}",
            hint="raise limits.memory in task.toml if the imports need more; else run `python -m runner doctor`",
        )
    failed = reply.frame.head.get("failed")
    if reply.frame.kind is not Kind.READY or failed:
        raise InfrastructureFault(
            cause=f"the image of task {task.name} cannot import {failed}",
            hint="add the module to the image's requirements, or remove it from [imports] in task.toml",
        )


def run_sample(sandbox: Sandbox, spec: SampleSpec, source: bytes, cutoff_s: float | None = None) -> SampleResult:
    """Send the file and take the time.

    Args:
        sandbox: warm, and used for nothing else.
        cutoff_s: stop a sample that takes longer; it counts with that time. None for no cutoff besides the deadline.

    Raises:
        InfrastructureFault: engine or host failed; nothing is said about the submission.
    """
    task = spec.task
    head = {"op": "go", "file": task.file.submission.file, "entry": task.file.call.entry, "answer": layout(spec.answer)}
    declared = sum(array.nbytes for array in spec.answer)
    if cutoff_s is not None and cutoff_s >= spec.deadline_s:
        cutoff_s = None
    before = sandbox.used()
    start_s = time.monotonic()
    reply = sandbox.ask(head, source, deadline_s=cutoff_s or spec.deadline_s, body_bytes_max=declared)
    sandbox.check_ran(start_s)
    if isinstance(reply, GuestExit):
        result = result_of_exit(reply, time.monotonic() - start_s, cutoff_s)
        if reply.how in (ExitCause.DIED, ExitCause.MEMORY):
            return result  # there is no container any more that could be asked
    else:
        result = _result_of_reply(reply, reply.at_s - start_s, spec.answer)
        if result.arrays is not None and sandbox.stream.has_surplus:
            return SampleResult(Ending.BAD_ANSWER, result.seconds, detail="more bytes came than the answer has")
    return with_use(result, before, sandbox)


def with_use(result: SampleResult, before: ResourceUsage, sandbox: Sandbox) -> SampleResult:
    """The sample with what it used, from a sandbox that is still there."""
    result = replace(result, used=_used_since(before, sandbox.used()))
    return result if result.ending is Ending.ANSWERED or not sandbox.ran_out_of_memory() else _out_of_memory(result)


def _out_of_memory(result: SampleResult) -> SampleResult:
    """A sample without an answer is out of memory where the kernel ended one of its processes for that, whatever the others
    made of it: an exception, a wait without an end, an answer that is none."""
    detail = f"{BESIDE_WORDS}; then {result.ending.words}: {result.detail}"[:TEXT_MAX]
    return replace(result, ending=Ending.OUT_OF_MEMORY, detail=detail)


def _used_since(before: ResourceUsage, after: ResourceUsage) -> ResourceUsage:
    """Sums since *go*, peaks since the start."""

    def difference(first: float | None, last: float | None) -> float | None:
        return None if first is None or last is None else max(0.0, last - first)

    return replace(
        after,
        cpu_s=difference(before.cpu_s, after.cpu_s),
        throttled_s=difference(before.throttled_s, after.throttled_s),
    )


_ENDINGS = {
    ExitCause.DIED: Ending.CRASHED,
    ExitCause.MEMORY: Ending.OUT_OF_MEMORY,
    ExitCause.SILENT: Ending.TIMED_OUT,
    ExitCause.MALFORMED: Ending.BAD_ANSWER,
    ExitCause.RUINED: Ending.CRASHED,
}


def result_of_exit(guest: GuestExit, seconds: float, cutoff_s: float | None) -> SampleResult:
    """A sample whose guest ended in place of an answer."""
    ending = _ENDINGS[guest.how]
    if ending is Ending.TIMED_OUT and cutoff_s is not None:
        return SampleResult(
            Ending.CUT, cutoff_s, detail=f"stopped after {cutoff_s:.2f} s: far past what the target allows"
        )
    code = "" if guest.exit_code is None else f" (exit code {guest.exit_code})"
    return SampleResult(ending, seconds, detail=guest.detail + code)


def _result_of_reply(reply: Received, seconds: float, declared: tuple[Array, ...]) -> SampleResult:
    if reply.frame.kind is Kind.FAILED:
        ending = Ending.BAD_ANSWER if reply.frame.head.get("stage") == "answer" else Ending.CRASHED
        return SampleResult(ending, seconds, detail=str(reply.frame.head.get("error", ""))[:TEXT_MAX])
    if reply.frame.kind is not Kind.ANSWER:
        return SampleResult(Ending.BAD_ANSWER, seconds, detail="the frame that came is not an answer")
    arrays = parse(reply.frame.body, declared)
    if isinstance(arrays, str):
        return SampleResult(Ending.BAD_ANSWER, seconds, detail=arrays)
    return SampleResult(Ending.ANSWERED, seconds, arrays)


def parse(body: bytes, declared: tuple[Array, ...]) -> dict[str, NDArray[np.generic]] | str:
    """The declared arrays from raw little-endian bytes; or why these bytes are not such arrays: size, finiteness, range."""
    expected = sum(array.nbytes for array in declared)
    if len(body) != expected:
        return f"the answer has {len(body)} bytes, {expected} were expected"
    arrays: dict[str, NDArray[np.generic]] = {}
    offset = 0
    for array in declared:
        raw = body[offset : offset + array.nbytes]
        values = np.frombuffer(raw, dtype=np.dtype(array.dtype).newbyteorder("<"))
        offset += array.nbytes
        arrays[array.name] = values.reshape(array.shape)
        if values.dtype == np.bool_ and values.view(np.uint8).max(initial=0) > 1:
            return f"{array.name} holds bytes that are neither true nor false"
        if (reason := out_of_range(array, values)) is not None:
            return reason
    return arrays


def out_of_range(array: Array, values: NDArray[np.generic]) -> str | None:
    """Why the values are not what is declared: not finite, or outside of the range; None: they are."""
    if values.size == 0 or values.dtype == np.bool_:
        return None
    if not np.all(np.isfinite(values)):
        return f"{array.name} holds values that are not finite"
    low, high = values.min(), values.max()
    if (array.low is not None and low < array.low) or (array.high is not None and high > array.high):
        return f"{array.name} lies in [{low}, {high}], allowed is [{array.low}, {array.high}]"
    return None
