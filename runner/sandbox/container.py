"""A sandbox: one container, one stream.

Three parties. The *host* (this process) holds the clock and the labels. The *server* is PID 1 in the container; we wrote
it, and it comes in as the first frame. The *guest* is whatever it runs. Only frames cross, over the attached stdin and
stdout; nothing is mounted. When the host dies, even by SIGKILL, stdin closes, the server ends and the engine removes the
container: so there is no clean-up to forget.

Order at the start: create, attach, start, speak first, assert. At the end: close the stream, then kill (an unread stream
makes the engine's kill hang), then check that it is gone.
"""

import itertools
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import docker

from runner.faults import Interrupted, SandboxLost
from runner.sandbox.cgroup import ResourceUsage, read_usage
from runner.sandbox.engine import Engine, engine_errors
from runner.sandbox.spec import Placement, SandboxSpec
from runner.sandbox.stream import CloseCause, OnFrame, Stream, StreamClosed
from runner.sandbox.stream import Received as Received
from runner.sandbox.verify import verify_container
from runner.sandbox.wire import Frame, Kind, encode

INSIDE = Path(__file__).resolve().parent / "inside"
HELLO_DEADLINE_S = 60.0  # chosen: far over what a loaded engine needs for a start
REPLY_BODY_BYTES_MAX = 16 * 1024 * 1024  # chosen: the largest answer of the tools with room to spare
DETAIL_CHARS_MAX = 1_500  # chosen: how two shells failed to come up
GONE_DEADLINE_S = 10.0  # chosen: far over what a removal takes
FREEZE_DEADLINE_S = 30.0  # chosen: far over what PID 1 needs to stop its processes
# Exit codes of what the kernel ended for memory: by SIGKILL, or unsaid (gVisor, which ends as a whole). Where it ended some
# other process, and the one that answers went by itself, the engine tells of the first, and the code of the second.
OUT_OF_MEMORY_CODES = (None, 128, 128 + signal.SIGKILL)
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
        zero_is_ours: its PID 1 ends with exit code 0 at the end of its stdin alone, which only this side can bring about.
            A driver's may not: it ends with what its guest ended with.
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
    zero_is_ours: bool = False
    _sequence: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _watch: _Stopwatch = field(default_factory=_Stopwatch)
    _may_talk: threading.Event = field(default_factory=threading.Event)
    _frozen_cpu_s: float | None = None

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
        """Send a frame of a request under way, in unfrozen time; whether all of it went."""
        self._wait_while_frozen()
        end = self._watch.now() + deadline_s
        return self.stream.send(encode(frame), lambda: end - self._watch.now())

    def _ask(
        self, head: Mapping[str, Any], body: bytes, deadline_s: float, body_bytes_max: int, on_frame: OnFrame | None
    ) -> Received | GuestExit:
        self.stream.limit_body(body_bytes_max)
        sequence = next(self._sequence)
        request = encode(Frame(Kind.REQUEST, sequence, dict(head), body))
        end = self._watch.now() + deadline_s

        def left_s() -> float:
            return end - self._watch.now()

        self.stream.send(request, left_s)
        return self._settle(self.stream.receive(sequence, left_s, on_frame), deadline_s)

    def hello(self) -> Received | GuestExit:
        """PID 1's first word."""
        end = time.monotonic() + HELLO_DEADLINE_S
        return self._settle(self.stream.receive(0, lambda: end - time.monotonic()), HELLO_DEADLINE_S)

    def _settle(self, got: Received | StreamClosed | None, deadline_s: float) -> Received | GuestExit:
        if isinstance(got, Received):
            return _ruin(got) if got.frame.head.get("no_shell") else got
        if got is None:
            return GuestExit(ExitCause.SILENT, f"no answer within {deadline_s:g} s")
        if self.termination_reason:
            return GuestExit(ExitCause.SILENT, self.termination_reason)
        if got.why is CloseCause.CLOSED:
            raise Interrupted
        if got.why is CloseCause.MALFORMED:
            return GuestExit(ExitCause.MALFORMED, got.detail)
        return self._exit_of(got)

    def _exit_of(self, end: StreamClosed) -> GuestExit:
        """From the engine's own record of events, never guessed from an exit code."""
        events = _events_of(self.engine, self.id)
        actions = [event.get("Action", "") for event in events]
        code = _exit_code(events)
        if self.zero_is_ours and code == 0:
            raise SandboxLost(
                cause=f"the stream of container {self.id[:12]} was cut ({end.detail}), and its PID 1 ended as it must then",
                hint="look at the connection to the engine (a tunnel, a proxy, its idle limit); run the job again",
            )
        if "oom" in actions and code in OUT_OF_MEMORY_CODES:
            return GuestExit(ExitCause.MEMORY, "the kernel ended it for memory", code)
        if "kill" in actions:
            raise SandboxLost(
                cause=f"container {self.id[:12]} was killed from outside",
                hint="leave containers with the label `runner` alone while a job runs; run it again",
            )
        if "die" in actions:
            return GuestExit(ExitCause.DIED, _end_words(code), code)
        raise SandboxLost(
            cause=f"the stream of container {self.id[:12]} broke ({end.detail}), and the engine reports no end of it",
            hint="look at the engine's log and the connection to it; run the job again",
        )

    def used(self) -> ResourceUsage:
        """What it has used, by the kernel's account."""
        return read_usage(self.engine, self.id)

    def pin(self, cpuset: str) -> None:
        """Move the whole container to other CPUs, and check that it moved.

        Raises:
            SandboxMismatch, EngineFault: the engine did not do it.
        """
        with engine_errors(f"pinning container {self.id[:12]} to CPU {cpuset}"):
            self.engine.client.api.update_container(self.id, cpuset_cpus=cpuset)
            inspected = self.engine.client.api.inspect_container(self.id)
        self.place = Placement(self.place.uid, cpuset, self.place.labels)
        verify_container(self.spec, self.place, inspected, self.seen)

    def freeze(self) -> None:
        """Stop every process but PID 1; from now on time does not count here, and nobody else may talk to it.

        A guest that cannot be stopped is ended: it would run beside what is measured.
        """
        self._may_talk.clear()
        self._watch.freeze()
        got = self._control("freeze")
        if self.stream.end is None and (not isinstance(got, Received) or not got.frame.head.get("ok")):
            self.terminate("its processes could not be stopped while something was measured")
        self._frozen_cpu_s = self.used().cpu_s

    def ran_while_frozen(self, seconds: float) -> bool:
        """Whether more than PID 1 has run since it was frozen, this many seconds ago, by the kernel's account."""
        before, now = self._frozen_cpu_s, self.used().cpu_s
        return before is not None and now is not None and now - before > FROZEN_CPU_S + FROZEN_CPU_SHARE * seconds

    def terminate(self, why: str) -> None:
        """End it for what its guest did; whoever asks it something hears of it as the guest's own end."""
        self.termination_reason = why
        self.stream.close()
        remove(self.engine, self.id)

    def thaw(self) -> None:
        """Let it go on."""
        if self.stream.end is None:
            self._control("thaw")
        self._watch.thaw()
        self._may_talk.set()

    def _control(self, op: str) -> Received | GuestExit:
        end = time.monotonic() + FREEZE_DEADLINE_S
        sequence = next(self._sequence)
        self.stream.send(encode(Frame(Kind.REQUEST, sequence, {"op": op})), lambda: end - time.monotonic())
        got = self.stream.receive(sequence, lambda: end - time.monotonic())
        return got if isinstance(got, Received) else GuestExit(ExitCause.SILENT, f"no answer to {op}")

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


