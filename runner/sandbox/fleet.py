"""The live sandboxes of a job: opened here, ended here."""

import contextlib
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator

from runner.faults import Interrupted, SandboxLost
from runner.sandbox.container import (
    HELLO_DEADLINE_S,
    INSIDE,
    REPLY_BODY_BYTES_MAX,
    GuestExit,
    Sandbox,
    engine_seconds,
    remove,
)
from runner.sandbox.engine import Engine, engine_errors
from runner.sandbox.spec import LABEL, Placement, SandboxSpec, create_body
from runner.sandbox.stream import Stream
from runner.sandbox.verify import summary, verify_container
from runner.sandbox.wire import Kind

PROGRAMS = {
    "toolserver": (
        "frames.py",
        "refuse.py",
        "fence.py",
        "replies.py",
        "files.py",
        "processes.py",
        "shell.py",
        "channel.py",
        "toolserver.py",
    ),
    "driver": ("frames.py", "refuse.py", "checker.py", "driver.py"),
    "reader": ("frames.py", "refuse.py", "reader.py"),
    "parser": ("frames.py", "refuse.py", "syntax.py", "parser.py"),
}
# Programs whose PID 1 runs nothing of a guest's: they end with 0 at the end of their stdin, and only then.
NO_GUEST_ENDS = ("toolserver", "parser")

# How long we wait for a killed container's processes to end. chosen: what was seen at worst (a thousand descriptors and
# locks in each of a hundred processes) took minutes; after that the container is left to the engine, and reported.
DEATH_S_MAX = 600.0
# How often the CPU time of a dying container is read. chosen: an ordinary one is gone in half of this.
DEATH_LOOK_S = 0.5
NEVER_STARTED_AFTER_S = 10.0  # chosen: far over the time between create and start


# Chosen: above the ids that a host gives to people, and below 2^31, which some file systems cannot hold.
UID_FIRST, UID_COUNT = 1_000_000, 1_000_000


def program(name: str) -> bytes:
    """The text of a program that runs inside, as the first frame brings it."""
    source = "\n".join((INSIDE / part).read_text(encoding="utf-8") for part in PROGRAMS[name]).encode()
    return len(source).to_bytes(4, "big") + source


