"""The measuring slot: a lock that the engine holds, one for each set of CPUs set aside for measuring.

It is a container with a fixed name whose stdin the holder keeps open. The engine gives a name to one container only,
whichever process or machine asks; and a holder that dies, even by SIGKILL, closes its stream, so that the container ends
and the name is free. A container of that name that stays `created` for ten seconds belongs to a holder that died before
it could start it: anyone may remove it.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker

from runner.faults import EngineFault, Interrupted
from runner.sandbox.container import INSIDE, engine_seconds, remove
from runner.sandbox.engine import Engine, engine_errors
from runner.sandbox.spec import LABEL, LOADER

DEAD_AFTER_S = 10.0  # chosen: a holder that never started is taken for dead
POLL_S = 0.2  # chosen: small beside a round
SAY_EVERY_S = 15.0  # chosen: a person who waits hears why


def lock_name(cpuset: str) -> str:
    """The name that stands for measuring on these CPUs."""
    return f"{LABEL}-slot-cpu{cpuset.replace(',', '_')}"


def measurement_cpu(engine: Engine) -> str:
    """The CPU that gradings measure on: the engine's last one, farthest from where interrupts usually go."""
    return str(engine.facts.ncpu - 1)


def all_cpus(engine: Engine) -> str:
    """Every CPU of the engine."""
    return f"0-{engine.facts.ncpu - 1}" if engine.facts.ncpu > 1 else "0"


@contextlib.contextmanager
def measurement_lock(
    engine: Engine,
    image_id: str,
    python: str,
    cpuset: str,
    *,
    say: Callable[[str], None],
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Hold the slot of some CPUs; waits while another runner measures.

    Args:
        image_id: any image with Python in it; the holder runs nothing of its own.
        stopped: asked while waiting; True ends the wait with `Interrupted`.

    Raises:
        EngineFault: the engine does not answer.
        Interrupted: we are stopping.
    """
    container_id = _take_name(engine, _body(image_id, python), lock_name(cpuset), say, stopped)
    attached: Any = None
    try:
        with engine_errors("taking the measuring slot"):
            attached = engine.client.api.attach_socket(container_id, params={"stdin": 1, "stream": 1})
            engine.client.api.start(container_id)
        source = (INSIDE / "slotholder.py").read_bytes()
        getattr(attached, "_sock", attached).sendall(len(source).to_bytes(4, "big") + source)
        yield
    finally:
        if attached is not None:
            with contextlib.suppress(OSError):
                getattr(attached, "_sock", attached).close()
        remove(engine, container_id)


def _body(image_id: str, python: str) -> dict[str, Any]:
    return {
        "Image": image_id,
        "Entrypoint": [python, "-I", "-c", LOADER],
        "Cmd": [],
        "User": "65534:65534",
        "WorkingDir": "/",
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {LABEL: "slot"},
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
    said = -SAY_EVERY_S
    while not stopped():
        try:
            return str(engine.client.api.create_container_from_config(body, name=name)["Id"])
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise EngineFault(
                    cause=f"the measuring slot cannot be made: {error.explanation}",
                    hint="run `python -m runner doctor`",
                ) from error
        _remove_dead_holder(engine, name)
        if time.monotonic() - said >= SAY_EVERY_S:
            said = time.monotonic()
            say("waiting for the measuring slot: another grading holds it")
        time.sleep(POLL_S)
    raise Interrupted


def _remove_dead_holder(engine: Engine, name: str) -> None:
    """Remove a holder that was created and never started, by the engine's own clock."""
    with engine_errors("looking at the measuring slot"):
        try:
            holder = engine.client.api.inspect_container(name)
        except docker.errors.NotFound:
            return
        if holder["State"]["Status"] not in ("created", "exited", "dead"):
            return
        age_s = engine_seconds(engine.client.api.info()["SystemTime"]) - engine_seconds(holder["Created"])
    if age_s > DEAD_AFTER_S:
        remove(engine, holder["Id"])


@contextlib.contextmanager
def exclude_cpu(engine: Engine, cpuset: str) -> Iterator[None]:
    """Keep every thread of this process off the measuring CPU, where the engine is this machine's and has others."""
    before = {thread: _affinity(thread) for thread in _threads()}
    others = set().union(*before.values()) - {int(cpuset)} if engine.url.startswith("unix://") else set()
    if not others:
        yield
        return
    try:
        for thread in before:
            _bind(thread, others)
        yield
    finally:
        for thread in _threads():
            _bind(thread, before.get(thread, others | {int(cpuset)}))


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
