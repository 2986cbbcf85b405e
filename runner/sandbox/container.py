"""A sandbox: one container, one stream.

Three parties. The *host* (this process) holds the clock and the labels. The *server* is PID 1 in the container; we wrote
it, and it comes in as the first frame. The *guest* is whatever it runs. Only frames cross, over the attached stdin and
stdout; nothing is mounted. When the host dies, even by SIGKILL, stdin closes, the server ends and the engine removes the
container: so there is no clean-up to forget.

Order at the start: create, attach, start, speak first, assert. At the end: close the stream, then kill (an unread stream
makes the engine's kill hang), then check that it is gone.
"""

import itertools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from runner.faults import EngineFault, Interrupted, SandboxLost
from runner.sandbox.cgroup import ResourceUsage, count_tasks, last_usage, read_cpu_s, read_usage
from runner.sandbox.engine import Engine, engine_errors
from runner.sandbox.removal import ended_for_memory, events_by_now, events_of, exit_code, has_ended, is_paused, remove
from runner.sandbox.spec import Placement, SandboxSpec
from runner.sandbox.stream import CloseCause, OnFrame, Stream, StreamClosed
from runner.sandbox.stream import Received as Received
from runner.sandbox.verify import read_inspected, verify_container
from runner.sandbox.wire import Frame, Kind, encode

INSIDE = Path(__file__).resolve().parent / "inside"
HELLO_DEADLINE_S = 60.0  # chosen: far over what a loaded engine needs for a start
REPLY_BODY_BYTES_MAX = 16 * 1024 * 1024  # chosen: the largest answer of the tools with room to spare
DETAIL_CHARS_MAX = 1_500  # chosen: how two shells failed to come up
# How often it is asked whether the engine is there, while an answer of a guest's is waited for. chosen: no sample of ours
# takes so long, and beside a longer one a ping is nothing.
LOOK_S = 30.0
FREEZE_DEADLINE_S = 30.0  # chosen: far over what PID 1 needs to stop its processes
# For the thread that reads, after this process stood still: to note that, and to take what is there. chosen: far over what a
# busy machine keeps a thread waiting.
READER_S = 1.0
# Exit codes of what the kernel ended for memory: by SIGKILL, or unsaid (gVisor, which ends as a whole). Where it ended some
# other process, and the one that answers went by itself, the engine tells of the first, and the code of the second.
KILLED = 128 + signal.SIGKILL
# A sample's PID 1 says by its status why it ended (`inside/frames.py`): the host's end of the wire was closed; the process
# that answers was ended by SIGKILL. Any other status is that process's own.
HOST_GONE, WORKER_KILLED = 75, 76
# The same two where the kernel's count in there says that it killed for memory: the process that answers, or another one.
MEMORY_KILLED, MEMORY_BESIDE = 77, 78
# The same where the limit of the container was not the reason.
HOST_SHORT = 79
OUT_OF_MEMORY_CODES = (None, 128, KILLED, WORKER_KILLED)
MEMORY_WORDS = "the kernel ended it for memory"
BESIDE_WORDS = "the kernel ended a process that it had started for memory"
# What PID 1 takes to watch over a frozen guest (it looks at each process twice a second), with room to spare.
FROZEN_CPU_S, FROZEN_CPU_SHARE = 0.1, 0.02


class ExitCause(StrEnum):
    """How a guest's side ended."""

    DIED = "died"  # PID 1 ended
    MEMORY = "memory"  # the kernel ended it for memory
    SILENT = "silent"  # no answer before the deadline
    MALFORMED = "malformed"  # bytes that are not frames
    RUINED = "ruined"  # PID 1 answers, and can start no shell any more


@dataclass(frozen=True, slots=True)
class GuestExit:
    """The guest's side ended; a value, since watching the guest is what we are here for.

    Attributes:
        detail: what is known of it, in words.
        exit_code: the engine's word on PID 1; None where it gave none.
    """

    how: ExitCause
    detail: str
    exit_code: int | None = None


@dataclass
class _Stopwatch:
    """Time that counts: none passes while the sandbox is frozen."""

    frozen_since: float | None = None
    frozen_total_s: float = 0.0

    def now(self) -> float:
        at = self.frozen_since if self.frozen_since is not None else time.monotonic()
        return at - self.frozen_total_s

    def freeze(self) -> None:
        self.frozen_since = time.monotonic()

    def thaw(self) -> None:
        if self.frozen_since is not None:
            self.frozen_total_s += time.monotonic() - self.frozen_since
        self.frozen_since = None


