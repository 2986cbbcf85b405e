"""The live sandboxes of a job: opened here, ended here."""

import contextlib
import itertools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import docker

from runner.faults import EngineFault, InfrastructureFault, Interrupted, SandboxLost, SandboxWoke
from runner.sandbox.container import (
    HELLO_DEADLINE_S,
    HOST_GONE,
    INSIDE,
    REPLY_BODY_BYTES_MAX,
    GuestExit,
    Sandbox,
)
from runner.sandbox.core_sets import rotated
from runner.sandbox.engine import Engine, engine_errors
from runner.sandbox.leftovers import holder
from runner.sandbox.lock import NAME_IN_USE
from runner.sandbox.removal import GONE_DEADLINE_S, UNANSWERED_MAX, made_id, remove
from runner.sandbox.spec import HOLDER_LABEL, LABEL, Placement, SandboxSpec, create_body
from runner.sandbox.stream import Stream, no_threads_left
from runner.sandbox.verify import read_inspected, summary, verify_container
from runner.sandbox.walls import SAID, Difference
from runner.sandbox.wire import Kind

PROGRAMS = {
    "toolserver": (
        "frames.py",
        "refuse.py",
        "walls.py",
        "fence.py",
        "landlock.py",
        "replies.py",
        "bundle.py",
        "collected.py",
        "files.py",
        "processes.py",
        "shell.py",
        "channel.py",
        "toolserver.py",
    ),
    "driver": ("frames.py", "refuse.py", "walls.py", "fence.py", "checker.py", "driver.py", "start.py"),
    "forkserver": (
        "frames.py",
        "refuse.py",
        "walls.py",
        "fence.py",
        "left.py",
        "checker.py",
        "driver.py",
        "forkserver.py",
        "start.py",
    ),
    "profiler": (
        "frames.py",
        "refuse.py",
        "walls.py",
        "fence.py",
        "checker.py",
        "driver.py",
        "profiler.py",
        "start.py",
    ),
    "cases": (
        "frames.py",
        "refuse.py",
        "walls.py",
        "fence.py",
        "left.py",
        "processes.py",
        "bundle.py",
        "piped.py",
        "cases.py",
    ),
    "tester": (
        "frames.py",
        "refuse.py",
        "walls.py",
        "fence.py",
        "processes.py",
        "bundle.py",
        "collected.py",
        "piped.py",
        "tester.py",
    ),
    "reader": ("frames.py", "refuse.py", "walls.py", "reader.py"),
    "parser": ("frames.py", "refuse.py", "walls.py", "syntax.py", "swap.py", "parser.py"),
}
# What a PID 1 ends with at the end of its stdin, and then only; the others run nothing of a guest's and end with 0.
HOST_GONE_CODES = {"driver": HOST_GONE, "forkserver": HOST_GONE}
# Programs whose frames bear tags: where PID 1 alone speaks. The answer of a driver, or of what a fork server forks, is made
# by a process in which the submission runs: whatever key it held would be the submission's, and before the file is there,
# nothing of a guest's runs.
KEYED = ("toolserver", "reader", "parser", "cases", "tester")
KEY_BYTES = 32  # as long as the hash of its tags

# Samples warm up where there is room: they are moved to the measuring CPU before anything of a guest's runs in them.
MOVED_ROLES = ("baseline", "candidate", "sentinel")
NO_THREAD = "can't start new thread"  # Python's words

# How long we wait for a killed container's processes to end. chosen: what was seen at worst (a thousand descriptors and
# locks in each of a hundred processes) took minutes; after that the container is left to the engine, and reported.
DEATH_S_MAX = 600.0
LISTED_POLL_S = 0.05  # chosen: an engine that is not starved lists it no more by then
# How often the CPU time of a dying container is read. chosen: an ordinary one is gone in half of this.
DEATH_LOOK_S = 0.5


# The ids that systemd's list of ids leaves to nobody, between those of people and those of services: below 65536, so that
# engines in user namespaces have them, and enough for more sandboxes than an engine holds.
UID_FIRST, UID_COUNT = 60_578, 606


def program(name: str, key: bytes = b"") -> bytes:
    """The text of a program that runs inside, as the first frame brings it, with the key of the wire."""
    parts = [f"WIRE_KEY = {key!r}", *((INSIDE / part).read_text(encoding="utf-8") for part in PROGRAMS[name])]
    source = "\n".join(parts if key else parts[1:]).encode()
    return len(source).to_bytes(4, "big") + source


