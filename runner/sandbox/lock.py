"""The measuring slot: a lock that the engine holds, one for each CPU that is measured on.

It is a container with a fixed name whose stdin the holder keeps open. The engine gives a name to one container only,
whichever process or machine asks; and a holder that dies, even by SIGKILL, closes its stream, so that the container ends
and the name is free. A container of that name that stays `created` for minutes belongs to a holder that died before it could
start it: anyone may remove it, and at once where the holder is seen to be dead.
"""

import contextlib
import errno
import os
import secrets
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import docker

from runner.faults import EngineFault, Interrupted, SandboxLost
from runner.sandbox.container import INSIDE
from runner.sandbox.core_sets import CoreSet, cpus_of
from runner.sandbox.engine import Engine, engine_errors
from runner.sandbox.leftovers import NEVER_STARTED_AFTER_S, holder, is_alive
from runner.sandbox.removal import engine_seconds, made_id, remove
from runner.sandbox.spec import HOLDER_LABEL, LABEL, LOADER, SandboxSpec, engine_environment
from runner.sandbox.stream import close_attached, keep_from_children

TOKEN_LABEL = f"{LABEL}.token"  # of one attempt to take the slot; gradings side by side in one process have one holder
NAME_IN_USE = 409  # HTTP: conflict
POLL_S = 0.2  # chosen: small beside a round
SAY_EVERY_S = 15.0  # chosen: a person who waits hears why


def lock_name(cpuset: str) -> str:
    """The name that stands for measuring on these CPUs."""
    return f"{LABEL}-slot-cpu{cpuset.replace(',', '_')}"


def measurement_cpu(engine: Engine) -> str:
    """The CPU that gradings measure on: the engine's last one, farthest from where interrupts usually go."""
    return str(engine.facts.ncpu - 1)


def all_cpus(engine: Engine) -> str:
    """The CPUs that a sandbox may use while it is not measured, as a cpuset.

    All of the engine's; where the engine is this machine's, those of them that this process was started on, so that
    `taskset` keeps a job's sandboxes where it keeps the job.
    """
    every = range(engine.facts.ncpu)
    ours = [cpu for cpu in every if cpu in engine.own_cpus] or list(every)
    return f"{ours[0]}-{ours[-1]}" if len(ours) == ours[-1] - ours[0] + 1 > 1 else ",".join(map(str, ours))


@dataclass(frozen=True, slots=True)
class MeasuringSlot:
    """The slot, while it is held.

    Attributes:
        container_id: of its holder on the engine.
    """

    engine: Engine
    container_id: str
    attached: Any

    def check(self) -> None:
        """Check that it is still held: a stream that was cut lets it go, and nobody says so.

        Raises:
            SandboxLost: it is not, so that another runner may measure beside us.
            EngineFault: the engine does not answer.
        """
        if not self._is_connected() or not self._is_running():
            raise SandboxLost(
                cause="the measuring slot was lost: another grading may run beside this one",
                hint="look at the connection to the engine, and leave containers with the label `runner` alone",
            )

    def _is_connected(self) -> bool:
        stream = getattr(self.attached, "_sock", self.attached)
        ready = select.poll()  # takes any number of a descriptor, of which an agent's library may hold many
        try:
            ready.register(stream, select.POLLIN)
            return not ready.poll(0) or bool(stream.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):  # it was closed
            return False

    def _is_running(self) -> bool:
        with engine_errors("looking at the measuring slot"):
            try:
                return bool(self.engine.client.api.inspect_container(self.container_id)["State"]["Running"])
            except docker.errors.NotFound:
                return False


@contextlib.contextmanager
def measurement_lock(
    engine: Engine,
    image_id: str,
    python: str,
    cpuset: str,
    *,
    say: Callable[[str], None],
    stopped: Callable[[], bool] = lambda: False,
    environment: Sequence[str] = (),
) -> Iterator[MeasuringSlot]:
    """Hold the slot of some CPUs; waits while another runner measures.

    Args:
        image_id: any image with Python in it; the holder runs nothing of its own.
        stopped: asked while waiting; True ends the wait with `Interrupted`.
        environment: of the holder, as the engine takes it: a sandbox's, since the image's own may keep its Python from
            starting (LD_LIBRARY_PATH, say), which then nothing else would show.

    Raises:
        EngineFault: the engine does not answer.
        Interrupted: we are stopping.
    """
    with _machine_slot(engine, lock_name(cpuset), say, stopped):
        container_id = _take_name(engine, _body(image_id, python, environment), lock_name(cpuset), say, stopped)
        attached: Any = None
        try:
            with engine_errors("taking the measuring slot"):
                attached = engine.client.api.attach_socket(container_id, params={"stdin": 1, "stream": 1})
                keep_from_children(getattr(attached, "_sock", attached))
                engine.client.api.start(container_id)
            source = (INSIDE / "slotholder.py").read_bytes()
            with engine_errors("taking the measuring slot"):
                getattr(attached, "_sock", attached).sendall(len(source).to_bytes(4, "big") + source)
            yield MeasuringSlot(engine, container_id, attached)
        finally:
            if attached is not None:
                close_attached(attached)
            remove(engine, container_id)