@dataclass
class Sandbox:
    """A live container. Only `Fleet.open` makes one, and ends it.

    Attributes:
        enforced: what the engine says it enforces, uid and CPU pin masked.
        seen: the limits as PID 1 sees them.
        termination_reason: why it was ended by us for what its guest did; empty while it lives.
        asking_left_s: unfrozen seconds that its answers may still take, all together; None for no such limit.
        dying_cpu_s: CPU seconds that its processes took to end after they were killed, as far as that was seen.
        host_gone_code: what its PID 1 ends with at the end of its stdin, and then only: this side alone can bring it about.
    """

    engine: Engine
    spec: SandboxSpec
    place: Placement
    id: str
    stream: Stream
    enforced: Mapping[str, Any] = field(default_factory=dict)
    seen: Mapping[str, Any] = field(default_factory=dict)
    termination_reason: str = ""
    asking_left_s: float | None = None
    dying_cpu_s: float = 0.0
    host_gone_code: int = 0
    _sequence: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _watch: _Stopwatch = field(default_factory=_Stopwatch)
    _may_talk: threading.Event = field(default_factory=threading.Event)
    _frozen_cpu_s: float | None = None
    _counted_from_s: float = -math.inf  # when that was read, if later than at the freeze

    def __post_init__(self) -> None:
        self._may_talk.set()

    def active_s(self) -> float:
        """A clock in seconds that stands still while this sandbox is frozen."""
        return self._watch.now()

    def ask(
        self,
        head: Mapping[str, Any],
        body: bytes = b"",
        *,
        deadline_s: float,
        body_bytes_max: int = REPLY_BODY_BYTES_MAX,
        on_frame: OnFrame | None = None,
    ) -> Received | GuestExit:
        """Send a request and wait for its answer; the deadline counts unfrozen time, up to `asking_left_s`.

        Args:
            on_frame: called in this thread with each frame that comes beside the answer; `send` puts some beside it, too.

        Raises:
            SandboxLost: the container was ended from outside, or there never was a shell.
            EngineFault: the engine does not say how the container ended.
            Interrupted: we are stopping.
        """
        self._wait_while_frozen()
        if self.asking_left_s is None:
            return self._ask(head, body, deadline_s, body_bytes_max, on_frame)
        if self.asking_left_s <= 0.0:
            return GuestExit(ExitCause.SILENT, "no time was left for it: the calls before took all that there was")
        start_s = self._watch.now()
        try:
            return self._ask(head, body, min(deadline_s, self.asking_left_s), body_bytes_max, on_frame)
        finally:
            self.asking_left_s -= self._watch.now() - start_s

    def send(self, frame: Frame, deadline_s: float = FREEZE_DEADLINE_S) -> bool:
        """Send a frame of a request under way; whether all of it went. The deadline begins when it is not frozen."""
        self._wait_while_frozen()
        return self.stream.send(encode(frame), self._left_of(deadline_s))

    def _ask(
        self, head: Mapping[str, Any], body: bytes, deadline_s: float, body_bytes_max: int, on_frame: OnFrame | None
    ) -> Received | GuestExit:
        self.stream.limit_body(body_bytes_max)
        sequence = next(self._sequence)
        request = encode(Frame(Kind.REQUEST, sequence, dict(head), body))
        end = self._watch.now() + deadline_s

        def left_s() -> float:
            return end - self._watch.now()

        self._send(request, self._left_of(deadline_s))
        return self._settle(self._receive(sequence, left_s, on_frame), deadline_s)

    def hello(self) -> Received | GuestExit:
        """PID 1's first word."""
        end = time.monotonic() + HELLO_DEADLINE_S
        return self._settle(self._receive(0, lambda: end - time.monotonic()), HELLO_DEADLINE_S)

    def _left_of(self, deadline_s: float) -> Callable[[], float]:
        """What is left of a deadline from now on, in real time: PID 1 reads also while its guest stands frozen. It begins
        anew where this process stood still."""
        began_s = time.monotonic()
        return lambda: max(began_s, self.stream.stood_still_at_s) + deadline_s - time.monotonic()

    def _send(self, request: bytes, left_s: Callable[[], float]) -> None:
        look = self._look_at_engine()

        def left_with_engine_s() -> float:
            look()
            return left_s()

        self.stream.send(request, left_with_engine_s)

    def _receive(
        self, sequence: int, left_s: Callable[[], float], on_frame: OnFrame | None = None
    ) -> Received | StreamClosed | None:
        """The answer; None where the guest kept silent until the deadline. The engine's silence is not the guest's.

        Raises:
            EngineFault: the engine does not answer, through which all that is said here goes.
            SandboxLost: it could not hear, or not answer.
        """
        while True:
            look_s = time.monotonic() + LOOK_S
            got = self.stream.receive(sequence, lambda at_s=look_s: min(left_s(), at_s - time.monotonic()), on_frame)  # type: ignore[misc]
            if isinstance(got, StreamClosed) and got.why is CloseCause.UNSENT:
                self._check_engine()
                self._check_heard()
                self._check_let_run()
            if got is not None:
                return got
            self._check_engine()
            if left_s() <= 0:  # what came meanwhile counts: it may be this process that stood still
                got = self.stream.receive(sequence, lambda: 0.0, on_frame)
                if got is None:
                    self._check_heard()
                    self._check_let_run()
                return got

    def _look_at_engine(self) -> Callable[[], None]:
        """What asks now and then whether the engine is there, however often it is called."""
        next_s = time.monotonic() + LOOK_S

        def look() -> None:
            nonlocal next_s
            if time.monotonic() >= next_s:
                self._check_engine()
                next_s = time.monotonic() + LOOK_S

        return look

    def _check_engine(self) -> None:
        with engine_errors(f"waiting for container {self.id[:12]}"):
            self.engine.client.api.ping()

    def check_ran(self, since_s: float) -> None:
        """Check that this process ran all the time since then, where time is what is asked for.

        Raises:
            SandboxLost: it stood still for seconds, or its machine did.
        """
        if self.stream.stood_still_at_s >= since_s:
            raise SandboxLost(
                cause="this process stood still while something was measured (Ctrl-Z, a paused or starved machine)",
                hint="nothing: what was measured meanwhile is measured again; keep the machine awake",
            )

    def _check_heard(self) -> None:
        """Check that a guest that keeps silent was asked at all.

        Raises:
            SandboxLost: the connection to it is gone, and nothing said so.
        """
        if self.stream.is_unheard:
            raise SandboxLost(
                cause=f"the stream of container {self.id[:12]} leads nowhere any more: what is sent is not received",
                hint="look at the network to the engine (a tunnel, a firewall that forgets connections); run the job again",
            )

    def _check_let_run(self) -> None:
        """Check that a guest that keeps silent could answer.

        Raises:
            SandboxLost: somebody paused its container.
        """
        if is_paused(self.engine, self.id):
            raise SandboxLost(
                cause=f"container {self.id[:12]} was paused from outside",
                hint="leave containers with the label `runner` alone while a job runs; run it again",
            )

    def _settle(self, got: Received | StreamClosed | None, deadline_s: float) -> Received | GuestExit:
        if isinstance(got, Received):
            return _ruin(got) if got.frame.head.get("no_shell") else got
        if got is None:
            return GuestExit(ExitCause.SILENT, f"no answer within {deadline_s:g} s")
        if self.termination_reason:
            return GuestExit(ExitCause.SILENT, self.termination_reason)
        if got.why is CloseCause.CLOSED:
            raise Interrupted
        if got.why is CloseCause.LEAKED:
            raise SandboxLost(
                cause=f"container {self.id[:12]} is not isolated: {got.detail}",
                hint="stop using this engine, change the credentials, and find how a guest reached this host's files",
            )
        if got.why is CloseCause.UNSENT:
            return GuestExit(ExitCause.SILENT, got.detail)
        if got.why is CloseCause.MALFORMED:
            return GuestExit(ExitCause.MALFORMED, got.detail)
        return self._exit_of(got)

    def _exit_of(self, end: StreamClosed) -> GuestExit:
        """From the engine's own record of events, never guessed from an exit code."""
        last = last_usage(self.engine, self.id)  # first of all: the kernel's account goes with the container
        events = events_of(self.engine, self.id)
        actions = [event.get("Action", "") for event in events]
        with engine_errors(f"asking what became of container {self.id[:12]}"):
            code = exit_code(events)
        if code == self.host_gone_code:
            raise SandboxLost(
                cause=f"the stream of container {self.id[:12]} was cut ({end.detail}), and its PID 1 ended as it must then",
                hint="look at the connection to the engine (a tunnel, a proxy, its idle limit); run the job again",
            )
        if "kill" in actions:
            raise SandboxLost(
                cause=f"container {self.id[:12]} was killed from outside",
                hint="leave containers with the label `runner` alone while a job runs; run it again",
            )
        if self.host_gone_code == HOST_GONE and code == HOST_SHORT:
            raise host_short(self.id)
        if "die" in actions and code in OUT_OF_MEMORY_CODES and ended_for_memory(events):
            if last.lost_to_host(self.spec.memory_bytes):
                raise host_short(self.id)
            return GuestExit(ExitCause.MEMORY, MEMORY_WORDS, _told_code(code))
        if code == KILLED:  # nothing inside can do that to PID 1
            raise SandboxLost(
                cause=f"PID 1 of container {self.id[:12]} was killed from outside, and not for its own memory",
                hint="look at the host's memory and its kernel log; run the job again",
            )
        if self.host_gone_code == HOST_GONE and code in (MEMORY_KILLED, MEMORY_BESIDE):
            words = MEMORY_WORDS if code == MEMORY_KILLED else f"{BESIDE_WORDS}, and {_end_words(None)}"
            return GuestExit(ExitCause.MEMORY, words, _told_code(code))
        if "die" in actions:
            return GuestExit(ExitCause.DIED, _end_words(code), _told_code(code))
        raise SandboxLost(
            cause=f"the stream of container {self.id[:12]} broke ({end.detail}), and the engine reports no end of it",
            hint="look at the engine's log and the connection to it; run the job again",
        )

    def used(self) -> ResourceUsage:
        """What it has used, by the kernel's account."""
        return read_usage(self.engine, self.id)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has ended a process in it for memory: by its count while it lives, or the engine's word.

        Raises:
            SandboxLost: it has, and it was the host that was short of memory.
            EngineFault: there is no count, and the engine does not say.
        """
        used = self.used()
        if used.lost_to_host(self.spec.memory_bytes):
            raise host_short(self.id)
        if used.memory_kills is not None:
            return used.memory_kills > 0
        return any(event.get("Action") == "oom" for event in events_by_now(self.engine, self.id))

    def tasks(self) -> int | None:
        """How many processes and threads it has now, by the kernel's count; None where that cannot be read."""
        return count_tasks(self.engine, self.id)

    def pin(self, cpuset: str) -> None:
        """Move the whole container to other CPUs, and check that it moved; one that was moved there before stays there.

        Raises:
            SandboxMismatch, EngineFault: the engine did not do it.
        """
        if self.place.cpuset == cpuset:
            return  # the next audit in it: two calls of the engine for each took as long as the audit
        with engine_errors(f"pinning container {self.id[:12]} to CPU {cpuset}"):
            self.engine.client.api.update_container(self.id, cpuset_cpus=cpuset)
            inspected = read_inspected(self.engine.client.api.inspect_container(self.id))
        self.place = Placement(self.place.uid, cpuset, self.place.labels)
        verify_container(self.spec, self.place, inspected, self.seen)

    def begin_freeze(self) -> Callable[[], None]:
        """Stop every process but PID 1; from now on time does not count here, and nobody else may talk to it.

        Returns: waits until they stand. A guest that cannot be stopped is ended: it would run beside what is measured.
        """
        self._may_talk.clear()
        self._watch.freeze()
        answer = self._control("freeze")

        def see_frozen() -> None:
            got = answer()
            if got is None:
                # What came meanwhile counts; where it was this process that stood still, all its time begins anew.
                self._check_engine()
                got = answer(READER_S)
            if self._may_run_on() and (not isinstance(got, Received) or not got.frame.head.get("ok")):
                self._check_engine()  # of its silence the guest knows nothing
                self._check_heard()
                if not is_paused(self.engine, self.id):  # else it stands, by somebody else's doing
                    self.terminate("its processes could not be stopped while something was measured")
            self._counted_from_s = -math.inf
            self._frozen_cpu_s = None if self.termination_reason else read_cpu_s(self.engine, self.id)

        return see_frozen

    def _may_run_on(self) -> bool:
        """Whether its guest may, as far as the stream tells: one that can be sent nothing more may live all the same."""
        return self.stream.end is None or self.stream.end.why is CloseCause.UNSENT

    def freeze(self) -> None:
        """Stop every process but PID 1, and wait until they stand.

        Raises:
            EngineFault: the engine does not answer.
        """
        self.begin_freeze()()

    def ran_while_frozen(self, seconds: float, since_s: float) -> bool | None:
        """Whether more than PID 1 has run since it was frozen, this many seconds ago, by the kernel's account; None where
        there is no such account.

        Args:
            since_s: from when on that must be known, by the monotonic clock.

        Raises:
            EngineFault: the engine has an account, and did not give it then or does not now.
        """
        before, now = self._frozen_cpu_s, read_cpu_s(self.engine, self.id)
        if (before is None or now is None) and has_ended(self.engine, self.id):
            return False
        if before is None and now is None:
            return None
        if before is None:
            self._frozen_cpu_s, self._counted_from_s = now, time.monotonic()
        if now is None or self._counted_from_s > since_s:
            raise EngineFault(
                cause=f"the engine did not always say what CPU time container {self.id[:12]} took while it stood still",
                hint="nothing: what was measured beside it is measured again; look at the engine's log",
            )
        return before is not None and now - before > FROZEN_CPU_S + FROZEN_CPU_SHARE * seconds

    def terminate(self, why: str) -> None:
        """End it for what its guest did; whoever asks it something hears of it as the guest's own end."""
        self.termination_reason = why
        self.stream.close()
        remove(self.engine, self.id)

    def begin_thaw(self) -> Callable[[], None]:
        """Let it go on; returns what waits until it does."""
        answer = self._control("thaw") if self.stream.end is None else lambda: None

        def see_thawed() -> None:
            answer()
            self._watch.thaw()
            self._may_talk.set()

        return see_thawed

    def thaw(self) -> None:
        """Let it go on, and wait until it does."""
        self.begin_thaw()()

    def _control(self, op: str) -> Callable[..., Received | StreamClosed | None]:
        """Ask something of PID 1 that is not the guest's doing; returns what waits for the answer, and may do so again with
        at least so many seconds."""
        sequence, left_s = next(self._sequence), self._left_of(FREEZE_DEADLINE_S)
        self.stream.send(encode(Frame(Kind.REQUEST, sequence, {"op": op})), left_s)

        def wait(least_s: float = 0.0) -> Received | StreamClosed | None:
            end = time.monotonic() + least_s
            return self.stream.receive(sequence, lambda: max(left_s(), end - time.monotonic()))

        return wait

    def _wait_while_frozen(self) -> None:
        while not self._may_talk.wait(0.25):
            if self.stream.end is not None:
                return


