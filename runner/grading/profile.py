"""Where a file spends its time: a sandbox of its own, in which a thread looks at the file every few milliseconds.

Never a measured sample: the thread takes time of its own, and what it says is the guest's word. It is shown, and no verdict
rests on it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import special

from runner.grading.context import GradingContext
from runner.grading.data import generate_round
from runner.grading.sample import SampleSpec, layout, warm_sandbox
from runner.records.measured import Estimate
from runner.records.untrusted_json import InvalidJson, parse_object
from runner.sandbox.container import GuestExit
from runner.sandbox.wire import Kind
from runner.tasks.problem import fresh_seed

# A watched call may take this many times the task's limit of a sample. chosen: looking takes a few percent.
SLOWER_MAX = 2.0
REPLY_BYTES_MAX = 4 * 1024 * 1024  # chosen: 2,000 stacks of 60 names of usual length
OUTSIDE = "outside of the file's functions"
# Looks at a part below which nothing is said of its growth. chosen: their count alone is then off by a third or more.
LOOKS_MIN = 10
TEXT_MAX = 300  # chosen: characters of an error that are kept
CONFIDENCE = 0.95  # of an exponent's interval, two-sided; the usual one


@dataclass(frozen=True, slots=True)
class Watched:
    """Some calls in one process; as many as make it long enough to be looked at.

    Attributes:
        seconds: of a call, by the guest's clock.
        looks: how often the file was looked at.
        stacks: seconds by stack; names of the file's functions, the outermost first, joined by `;`. Hostile text.
    """

    seconds: float
    looks: int
    stacks: Mapping[str, float]


def input_bytes(context: GradingContext, scale: str) -> int:
    """The size of the data of a scale."""
    return sum(array.nbytes for array in context.task.input_arrays(scale))


def watch(context: GradingContext, content: bytes, scale: str) -> Watched | str:
    """Call a file on fresh data, watched; or how that failed, in the guest's words.

    Raises:
        InfrastructureFault: engine or host failed.
        Interrupted: we are stopping.
    """
    task = context.task
    data = generate_round(context.problem, task, scale, fresh_seed(), count=1)
    spec = SampleSpec(
        task=task,
        sandbox=context.spec,
        layout=task.input_arrays(scale),
        inputs=data.identity.inputs,
        answer=task.answer_arrays(scale),
        deadline_s=SLOWER_MAX * task.file.limits.sample_wall_s,
        preload=task.preloads(None),
    )
    head = {
        "op": "profile",
        "file": task.file.submission.file,
        "entry": task.file.call.entry,
        "answer": layout(spec.answer),
    }
    with warm_sandbox(context.fleet, spec, role="check", cpuset=context.measure_cpu, program="profiler") as sandbox:
        reply = sandbox.ask(head, content, deadline_s=spec.deadline_s, body_bytes_max=REPLY_BYTES_MAX)
    if isinstance(reply, GuestExit):
        return reply.detail[:TEXT_MAX]
    if reply.frame.kind is not Kind.REPLY:
        return str(reply.frame.head.get("error", "it gave no answer"))[:TEXT_MAX]
    return read_watched(reply.frame.body)


def read_watched(body: bytes) -> Watched | str:
    """What a profiler says; every value is taken for hostile until it has been checked."""
    unread = "what its profiler said cannot be read"
    try:
        raw = parse_object(body, levels_max=2)
    except InvalidJson:
        return unread
    seconds, looks, stacks = _positive(raw.get("seconds")), raw.get("looks"), raw.get("stacks")
    if seconds is None or type(looks) is not int or looks < 0 or not isinstance(stacks, dict):
        return unread
    found = {str(stack): value for stack, given in stacks.items() if (value := _positive(given)) is not None}
    return Watched(seconds, looks, found) if len(found) == len(stacks) else unread


def _positive(value: Any) -> float | None:
    """A number that is finite and over zero; None for anything else."""
    return float(value) if type(value) in (int, float) and 0 < value < math.inf else None


def shares_of(stacks: Mapping[str, float], definitions: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The share of the time in each part, and of the rest in each function.

    A stack counts for the innermost part in it, so that what a part calls counts for the part.

    Args:
        definitions: of the parts, by part.
    """
    owners = {name: part for part, names in definitions.items() for name in names}
    seconds: dict[str, float] = {}
    for stack, value in stacks.items():
        names = [name for name in reversed(stack.split(";")) if name]
        owner = next((owners[name] for name in names if name in owners), None) or next(iter(names), OUTSIDE)
        seconds[owner] = seconds.get(owner, 0.0) + value
    whole = sum(seconds.values())
    return {owner: value / whole for owner, value in sorted(seconds.items(), key=lambda entry: -entry[1])}


def exponent(points: Sequence[tuple[float, float]]) -> Estimate | None:
    """b in seconds ~ size ** b, by least squares of the logs, with its t interval; None where the sizes do not differ.

    Args:
        points: (size, seconds), all positive.
    """
    logs = [(math.log(size), math.log(seconds)) for size, seconds in points]
    middle, level = (sum(values) / len(values) for values in zip(*logs, strict=True))
    spread = sum((size - middle) ** 2 for size, _ in logs)
    if spread <= 0.0:
        return None
    slope = sum((size - middle) * (seconds - level) for size, seconds in logs) / spread
    freedom = len(logs) - 2
    if freedom < 1:
        return Estimate(value=slope)
    left = sum((seconds - level - slope * (size - middle)) ** 2 for size, seconds in logs)
    half = float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2.0)) * math.sqrt(left / freedom / spread)
    return Estimate(value=slope, low=slope - half, high=slope + half)