class Fleet:
    """The live sandboxes of one job: opened here, ended here.

    Attributes:
        leaks: ids of containers that could not be seen to be gone, for the user's eyes.
    """

    def __init__(self, engine: Engine, job: str) -> None:
        self.engine, self.job, self._holder = engine.part(), job, holder()
        self._token = secrets.token_hex(8)  # jobs of one process may have one name, in two folders
        self.leaks: list[str] = []
        # Fleets of other processes begin elsewhere; but none on the last CPU, which is measured on.
        self._turns = itertools.count(secrets.randbelow(max(1, engine.facts.ncpu - 1)))
        self._live: dict[str, Sandbox] = {}
        self._news = threading.Condition()
        self._stopping = False
        # Roles of which none may start now, how many of each are starting and ending, and what stands frozen since when.
        self._shut: set[str] = set()
        self._starting: Counter[str] = Counter()
        self._ending: Counter[str] = Counter()
        self._frozen: list[Sandbox] = []
        self._frozen_at_s = 0.0
        self._looking = threading.Lock()
        self._woke: list[tuple[float, str]] = []  # when it was seen that something ran, and the runs

    @contextlib.contextmanager
    def open(self, spec: SandboxSpec, name: str, *, role: str, cpuset: str, run: str = "") -> Iterator[Sandbox]:
        """A sandbox that runs one of `PROGRAMS`, asserted to be what the spec says; here the container is gone after.

        Args:
            cpuset: where it may run: on as many of these CPUs as its quota is worth (`cpus_for`), but for `MOVED_ROLES`.

        Raises:
            SandboxMismatch: the engine enforces something else.
            SandboxLost, EngineFault: it did not start.
            Interrupted: we are stopping.
        """
        key = secrets.token_bytes(KEY_BYTES) if name in KEYED else b""
        with self._gate(role), self._interrupted_by_stop():
            where = cpuset if role in MOVED_ROLES else self.cpus_for(spec, cpuset)
            sandbox = self._start(spec, self._place(role, where, run), program(name, key), key)
            sandbox.host_gone_code = HOST_GONE_CODES.get(name, 0)
        try:
            with self._stopped_by_ctrl_c():
                yield sandbox
        finally:
            self._end(sandbox)

    def cpus_for(self, spec: SandboxSpec, cpuset: str) -> str:
        """The CPUs of a set that the next sandbox gets: as many as its quota is worth, so that the quota never binds.

        What a process uses in a call of the kernel's, Linux from 6.18 on takes from the quota later, from whatever runs in
        the container then: on more CPUs than its quota, a guest in long calls would keep PID 1 from running for minutes.
        """
        return rotated(cpuset, spec.cpus, next(self._turns))

    def stop(self) -> None:
        """End every sandbox now; whoever waits for an answer gets `Interrupted`."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        self.engine.hurry()
        for sandbox in self.live():
            sandbox.stream.close()

    @contextlib.contextmanager
    def _stopped_by_ctrl_c(self) -> Iterator[None]:
        """It reaches the main thread wherever that is, and whoever cleans up on the way out must not wait for the engine."""
        try:
            yield
        except KeyboardInterrupt:
            self.stop()
            raise

    @contextlib.contextmanager
    def threads(self, count: int, name: str) -> Iterator[ThreadPoolExecutor]:
        """Threads that use sandboxes of this job. Where the user stops us, every sandbox ends before they are waited for.

        A thread may wait for an answer as long as a deadline allows, and Ctrl-C reaches the main thread alone.
        """
        with ThreadPoolExecutor(count, name) as pool:
            try:
                yield pool
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                self.stop()
                raise
            except RuntimeError as error:  # that a pool gets no thread has no class of its own
                if NO_THREAD not in str(error):
                    raise
                raise no_threads_left() from error

    def remove_rest(self) -> None:
        """Remove, once nothing is opened any more, what the engine made after its answer was given up: best effort.

        The engine may know nothing of a container any more and list it still, or be at removing it for longer than `_end`
        waited: here it is waited for until none is listed.
        """
        mine = [f"{LABEL}.fleet={self._token}"]
        end_s = time.monotonic() + GONE_DEADLINE_S
        with contextlib.suppress(EngineFault), engine_errors("looking for left-over containers"):
            while found := self.engine.client.api.containers(all=True, filters={"label": mine}):
                gone = [remove(self.engine, str(entry["Id"])) for entry in found]
                if not all(gone) or time.monotonic() >= end_s:
                    return
                time.sleep(LISTED_POLL_S)

    def live(self, role: str | None = None) -> list[Sandbox]:
        """The sandboxes that are open now, of one role or of all."""
        with self._news:
            found = list(self._live.values())
        return [sandbox for sandbox in found if role is None or _role(sandbox) == role]

    def containers_left(self) -> list[str]:
        """Ids of this job's containers that the engine still has, whatever their state.

        Raises:
            EngineFault: it does not answer.
        """
        with engine_errors("looking for left-over containers"):
            found = self.engine.client.api.containers(all=True, filters={"label": f"{LABEL}.job={self.job}"})
            return [str(entry["Id"])[:12] for entry in found]

    @contextlib.contextmanager
    def frozen(self, role: str) -> Iterator[None]:
        """All sandboxes of a role stand still meanwhile, and none starts; those that are being ended are waited for.

        Raises:
            EngineFault: the engine does not answer.
        """
        with self._news:
            self._shut.add(role)
            self._news.wait_for(lambda: self._stopping or self._starting[role] + self._ending[role] == 0)
        try:
            with self._stopped_by_ctrl_c():
                stopping: list[Callable[[], None]] = []
                for sandbox in self.live(role):
                    self._frozen.append(sandbox)
                    stopping.append(sandbox.begin_freeze())
                for see_frozen in stopping:  # asked all at once: the deadlines of many are that of one
                    see_frozen()
                self._frozen_at_s = time.monotonic()
                yield
        finally:
            for see_thawed in [sandbox.begin_thaw() for sandbox in self._frozen]:
                see_thawed()
            self._frozen.clear()
            with self._news:
                self._shut.discard(role)
                self._news.notify_all()

    def check_frozen(self, since_s: float) -> bool:
        """Check that what must stand still does: a guest may wake itself. One that does is ended.

        Of several slots that measure side by side each asks for itself, and is told of what ran while it measured,
        whichever of them saw it first.

        Args:
            since_s: when the caller began to measure, by the monotonic clock.

        Returns: whether there was an account to check it by.

        Raises:
            SandboxWoke: something ran beside what was measured.
            EngineFault: the engine does not say whether something did.
        """
        is_counted = True
        with self._looking:
            now_s = time.monotonic()
            for sandbox in self._frozen:
                has_run = not sandbox.termination_reason and sandbox.ran_while_frozen(
                    now_s - self._frozen_at_s, since_s
                )
                is_counted = is_counted and has_run is not None
                if has_run:
                    sandbox.terminate("its processes ran while they had to stand still for a measurement")
                    self._woke.append((now_s, dict(sandbox.place.labels)[f"{LABEL}.run"]))
            woken = [run for seen_s, run in self._woke if seen_s >= since_s]
        if woken:
            raise SandboxWoke(
                cause=f"the sandbox of run {', '.join(woken)} ran while something was measured; it was ended",
                hint="nothing: what was measured beside it is measured again",
            )
        return is_counted

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
        labels = {
            LABEL: "sandbox",
            f"{LABEL}.job": self.job,
            f"{LABEL}.role": role,
            f"{LABEL}.run": run,
            f"{LABEL}.fleet": self._token,
            HOLDER_LABEL: self._holder,
            f"{LABEL}.token": secrets.token_hex(8),
        }
        return Placement(0, cpuset, tuple(sorted(labels.items())))

    def _start(self, spec: SandboxSpec, place: Placement, first: bytes, key: bytes) -> Sandbox:
        sandbox = _create_and_attach(self.engine, spec, place, key)
        with self._news:
            self._live[sandbox.id] = sandbox
        try:
            if self._stopping:  # `stop` may have come while it was created, and not seen it
                raise Interrupted
            with self._stopped_by_ctrl_c():
                self._boot(sandbox, first)
        except BaseException:
            self._end(sandbox)
            raise
        return sandbox

    @contextlib.contextmanager
    def _interrupted_by_stop(self) -> Iterator[None]:
        """What goes wrong since we are stopping is no fault of the engine's."""
        try:
            yield
        except InfrastructureFault as fault:
            if self._stopping:
                raise Interrupted from fault
            raise

    def _boot(self, sandbox: Sandbox, first: bytes) -> None:
        api = self.engine.client.api
        with engine_errors(f"starting container {sandbox.id[:12]}"):
            api.start(sandbox.id)
        end = time.monotonic() + HELLO_DEADLINE_S
        sandbox.stream.send(first, lambda: end - time.monotonic(), plain=True)
        hello = sandbox.hello()
        if isinstance(hello, GuestExit) or hello.frame.kind is not Kind.HELLO:
            detail = hello.detail if isinstance(hello, GuestExit) else "its first frame is not a greeting"
            tail = sandbox.stream.stderr.decode("utf-8", "replace").strip()[-500:]
            raise SandboxLost(
                cause=f"a sandbox did not come up: {detail}; it wrote {tail!r}",
                hint=f"check that the image has Python 3 as {sandbox.spec.python!r}, and `python -m runner doctor`",
            )
        with engine_errors(f"inspecting container {sandbox.id[:12]}"):
            inspected = read_inspected(api.inspect_container(sandbox.id))
        sandbox.seen = hello.frame.head.get("seen", {})
        allowed = verify_container(sandbox.spec, sandbox.place, inspected, sandbox.seen)
        said = [Difference(f"{SAID}{wall}", True, False) for wall in self.engine.facts.unenforced]
        sandbox.enforced = summary(sandbox.spec, inspected, sandbox.seen, [*allowed, *said])

    def _end(self, sandbox: Sandbox) -> None:
        """End it, and wait until the kernel has ended all its processes: they would run beside what comes next."""
        role = _role(sandbox)
        with self._news:
            self._ending[role] += 1
        try:
            # In this order: after a Ctrl-C the last look at it waits no longer for the engine.
            with _watched_death(sandbox), self._stopped_by_ctrl_c():
                sandbox.stream.close()
                if not remove(self.engine, sandbox.id, DEATH_S_MAX, lambda: self._stopping):
                    self.leaks.append(sandbox.id)
        finally:
            with self._news:
                self._live.pop(sandbox.id, None)
                self._ending[role] -= 1
                self._news.notify_all()