def _ruin(got: Received) -> GuestExit:
    """What it means that no shell can be started."""
    why = str(got.frame.head.get("error", ""))[:DETAIL_CHARS_MAX]
    if got.frame.head.get("had_shell"):
        return GuestExit(ExitCause.RUINED, why)
    raise SandboxLost(
        cause=f"in a fresh sandbox {why}", hint="check that the image has bash, and `python -m runner doctor`"
    )


def check_host_had_memory(sandbox: Sandbox, reply: Received) -> None:
    """Check an answer where PID 1 alone speaks on the wire (in no sample): it says whether the kernel killed, and for what.

    Raises:
        SandboxLost: for memory that the host did not have.
    """
    if reply.frame.head.get("host_short"):
        raise host_short(sandbox.id)


def host_short(container_id: str) -> SandboxLost:
    """The fault where the kernel killed in a container for memory that the host did not have."""
    return SandboxLost(
        cause=f"the kernel killed in container {container_id[:12]} for memory, far from the container's own limit",
        hint="the host was short of memory: run fewer sandboxes side by side, or look at what else runs there",
    )


def _told_code(code: int | None) -> int | None:
    """The status of the process that answers, as a shell would say it; None where PID 1 says something else instead."""
    return KILLED if code in (WORKER_KILLED, MEMORY_KILLED) else None if code == MEMORY_BESIDE else code


def _end_words(code: int | None) -> str:
    """How the process that answers ended; PID 1 of a sample ends as its worker did."""
    code = _told_code(code)
    if code is not None and code > 128 and code - 128 in signal.valid_signals():
        return f"the process that answers was ended by {signal.Signals(code - 128).name}"
    return "the process that answers ended without an answer"