def _events_of(engine: Engine, container_id: str) -> list[dict[str, Any]]:
    """What the engine recorded of a container in the last day, by the engine's own clock."""
    with engine_errors(f"asking how container {container_id[:12]} ended"):
        api = engine.client.api
        for _ in range(20):
            now = engine_seconds(api.info()["SystemTime"])
            found = list(
                api.events(
                    since=int(now) - 86_400, until=int(now) + 1, filters={"container": container_id}, decode=True
                )
            )
            if any(event.get("Action") == "die" for event in found):
                return found
            time.sleep(0.1)
        return found


def engine_seconds(text: str) -> float:
    """The engine's RFC 3339 time (nanoseconds, any zone) as seconds since 1970."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()


def _exit_code(events: Sequence[Mapping[str, Any]]) -> int | None:
    codes = [
        event.get("Actor", {}).get("Attributes", {}).get("exitCode") for event in events if event.get("Action") == "die"
    ]
    return int(codes[-1]) if codes and codes[-1] is not None else None


def _end_words(code: int | None) -> str:
    """How the process that answers ended; PID 1 of a sample ends as its worker did."""
    if code is not None and code > 128 and code - 128 in signal.valid_signals():
        return f"the process that answers was ended by {signal.Signals(code - 128).name}"
    return "the process that answers ended without an answer"


def remove(
    engine: Engine, container_id: str, patience_s: float = GONE_DEADLINE_S, given_up: Callable[[], bool] = lambda: False
) -> bool:
    """Kill and remove a container; whether it was seen to be gone, and with it every process that was in it.

    PID 1 ends last: the kernel lets it go when no other process of its container is left.

    Args:
        given_up: whether to wait for GONE_DEADLINE_S at the most; asked again and again.
    """
    start = time.monotonic()
    while time.monotonic() - start < (min(GONE_DEADLINE_S, patience_s) if given_up() else patience_s):
        try:
            engine.client.api.remove_container(container_id, force=True, v=True)
        except docker.errors.NotFound:
            return True
        except docker.errors.APIError:
            pass  # "removal already in progress": asked again until it is gone
        except Exception:  # boundary: no connection; the engine removes it by itself, since its stdin is closed
            return False
        time.sleep(0.01)
    return False
