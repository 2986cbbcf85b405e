"""Hostile cases played in real sandboxes, some side by side, with two bystanders whose work must not suffer.

A case has a sandbox of its own and ends with one of the outcomes of `hostile_corpus.py`. What holds for all of them is
looked at once, around all: the bystanders' answers and how long they took, what is left on the engine, and what this
process has grown by.
"""

import contextlib
import dataclasses
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.episode.tools import ToolOutcome, run_tool
from runner.faults import ImageFault, InfrastructureFault, Interrupted
from runner.records.episode import ToolCall
from runner.sandbox.container import GuestExit, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import Image, build_on, remove_image
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import MIB, SandboxSpec
from runner.selftest.hostile_corpus import HostileCase, python_command

SIDE_BY_SIDE = 3  # chosen: with two bystanders, as many sandboxes as an ordinary job has on two CPUs
SUBMISSION_BYTES_MAX = 1024  # chosen: small, so that a file over it is quick to make
BYSTANDER_PAUSE_S = 0.05  # chosen: a bystander asks some hundred times in a siege
# Of twenty answers of a bystander, nineteen come within it. Chosen: a case may use a CPU of its own, and starting sandboxes
# costs the host's; a neighbour that reaches over makes an answer take seconds, or never come.
BYSTANDER_P95_S = 0.5
GROWTH_BYTES_MAX = 64 * MIB  # of this process, as every runner's
# Chosen: the pool of connections to the engine keeps some for each case that ran beside others; one for each case would be
# more than a hundred.
SPARE_THREADS, SPARE_DESCRIPTORS = 2, 32
BYSTANDER_TEXT = "4950\n[exit status 0]"


@dataclass(frozen=True, slots=True)
class Siege:
    """How one case came out.

    Attributes:
        observed: one of the outcomes of `hostile_corpus.py`.
        right: whether it ended as it must, with its evidence.
        line: what came back, or what was missing, in one printable line.
    """

    id: str
    expected: str
    observed: str
    right: bool
    line: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Invariant:
    """What must hold whatever a case does."""

    name: str
    held: bool
    seen: str


def hostile_spec(image: Image, runtime: str, unenforced: tuple[str, ...]) -> SandboxSpec:
    """A small sandbox, whose limits are quickly reached."""
    return SandboxSpec(
        **image.basis(),
        memory_bytes=192 * MIB,
        cpus=1.0,
        pids=64,
        workspace_bytes=32 * MIB,
        tmp_bytes=16 * MIB,
        inodes=2000,
        runtime=runtime,
        unenforced=unenforced,
    )


def besiege(
    fleet: Fleet, spec: SandboxSpec, image: Image, cases: Sequence[HostileCase], done: Callable[[Siege], None],
    slower: float = 1.0,
) -> list[Invariant]:  # fmt: skip
    """Play every case; each result is given to `done` as it comes. Returns what held for all.

    Args:
        slower: how many times as long as on an ordinary host everything takes here.

    Raises:
        InfrastructureFault: not even the bystanders start.
        Interrupted: we are stopping.
    """
    before = _own_size()
    with _bystanders(fleet, spec, slower) as bystanders:
        with fleet.threads(SIDE_BY_SIDE, "siege") as pool:
            plays = [pool.submit(_play, fleet, spec, image, case, bystanders[0]) for case in cases]
            for play in as_completed(plays):
                done(play.result())
        watched = [bystander.invariants(name) for name, bystander in zip(("first", "second"), bystanders, strict=True)]
    return [*(invariant for pair in watched for invariant in pair), *_nothing_left(fleet), *_grown(before)]


def confusion(results: Sequence[Siege]) -> dict[str, dict[str, int]]:
    """How many cases that must end so (outer) ended so (inner)."""
    found: dict[str, dict[str, int]] = {}
    for result in results:
        row = found.setdefault(result.expected, {})
        row[result.observed] = row.get(result.observed, 0) + 1
    return found


# A case


def _play(fleet: Fleet, spec: SandboxSpec, image: Image, case: HostileCase, bystander: "Bystander") -> Siege:
    started = time.monotonic()
    try:
        observed, text = _outcome_of(fleet, spec, image, case, bystander)
    except ImageFault as fault:
        observed, text = "not started", str(fault)
    except InfrastructureFault as fault:
        observed, text = "fault", str(fault)
    found = re.search(case.evidence, text) is not None
    right = observed == case.outcome and found
    wanted = "" if found else f"no {case.evidence!r} in: "
    return Siege(case.id, case.outcome, observed, right, _line(wanted + text), time.monotonic() - started)


LINE_CHARS = 300  # chosen: what a person reads of a case that went wrong


def _line(text: str) -> str:
    return json.dumps(text[-LINE_CHARS:])[1:-1]


def _outcome_of(
    fleet: Fleet, spec: SandboxSpec, image: Image, case: HostileCase, bystander: "Bystander"
) -> tuple[str, str]:
    with _image_of(fleet, spec, image, case) as its_spec:
        with fleet.open(its_spec, "toolserver", role="siege", cpuset=all_cpus(fleet.engine), run=case.id) as sandbox:
            return _attack(sandbox, case, bystander)


def _attack(sandbox: Sandbox, case: HostileCase, bystander: "Bystander") -> tuple[str, str]:
    observed, text = _call(sandbox, {"tool": "bash", "command": case.command, "timeout_s": case.timeout_s})
    if case.neighbour:
        seen = bystander.ask(python_command(case.neighbour))
        if not re.search(case.sees, seen):
            return "crippled", f"the neighbour saw {seen!r}, not {case.sees!r}"
    for call in case.then:
        observed, text = _call(sandbox, call)
    if observed != "sandbox ended":
        after, here = _call(sandbox, {"tool": "bash", "command": "echo here"})
        # What an earlier command left in the background may write before, between and after.
        if after != "answered" or "here\n" not in here or not here.endswith("[exit status 0]"):
            return "crippled", f"the next command: {here!r}; before it: {text}"
    return observed, text


