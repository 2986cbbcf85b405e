"""The measuring slot: one grading at a time on a CPU, whichever process or machine asks."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from runner.faults import Interrupted
from runner.sandbox import lock
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.leftovers import sweep
from runner.sandbox.lock import exclude_cpu, lock_name, measurement_lock, slot_locks
from runner.sandbox.spec import HOLDER_LABEL, MIB, Placement, SandboxSpec, clean_environment, create_body
from runner.settings import Settings
from tests.conftest import wait_until
from tests.fakes.docker_engine import IMAGE_ID, FakeEngine

CPU = "77"  # no real grading measures there
# What an engine may take to answer create, attach and start.
SLOW_START_S = 3 * Settings.model_fields["engine_timeout_s"].default


def take(engine: Engine, spec: SandboxSpec, **more):  # type: ignore[no-untyped-def]
    return measurement_lock(engine, spec.image_id, spec.python, CPU, say=more.pop("say", print), **more)


def test_two_never_hold_it_at_the_same_time(engine: Engine, nbody_spec: SandboxSpec) -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def hold() -> None:
        nonlocal inside, most
        with take(engine, nbody_spec):
            with lock:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.2)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=hold) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, inside) == (1, 0)


def test_who_waits_is_told_and_can_be_stopped(engine: Engine, nbody_spec: SandboxSpec) -> None:
    said: list[str] = []
    with take(engine, nbody_spec):
        with pytest.raises(Interrupted):
            with take(engine, nbody_spec, say=said.append, stopped=lambda: bool(said)):
                pytest.fail("it was held already")
    assert said == ["waiting for the measuring slot: another grading holds it"]


def test_a_killed_holder_frees_it(engine: Engine, nbody_spec: SandboxSpec, project: Path) -> None:
    text = (
        "from runner.sandbox.engine import find_engine; from runner.settings import Settings;"
        "from runner.sandbox.lock import measurement_lock; import time\n"
        f"with measurement_lock(find_engine(Settings()), {nbody_spec.image_id!r}, 'python3', {CPU!r}, say=print):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", text], cwd=project, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    taken = threading.Event()

    def hold() -> None:
        with take(engine, nbody_spec):
            taken.set()

    threading.Thread(target=hold, daemon=True).start()
    assert taken.wait(10)
    wait_until(lambda: not engine.client.api.containers(all=True, filters={"name": lock_name(CPU)}))


def test_a_holder_that_died_before_its_start_is_removed(
    engine: Engine, nbody_spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"Image": nbody_spec.image_id, "Cmd": ["true"], "Labels": {"runner": "slot"}}
    engine.client.api.create_container_from_config(body, name=lock_name(CPU))
    monkeypatch.setattr(lock, "NEVER_STARTED_AFTER_S", 0.3)
    with take(engine, nbody_spec):
        pass


def test_sandboxes_that_were_never_started_are_swept(
    engine: Engine, nbody_spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.sandbox.leftovers.NEVER_STARTED_AFTER_S", -5.0)
    labels = (("runner", "sandbox"), ("runner.job", "swept"), (HOLDER_LABEL, "0123456789ab:1:1"))  # of another machine
    body = create_body(nbody_spec, Placement(1_000_001, "0", labels))
    engine.client.api.create_container_from_config(body)
    assert sweep(engine, "runner.job=swept") == 1
    assert engine.client.api.containers(all=True, filters={"label": "runner.job=swept"}) == []


def test_the_runner_keeps_off_the_measuring_cpu_and_comes_back(engine: Engine, measuring_cpu: str) -> None:
    before = os.sched_getaffinity(0)
    with exclude_cpu(engine, measuring_cpu):
        assert int(measuring_cpu) not in os.sched_getaffinity(0)
    assert os.sched_getaffinity(0) == before


def test_who_is_told_of_the_wait_is_not_the_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def closed(text: str) -> None:
        raise ValueError("closed file")

    monkeypatch.setattr(lock, "SAY_EVERY_S", 0.0)
    with FakeEngine(tmp_path / "docker.sock") as fake:
        held = fake.create(lock_name(CPU), {"Image": IMAGE_ID, "HostConfig": {}})
        assert held is not None
        held.status = "running"
        engine = find_engine(Settings(docker_host=fake.url))
        with pytest.raises(ValueError, match="closed file"), measurement_lock(engine, IMAGE_ID, "", CPU, say=closed):
            pass


@pytest.mark.slow
def test_gradings_side_by_side_in_one_process_leave_each_others_slot_alone(tmp_path: Path) -> None:
    with FakeEngine(tmp_path / "docker.sock") as fake:
        engine = find_engine(Settings(docker_host=fake.url))

        def take_name(stopped: Callable[[], bool]) -> str:
            return lock._take_name(engine, lock._body(IMAGE_ID, "python3", ()), lock_name(CPU), print, stopped)

        taken = take_name(lambda: False)  # and not started yet
        looks = iter((False, False, True))
        with pytest.raises(Interrupted):
            take_name(lambda: next(looks))
        assert list(fake.containers) == [taken]


@pytest.mark.parametrize(
    ("alive", "age_s", "stays"),
    [
        (True, SLOW_START_S, True),
        (None, SLOW_START_S, True),
        (False, 0.0, False),
        (None, 1e6, False),
        (True, 1e6, False),
    ],
)
def test_a_holder_is_not_taken_for_dead_while_its_engine_may_still_be_starting_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool | None, age_s: float, stays: bool
) -> None:
    monkeypatch.setattr(lock, "is_alive", lambda label: alive)
    with FakeEngine(tmp_path / "docker.sock") as fake:
        engine, bodies = find_engine(Settings(docker_host=fake.url)), [lock._body(IMAGE_ID, "", ()) for _ in range(2)]
        held = lock._take_name(engine, bodies[0], lock_name(CPU), print, lambda: False)
        fake.containers[held].created -= timedelta(seconds=age_s)
        lock._remove_dead_holder(engine, lock_name(CPU), bodies[1]["Labels"])
        assert (held in fake.containers) is stays


def test_its_holder_starts_in_the_environment_of_the_sandboxes_and_not_in_the_images(tmp_path: Path) -> None:
    environment, unset = clean_environment({"LD_LIBRARY_PATH": "/opt/lib", "PATH": "/opt/bin"}, {"MODE": "fast"})
    spec = SandboxSpec(
        IMAGE_ID, "python3", environment, unset, 1 << 30, cpus=1.0, pids=64, workspace_bytes=MIB, tmp_bytes=MIB
    )
    with FakeEngine(tmp_path / "docker.sock") as fake:
        with slot_locks(find_engine(Settings(docker_host=fake.url)), spec, [], say=print):
            (holder_of_slot,) = fake.containers.values()
    asked = create_body(spec, Placement(1_000_001, "0", ()))
    assert holder_of_slot.body["Env"] == asked["Env"] and "LD_LIBRARY_PATH" in asked["Env"]