class Fleet:
    """The live sandboxes of one job: opened here, ended here.

    Attributes:
        leaks: ids of containers that could not be seen to be gone, for the user's eyes.
    """

    def __init__(self, engine: Engine, job: str) -> None:
        self.engine, self.job = engine, job
        self.leaks: list[str] = []
        self._live: dict[str, Sandbox] = {}
        self._news = threading.Condition()
        self._stopping = False
        # Roles of which none may start now, how many of each are starting and ending, and what stands frozen since when.
        self._shut: set[str] = set()
        self._starting: Counter[str] = Counter()
        self._ending: Counter[str] = Counter()
        self._frozen: list[Sandbox] = []
        self._frozen_at_s = 0.0

    @contextlib.contextmanager
    def open(self, spec: SandboxSpec, name: str, *, role: str, cpuset: str, run: str = "") -> Iterator[Sandbox]:
        """A sandbox that runs one of `PROGRAMS`, asserted to be what the spec says; here the container is gone after.

        Raises:
            SandboxMismatch: the engine enforces something else.
            SandboxLost, EngineFault: it did not start.
            Interrupted: we are stopping.
        """
        with self._gate(role):
            sandbox = self._start(spec, self._place(role, cpuset, run), program(name))
            sandbox.zero_is_ours = name in NO_GUEST_ENDS
        try:
            yield sandbox
        finally:
            self._end(sandbox)

    def stop(self) -> None:
        """End every sandbox now; whoever waits for an answer gets `Interrupted`."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        for sandbox in self.live():
            sandbox.stream.close()

    def live(self, role: str | None = None) -> list[Sandbox]:
        """The sandboxes that are open now, of one role or of all."""
        with self._news:
            found = list(self._live.values())
        return [sandbox for sandbox in found if role is None or _role(sandbox) == role]

    @contextlib.contextmanager
    def frozen(self, role: str) -> Iterator[None]:
        """All sandboxes of a role stand still meanwhile, and none starts; those that are being ended are waited for."""
        with self._news:
            self._shut.add(role)
            self._news.wait_for(lambda: self._stopping or self._starting[role] + self._ending[role] == 0)
        try:
            for sandbox in self.live(role):
                self._frozen.append(sandbox)
                sandbox.freeze()
            self._frozen_at_s = time.monotonic()
            yield
        finally:
            for sandbox in self._frozen:
                sandbox.thaw()
            self._frozen.clear()
            with self._news:
                self._shut.discard(role)
                self._news.notify_all()

    def check_frozen(self) -> None:
        """Check that what must stand still does: a guest may wake itself. One that does is ended.

        Raises:
            SandboxLost: something ran beside what was measured.
        """
        seconds = time.monotonic() - self._frozen_at_s
        woken = [
            sandbox for sandbox in self._frozen if not sandbox.termination_reason and sandbox.ran_while_frozen(seconds)
        ]
        for sandbox in woken:
            sandbox.terminate("its processes ran while they had to stand still for a measurement")
        if woken:
            runs = ", ".join(dict(sandbox.place.labels)[f"{LABEL}.run"] for sandbox in woken)
            raise SandboxLost(
                cause=f"the sandbox of run {runs} ran while something was measured; it was ended",
                hint="nothing: what was measured beside it is measured again",
            )

    @contextlib.contextmanager
    def _gate(self, role: str) -> Iterator[None]:
        """Wait while sandboxes of this role must stand still; whoever freezes them waits for those that start."""
        with self._news:
            self._news.wait_for(lambda: self._stopping or role not in self._shut)
            if self._stopping:
                raise Interrupted
            self._starting[role] += 1
        try:
            yield
        finally:
            with self._news:
                self._starting[role] -= 1
                self._news.notify_all()

    def _place(self, role: str, cpuset: str, run: str) -> Placement:
        labels = {LABEL: "sandbox", f"{LABEL}.job": self.job, f"{LABEL}.role": role, f"{LABEL}.run": run}
        return Placement(UID_FIRST + secrets.randbelow(UID_COUNT), cpuset, tuple(sorted(labels.items())))

    def _start(self, spec: SandboxSpec, place: Placement, first: bytes) -> Sandbox:
        sandbox = _create_and_attach(self.engine, spec, place)
        with self._news:
            self._live[sandbox.id] = sandbox
        try:
            if self._stopping:  # `stop` may have come while it was created, and not seen it
                raise Interrupted
            self._boot(sandbox, first)
        except BaseException:
            self._end(sandbox)
            raise
        return sandbox

    def _boot(self, sandbox: Sandbox, first: bytes) -> None:
        api = self.engine.client.api
        with engine_errors(f"starting container {sandbox.id[:12]}"):
            api.start(sandbox.id)
        end = time.monotonic() + HELLO_DEADLINE_S
        sandbox.stream.send(first, lambda: end - time.monotonic())
        hello = sandbox.hello()
        if isinstance(hello, GuestExit) or hello.frame.kind is not Kind.HELLO:
            detail = hello.detail if isinstance(hello, GuestExit) else "its first frame is not a greeting"
            tail = sandbox.stream.stderr.decode("utf-8", "replace").strip()[-500:]
            raise SandboxLost(
                cause=f"a sandbox did not come up: {detail}; it wrote {tail!r}",
                hint=f"check that the image has Python 3 as {sandbox.spec.python!r}, and `python -m runner doctor`",
            )
        with engine_errors(f"inspecting container {sandbox.id[:12]}"):
            inspected = api.inspect_container(sandbox.id)
        sandbox.seen = hello.frame.head.get("seen", {})
        verify_container(sandbox.spec, sandbox.place, inspected, sandbox.seen)
        sandbox.enforced = summary(inspected)

    def _end(self, sandbox: Sandbox) -> None:
        """End it, and wait until the kernel has ended all its processes: they would run beside what comes next."""
        role = _role(sandbox)
        with self._news:
            self._ending[role] += 1
        gone = threading.Event()
        watch = threading.Thread(target=_watch_death, args=(sandbox, sandbox.used().cpu_s, gone), name="death")
        watch.start()
        try:
            sandbox.stream.close()
            if not remove(self.engine, sandbox.id, DEATH_S_MAX, lambda: self._stopping):
                self.leaks.append(sandbox.id)
        finally:
            gone.set()
            watch.join()
            with self._news:
                self._live.pop(sandbox.id, None)
                self._ending[role] -= 1
                self._news.notify_all()


def _role(sandbox: Sandbox) -> str:
    return dict(sandbox.place.labels)[f"{LABEL}.role"]


def _watch_death(sandbox: Sandbox, before_s: float | None, gone: threading.Event) -> None:
    """Note the CPU time that a sandbox takes to die, while the kernel counts it; most are gone before the first look."""
    while not gone.wait(DEATH_LOOK_S):
        now_s = sandbox.used().cpu_s
        if now_s is not None and before_s is not None:
            sandbox.dying_cpu_s = max(sandbox.dying_cpu_s, now_s - before_s)


def sweep(engine: Engine) -> int:
    """Remove sandboxes that were created and never started, by a runner that died in between; how many there were.

    A started one needs no sweeping: it ends with its stdin.

    Raises:
        EngineFault: the engine does not answer.
    """
    with engine_errors("looking for left-over containers"):
        now_s = engine_seconds(engine.client.api.info()["SystemTime"])
        found = engine.client.api.containers(
            all=True, filters={"label": LABEL, "status": ["created", "exited", "dead"]}
        )
    old = [entry["Id"] for entry in found if now_s - float(entry["Created"]) > NEVER_STARTED_AFTER_S]
    return sum(remove(engine, container_id) for container_id in old)


def _create_and_attach(engine: Engine, spec: SandboxSpec, place: Placement) -> Sandbox:
    api = engine.client.api
    with engine_errors("creating a sandbox"):
        made = api.create_container_from_config(create_body(spec, place), name=f"{LABEL}-{secrets.token_hex(8)}")
    try:
        with engine_errors("attaching to a sandbox"):
            attached = api.attach_socket(
                made["Id"], params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1, "logs": 0}
            )
    except BaseException:
        remove(engine, made["Id"])
        raise
    return Sandbox(engine, spec, place, made["Id"], Stream(attached, REPLY_BODY_BYTES_MAX))