@contextlib.contextmanager
def slot_locks(
    engine: Engine, spec: SandboxSpec, sets: Sequence[CoreSet], *, say: Callable[[str], None]
) -> Iterator[dict[str, MeasuringSlot]]:
    """Hold the machine's slot, and one for each core set on which something is measured meanwhile; gives them by CPU.

    Every runner takes the machine's first, whatever it measures with: so two never wait for each other's, and the gradings
    that measure side by side are always of one runner, with one plan of the machine's cores.

    Args:
        spec: of the sandboxes whose image and environment the holders have.
        sets: disjoint ones; none: the machine's slot alone.

    Raises:
        EngineFault, Interrupted: as `measurement_lock` does.
    """
    cpusets = dict.fromkeys((measurement_cpu(engine), *(one.measure for one in sets)))
    environment = engine_environment(spec.environment, spec.unset)
    with contextlib.ExitStack() as stack:
        yield {
            cpuset: stack.enter_context(
                measurement_lock(engine, spec.image_id, spec.python, cpuset, say=say, environment=environment)
            )
            for cpuset in cpusets
        }


@contextlib.contextmanager
def _machine_slot(engine: Engine, name: str, say: Callable[[str], None], stopped: Callable[[], bool]) -> Iterator[None]:
    """Hold the same slot on this machine, where the engine is here: two engines of one machine share its CPUs.

    It is a name of the kernel's among sockets, which nobody needs to be allowed, and which goes with its process.
    """
    if not (sys.platform == "linux" and engine.is_on_this_machine):
        yield
        return
    with socket.socket(socket.AF_UNIX) as held:
        keep_from_children(held)
        _wait_for(lambda: _bind_name(held, name), say, stopped)
        yield


def _bind_name(held: socket.socket, name: str) -> bool:
    try:
        held.bind(f"\0{name}")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def _wait_for(take: Callable[[], bool], say: Callable[[str], None], stopped: Callable[[], bool]) -> None:
    """Try again and again, and say now and then why nothing happens.

    Raises:
        Interrupted: we are stopping.
    """
    said = -SAY_EVERY_S
    while not stopped():
        if take():
            return
        if time.monotonic() - said >= SAY_EVERY_S:
            said = time.monotonic()
            say("waiting for the measuring slot: another grading holds it")
        time.sleep(POLL_S)
    raise Interrupted


def _body(image_id: str, python: str, environment: Sequence[str]) -> dict[str, Any]:
    return {
        "Image": image_id,
        "Entrypoint": [python, "-I", "-c", LOADER],
        "Cmd": [],
        "User": "65534:65534",
        "WorkingDir": "/",
        "Env": list(environment),
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {LABEL: "slot", HOLDER_LABEL: holder(), TOKEN_LABEL: secrets.token_hex(8)},
        "HostConfig": {
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": True,
            "Memory": 128 * 1024 * 1024,
            "PidsLimit": 16,
            "IpcMode": "private",
            "LogConfig": {"Type": "none", "Config": {}},
            "AutoRemove": True,
        },
    }


def _take_name(
    engine: Engine, body: dict[str, Any], name: str, say: Callable[[str], None], stopped: Callable[[], bool]
) -> str:
    made: list[str] = []

    def take() -> bool:
        with engine_errors("taking the measuring slot"):
            try:
                made.append(made_id(engine.client.api.create_container_from_config(body, name=name)))
            except docker.errors.APIError as error:
                if error.status_code != NAME_IN_USE:
                    raise EngineFault(
                        cause=f"the measuring slot cannot be made: {error.explanation}",
                        hint="run `python -m runner doctor`",
                    ) from error
                _remove_dead_holder(engine, name, body["Labels"])
        return bool(made)

    try:
        _wait_for(take, say, stopped)
    except EngineFault:
        with contextlib.suppress(EngineFault):  # the engine may have made it, and lost its answer
            _remove_dead_holder(engine, name, body["Labels"])
        raise
    return made[0]


def _remove_dead_holder(engine: Engine, name: str, own: dict[str, str]) -> None:
    """Remove a holder that was created and never started, by the engine's own clock.

    Args:
        own: labels of the one that we would make.
    """
    with engine_errors("looking at the measuring slot"):
        try:
            found = engine.client.api.inspect_container(name)
        except docker.errors.NotFound:
            return
        if found["State"]["Status"] not in ("created", "exited", "dead"):
            return
        age_s = engine_seconds(engine.client.api.info()["SystemTime"]) - engine_seconds(found["Created"])
        labels = found["Config"].get("Labels") or {}
        is_own = labels.get(TOKEN_LABEL) == own[TOKEN_LABEL]  # and was never started: what is left of a lost answer
    if is_own or is_alive(str(labels.get(HOLDER_LABEL, ""))) is False or age_s > NEVER_STARTED_AFTER_S:
        remove(engine, found["Id"])


@contextlib.contextmanager
def exclude_cpu(engine: Engine, cpuset: str) -> Iterator[None]:
    """Keep every thread of this process off the measuring CPU, where the engine is this machine's and has others.

    Args:
        cpuset: it, or with several slots all CPUs of theirs.
    """
    before, measured = {thread: _affinity(thread) for thread in _threads()}, set(cpus_of(cpuset))
    others = set().union(*before.values()) - measured if engine.is_local else set()
    if not others:
        yield
        return
    try:
        for thread in before:
            _bind(thread, others)
        yield
    finally:
        for thread in _threads():
            _bind(thread, before.get(thread, others | measured))


def _threads() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:  # no Linux: nothing to keep off
        return []


def _affinity(thread: int) -> set[int]:
    try:
        return os.sched_getaffinity(thread)
    except OSError:
        return set()


def _bind(thread: int, cpus: set[int]) -> None:
    with contextlib.suppress(OSError):
        os.sched_setaffinity(thread, cpus)