def _role(sandbox: Sandbox) -> str:
    return dict(sandbox.place.labels)[f"{LABEL}.role"]


@contextlib.contextmanager
def _watched_death(sandbox: Sandbox) -> Iterator[None]:
    """Watch what a sandbox takes to die; most are gone before the first look."""
    gone = threading.Event()
    watch = threading.Thread(target=_watch_death, args=(sandbox, sandbox.used().cpu_s, gone), name="death", daemon=True)
    with contextlib.suppress(RuntimeError):  # no thread is left on this host: it ends without being watched
        watch.start()
    try:
        yield
    finally:
        gone.set()
        if watch.ident is not None:
            watch.join()


def _watch_death(sandbox: Sandbox, before_s: float | None, gone: threading.Event) -> None:
    """Note the CPU time that a sandbox takes to die, while the kernel counts it; most are gone before the first look."""
    while not gone.wait(DEATH_LOOK_S):
        now_s = sandbox.used().cpu_s
        if now_s is not None:
            before_s = now_s if before_s is None else before_s  # an account that could not be had then begins here
            sandbox.dying_cpu_s = max(sandbox.dying_cpu_s, now_s - before_s)


def _create_and_attach(engine: Engine, spec: SandboxSpec, place: Placement, key: bytes) -> Sandbox:
    place, container_id = _create(engine, spec, place)
    try:
        with engine_errors("attaching to a sandbox"):
            attached = engine.client.api.attach_socket(
                container_id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1, "logs": 0}
            )
        stream = Stream(attached, REPLY_BODY_BYTES_MAX, key, engine.canaries)
    except BaseException:
        remove(engine, container_id)
        raise
    return Sandbox(engine, spec, place, container_id, stream)


