"""A container in which one file is run several times, each time in a process of its own: for audits, and to make again.

An audit can only keep a file from passing, and each has data that nobody knew and no other has; a component that makes again
what it made of an answer gets the same inputs, and no labels. So what a sample could hand to the next one, past all that
ends with it, gains it nothing, and one container per candidate does for all of these: PID 1 imports once and forks
(`sandbox/inside/forkserver.py`). The next sample starts only once the kernel counts no more in
the container than before the first one, and nothing is left in its file systems, nor by System V or a connection with the
kernel. Whatever is not as it was costs the file its container: the next sample gets a fresh one.
"""

import contextlib
import secrets
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from runner.grading.context import GradingContext
from runner.grading.sample import SETUP_DEADLINE_S, SampleSpec, layout, warm_sandbox
from runner.grading.schedule import ScheduledSample, containers_of, containers_of_round
from runner.sandbox.container import Received, Sandbox
from runner.sandbox.wire import Kind

TOKEN_BYTES = 16  # chosen: nobody guesses it
# How long PID 1 may take to end a sample and to empty its folders. chosen: far over what that takes; what takes longer is
# ended with its container. A sample that began a frame as its last deed has PID 1's answer taken for the rest of it.
END_S_MAX = 20.0
# How long the kernel's count may lag behind the end of the last process. chosen: far over what was seen.
COUNT_S_MAX, COUNT_STEP_S = 1.0, 0.001