def _call(sandbox: Sandbox, call: dict[str, Any]) -> tuple[str, str]:
    """(outcome, text) of a call of a tool."""
    given = {name: value for name, value in call.items() if name != "tool"}
    got = run_tool(sandbox, ToolCall("1", call["tool"], given), SUBMISSION_BYTES_MAX)
    if isinstance(got, GuestExit):
        return "sandbox ended", f"{got.how}: {got.detail}"
    return _read(got), got.result.text


# The last line of a command's answer, and what it says.
_ENDINGS = {
    "[timed out": "timed out",
    "killed for memory": "out of memory",
    "the shell ended": "shell ended",
    "ended by a signal": "signalled",
}


def _read(got: ToolOutcome) -> str:
    if got.submission is not None:
        return "submitted"
    if got.result.is_error:
        return "refused"
    last = got.result.text.rsplit("\n", 1)[-1]
    return next((outcome for words, outcome in _ENDINGS.items() if words in last), "answered")


@contextlib.contextmanager
def _image_of(fleet: Fleet, spec: SandboxSpec, image: Image, case: HostileCase) -> Iterator[SandboxSpec]:
    """The spec on the case's own image, where it has one."""
    if not case.image:
        yield spec
        return
    made = build_on(fleet.engine, image, case.image)
    try:
        yield dataclasses.replace(spec, **made.basis())
    finally:
        remove_image(fleet.engine, made.id)


# What holds for all


class Bystander:
    """A sandbox that does the same small work all the time, and what became of it."""

    def __init__(self, sandbox: Sandbox, slower: float = 1.0) -> None:
        self._sandbox, self._ended, self._one = sandbox, threading.Event(), threading.Lock()
        self._slower = slower
        self.seconds: list[float] = []
        self.wrong: list[str] = []
        self._thread = threading.Thread(target=self._work, name="bystander")
        self._thread.start()

    def ask(self, command: str) -> str:
        """Have it run another command in between."""
        with self._one:
            return _call(self._sandbox, {"tool": "bash", "command": command, "timeout_s": 20.0 * self._slower})[1]

    def end(self) -> None:
        """Let it come to its end."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(BYSTANDER_PAUSE_S * self._slower):
            with self._one:
                started = time.monotonic()
                try:
                    text = _call(
                        self._sandbox,
                        {"tool": "bash", "command": "echo $((99 * 100 / 2))", "timeout_s": 20.0 * self._slower},
                    )[1]
                except Interrupted:
                    return
                except InfrastructureFault as fault:
                    text = str(fault)
                except Exception as error:  # boundary: whatever it was, nobody stands by from here on
                    text = repr(error)
                self.seconds.append(time.monotonic() - started)
            if text != BYSTANDER_TEXT:
                self.wrong.append(text)
                return

    def invariants(self, name: str) -> tuple[Invariant, Invariant]:
        """Its answers, and how long they took."""
        allowed_s = BYSTANDER_P95_S * self._slower
        slow = sorted(self.seconds)[int(0.95 * len(self.seconds))] if self.seconds else float("inf")
        right = not self.wrong and bool(self.seconds)
        seen = f"{len(self.seconds)} answers, all right" if right else _line(f"{self.wrong or 'no answer'}")
        return (
            Invariant(f"the {name} bystander's answers", right, seen),
            Invariant(
                f"the {name} bystander's time",
                slow <= allowed_s,
                f"{1000 * slow:.0f} ms at p95, {1000 * allowed_s:.0f} allowed",
            ),
        )


@contextlib.contextmanager
def _bystanders(fleet: Fleet, spec: SandboxSpec, slower: float) -> Iterator[list[Bystander]]:
    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(
                fleet.open(spec, "toolserver", role="bystander", cpuset=all_cpus(fleet.engine), run=str(number))
            )
            for number in range(2)
        ]
        bystanders = [Bystander(sandbox, slower) for sandbox in opened]
        try:
            yield bystanders
        finally:
            for bystander in bystanders:
                bystander.end()


def _nothing_left(fleet: Fleet) -> list[Invariant]:
    left = fleet.containers_left()
    seen = "no container" if not left else ", ".join(left)
    return [Invariant("nothing left on the engine", not left and not fleet.leaks, seen)]


@dataclass(frozen=True, slots=True)
class _Size:
    resident_bytes: int
    threads: int
    descriptors: int


def _own_size() -> _Size | None:
    """What this process takes; None where the system does not say."""
    try:
        text = Path("/proc/self/status").read_text()
        descriptors = len(os.listdir("/proc/self/fd"))
    except OSError:
        return None
    resident = re.search(r"^VmRSS:\s+(\d+) kB", text, re.M)
    return _Size(1024 * int(resident[1]) if resident else 0, threading.active_count(), descriptors)


def _grown(before: _Size | None) -> list[Invariant]:
    after = _own_size()
    if before is None or after is None:
        return []
    grown = after.resident_bytes - before.resident_bytes
    threads, descriptors = after.threads - before.threads, after.descriptors - before.descriptors
    return [
        Invariant("the runner's memory", grown <= GROWTH_BYTES_MAX, f"{grown / MIB:+.0f} MiB"),
        Invariant(
            "the runner's threads and descriptors",
            threads <= SPARE_THREADS and descriptors <= SPARE_DESCRIPTORS,
            f"{threads:+d} and {descriptors:+d}",
        ),
    ]