def _create(engine: Engine, spec: SandboxSpec, place: Placement) -> tuple[Placement, str]:
    """A container with a user id of its own, and where it stands; (place with the id, container's id).

    What the kernel counts for a user (pipes, watches, signals, queues) no two sandboxes share. The id is leased by the
    container's name, which the engine gives to one container only, whoever asks, and for as long as it is there.

    Raises:
        EngineFault: the engine does not make it, or has no id left.
    """
    first = secrets.randbelow(UID_COUNT)
    for number in range(UID_COUNT):
        leased = replace(place, uid=UID_FIRST + (first + number) % UID_COUNT)
        container_id = _create_as(engine, spec, leased)
        if container_id:
            return leased, container_id
    raise EngineFault(
        cause=f"all {UID_COUNT} user ids of sandboxes are in use on this engine",
        hint="wait until other jobs have ended, or see `python -m runner clean --dry-run`",
    )


def _create_as(engine: Engine, spec: SandboxSpec, place: Placement) -> str:
    """Its id; empty where another sandbox has this user id."""
    name, body = f"{LABEL}-uid{place.uid}", create_body(spec, place)
    try:
        with engine_errors("creating a sandbox"):
            try:
                return made_id(engine.client.api.create_container_from_config(body, name=name))
            except docker.errors.APIError as error:
                if error.status_code != NAME_IN_USE:
                    raise
                return ""
    except BaseException:
        _remove_made(engine, name, dict(place.labels))
        raise


def _remove_made(engine: Engine, name: str, labels: Mapping[str, str]) -> None:
    """Remove a container that the engine made although its answer was lost: the one of this name, if it is ours."""
    for _ in range(UNANSWERED_MAX):
        try:
            found = engine.client.api.inspect_container(name)
            is_ours = labels.items() <= dict(found["Config"].get("Labels") or {}).items()
        except docker.errors.NotFound:
            return
        except Exception:  # boundary: no connection, or no answer of the engine's; asked again, as by `remove`
            continue
        if is_ours:
            remove(engine, str(found["Id"]))
        return