@dataclass
class SharedContainer:
    """One candidate's; a fresh one is opened whenever there is none that is as it was.

    Attributes:
        spec: of the candidate's samples; their data come with each.
        run: the candidate's number.
        sandbox: the last one that was opened.
        idle_tasks: processes and threads between samples; None while that is not known.
        is_shared: whether samples are forked; False once one could not be.
        memory_kills: processes that the kernel had ended for memory when it was opened.
    """

    context: GradingContext
    spec: SampleSpec
    run: int
    sandbox: Sandbox | None = None
    idle_tasks: int | None = None
    memory_kills: int | None = None
    is_shared: bool = True
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _is_open: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether nothing has to be started for the next sample, or nothing can be started beforehand."""
        return self._is_open or not self.is_shared

    def open(self) -> None:
        """Start it and import everything.

        Raises:
            InfrastructureFault, Interrupted: as `warm_sandbox` does.
        """
        self.sandbox = self._warm(replace(self.spec, layout=(), inputs=b""), "forkserver")
        self.idle_tasks, self.memory_kills = self.sandbox.tasks(), self.sandbox.used().memory_kills

    def _warm(self, spec: SampleSpec, program: Literal["driver", "forkserver"]) -> Sandbox:
        cpuset, run = self.context.warmup_cpus, str(self.run)
        warm = warm_sandbox(self.context.fleet, spec, role="candidate", cpuset=cpuset, run=run, program=program)
        sandbox, self._is_open = self._stack.enter_context(warm), True
        return sandbox

    def begin(self, spec: SampleSpec) -> Sandbox:
        """A process for the next sample, with its data: forked, or where that fails even in a fresh container (there is not
        enough memory for another process, say), the only one of a container of its own.

        Raises:
            InfrastructureFault, Interrupted: as `warm_sandbox` does.
        """
        while self.is_shared:
            is_fresh = not self._is_open or self.sandbox is None
            if is_fresh:
                self.open()
            assert self.sandbox is not None
            head = {"op": "sample", "inputs": layout(spec.layout), "calls": spec.calls}
            reply = self.sandbox.ask(head, spec.inputs, deadline_s=SETUP_DEADLINE_S)
            if isinstance(reply, Received) and reply.frame.kind is Kind.READY and not reply.frame.head.get("failed"):
                return self.sandbox
            self.close()
            self.is_shared = not is_fresh
        self.sandbox = self._warm(spec, "driver")
        return self.sandbox

    def end(self) -> None:
        """End the sample and all that it started; the container with it where it is not as it was before."""
        sandbox = self.sandbox
        if sandbox is None or not self._is_open:
            return
        if not self.is_shared:
            self.close()
            return
        before_s = sandbox.used().cpu_s
        is_as_before = self._is_emptied(sandbox)
        used = sandbox.used()
        after_s, is_as_before = used.cpu_s, is_as_before and used.memory_kills == self.memory_kills
        sandbox.dying_cpu_s = 0.0 if before_s is None or after_s is None else max(0.0, after_s - before_s)
        if not is_as_before:
            self.close()

    def _is_emptied(self, sandbox: Sandbox) -> bool:
        if sandbox.stream.end is not None or sandbox.stream.has_surplus:
            return False
        sandbox.asking_left_s = None  # what the sample had left says nothing of PID 1
        token = secrets.token_hex(TOKEN_BYTES)  # drawn now: no earlier frame can be the answer
        reply = sandbox.ask({"op": "end", "token": token}, deadline_s=END_S_MAX)
        if not isinstance(reply, Received) or reply.frame.kind is not Kind.READY or sandbox.stream.has_surplus:
            return False
        said = reply.frame.head
        return said.get("token") == token and said.get("clean") is True and self._is_alone(sandbox)

    def _is_alone(self, sandbox: Sandbox) -> bool:
        end = time.monotonic() + COUNT_S_MAX
        while (count := sandbox.tasks()) is not None and self.idle_tasks is not None:
            if count <= self.idle_tasks:
                return True
            if time.monotonic() > end:
                return False
            time.sleep(COUNT_STEP_S)
        return False

    def close(self) -> None:
        """End the container."""
        self._is_open = False
        self._stack.close()


@dataclass
class SharedContainers:
    """Those of the candidates of a grading, opened when they are first needed, and idle between two uses.

    While anything is measured, there is only PID 1 in an idle one, which is ours, and waits.
    """

    context: GradingContext
    _of_run: dict[int, SharedContainer] = field(default_factory=dict)

    @property
    def are_possible(self) -> bool:
        """Away from the engine's machine nobody counts what is left in a container; a program's cases share one already."""
        return self.context.fleet.engine.is_local and self.context.programs is None

    def of(self, run: int, spec: SampleSpec) -> SharedContainer:
        """The candidate's, open.

        Args:
            spec: of its samples; their data come with each.

        Raises:
            InfrastructureFault, Interrupted: as `warm_sandbox` does.
        """
        container = self._of_run.setdefault(run, SharedContainer(self.context, spec, run))
        if not container.is_ready:
            container.open()
        return container

    def make_room(self, samples: Sequence[ScheduledSample]) -> None:
        """End those that stay idle beside the containers of these samples, if all together are more than may be warm."""
        kept = {sample.run for sample in samples if sample.shared}
        if containers_of(samples) + len(self._of_run.keys() - kept) > self.context.warm_max:
            self.close(kept)

    def leave(self, run: int, waiting: int) -> None:
        """End the sample in a candidate's, and the container with it, unless there is room for it beside the next round.

        Args:
            waiting: candidates that the checks have not decided: the next round is theirs.
        """
        self._of_run[run].end()
        if waiting + containers_of_round(waiting) > self.context.warm_max:
            self._of_run.pop(run).close()

    def close(self, kept: Container[int] = ()) -> None:
        """End all but those of some runs."""
        for run in [run for run in self._of_run if run not in kept]:
            self._of_run.pop(run).close()


@dataclass(frozen=True, slots=True)
class Turn:
    """One sample's turn in a shared container; see `warm_pool.WarmSample`."""

    container: SharedContainer
    spec: SampleSpec

    def start(self) -> Sandbox:
        """Its process is there, with its data."""
        return self.container.begin(self.spec)

    def close(self) -> None:
        """End the sample."""
        self.container.end()
