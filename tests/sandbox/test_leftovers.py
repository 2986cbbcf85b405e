"""What runners left behind is told from what a living one uses, by the label and the liveness of the holder."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.leftovers import Left, _left, holder, is_alive, leftovers, sweep
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import HOLDER_LABEL, LABEL, SandboxSpec
from runner.settings import Settings
from tests.conftest import containers_of, wait_until
from tests.fakes.docker_engine import FakeEngine
from tests.fakes.engine_proxy import EngineProxy

# What an engine may take to answer create, attach and start.
SLOW_START_S = 3 * Settings.model_fields["engine_timeout_s"].default
APART = "zunner"  # as long as LABEL, which it stands for
SAY = "from runner.sandbox.leftovers import holder; print(holder(), flush=True); input()"


@pytest.mark.slow
def test_a_holder_lives_until_it_ends_also_while_nobody_has_waited_for_it(project: Path) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", SAY], cwd=project, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    label = process.stdout.readline().strip()
    assert is_alive(label) is True and is_alive(holder()) is True
    process.kill()
    wait_until(lambda: is_alive(label) is False)
    process.communicate()
    assert is_alive(label) is False


def test_a_number_that_another_process_has_now_is_not_the_holder() -> None:
    machine = holder().partition(":")[0]
    assert is_alive(f"{machine}:{os.getpid()}:1") is False
    assert is_alive(f"{machine}:{2**22 + 1}:1") is False


@pytest.mark.slow
@pytest.mark.parametrize("refusal", [FileNotFoundError, PermissionError])  # as `hidepid=2` and `hidepid=1` refuse it
def test_a_holder_that_this_host_does_not_show_is_not_called_dead_while_it_lives(
    project: Path, monkeypatch: pytest.MonkeyPatch, refusal: type[OSError]
) -> None:
    holding = subprocess.Popen([sys.executable, "-c", SAY], cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holding.stdout is not None
    label, read = holding.stdout.readline().decode().strip(), Path.read_text

    def hidden(path: Path, *arguments: Any, **more: Any) -> str:
        if path == Path(f"/proc/{holding.pid}/stat"):
            raise refusal
        return read(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", hidden)
    assert is_alive(label) is None and _left(is_alive(label), "running", 3600.0) is Left.UNKNOWN
    holding.communicate(b"\n")
    assert is_alive(label) is False


@pytest.mark.parametrize("label", ["", "x", "::", "elsewhere:1:1", f"{holder().partition(':')[0]}:abc:1"])
def test_of_another_machines_holder_nothing_can_be_said(label: str) -> None:
    assert is_alive(label) is None


@pytest.mark.parametrize(
    ("alive", "status", "age_s", "left"),
    [
        (True, "created", 1e6, Left.HELD),
        (True, "exited", 1e6, Left.HELD),
        (False, "created", 0.0, Left.ORPHANED),
        (False, "running", 0.0, Left.ORPHANED),
        (None, "created", SLOW_START_S, Left.UNKNOWN),
        (None, "created", 1e6, Left.ORPHANED),
        (None, "exited", 1e6, Left.ORPHANED),
        (None, "running", 1e6, Left.UNKNOWN),
    ],
)
def test_a_container_is_removed_where_it_can_be_nobodys_work(
    alive: bool | None, status: str, age_s: float, left: Left
) -> None:
    assert _left(alive, status, age_s) is left


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "is_removed"),
    [
        ({HOLDER_LABEL: f"{'0' * 12}:7:123"}, True),
        ({HOLDER_LABEL: f"{'0' * 12}:7:unknown"}, True),
        ({}, False),
        ({HOLDER_LABEL: ""}, False),
        ({HOLDER_LABEL: "somebody"}, False),
        ({f"{LABEL}.job": "another", f"{LABEL}.role": "slot"}, False),
    ],
)
def test_what_others_made_of_an_image_with_our_label_is_left_alone(
    tmp_path: Path, labels: dict[str, str], is_removed: bool
) -> None:
    with FakeEngine(tmp_path / "docker.sock") as fake:
        made = fake.create("theirs", {"Image": "theirs", "Labels": {LABEL: "github", **labels}})
        assert made is not None
        made.status, made.created = "exited", datetime(2020, 1, 1, tzinfo=UTC)
        assert sweep(find_engine(Settings(docker_host=fake.url))) == is_removed
        assert (made.id not in fake.containers) == is_removed


@pytest.mark.parametrize("machine", ["0" * 12, holder().partition(":")[0]], ids=["elsewhere", "here"])
def test_what_others_made_of_the_image_of_a_sandbox_is_left_alone(tmp_path: Path, machine: str) -> None:
    held_by = f"{machine}:999999999:1"
    labels = {LABEL: "agent", HOLDER_LABEL: held_by}
    with FakeEngine(tmp_path / "docker.sock") as fake:
        fake.image_labels = labels
        made = [
            fake.create(name, {"Image": "theirs", "Labels": said})
            for name, said in (("theirs", labels), ("ours", {**labels, HOLDER_LABEL: f"{held_by}0"}))
        ]
        for each in made:
            assert each is not None
            each.status, each.created = "exited", datetime(2020, 1, 1, tzinfo=UTC)
        assert sweep(find_engine(Settings(docker_host=fake.url))) == 1
        assert [each.name for each in fake.containers.values()] == ["theirs"]


@pytest.fixture
def apart(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """The engine's address for a program whose containers are those labelled APART: what runs beside is not looked at."""
    proxy = EngineProxy(tmp_path / "docker.sock", engine, f"%22{LABEL}%22".encode(), f"%22{APART}%22".encode())
    yield f"unix://{tmp_path}/docker.sock"
    proxy.cut()


def test_clean_removes_what_a_dead_runner_left_and_never_touches_a_living_job(
    cli_ungraded: Callable[..., CompletedProcess[str]], engine: Engine, nbody_spec: SandboxSpec, apart: str
) -> None:
    machine = holder().partition(":")[0]
    jobs = {name: f"{name}-{secrets.token_hex(4)}" for name in ("dead", "elsewhere", "living")}
    holders = {"dead": f"{machine}:{2**22 + 1}:1", "elsewhere": f"{'0' * 12}:1:1", "living": holder()}
    api = engine.client.api

    def create(name: str) -> str:
        labels = {APART: "sandbox", f"{LABEL}.job": jobs[name], f"{LABEL}.role": "agent", HOLDER_LABEL: holders[name]}
        body = {
            "Image": nbody_spec.image_id,
            "Entrypoint": ["sleep", "60"],
            "HostConfig": {"AutoRemove": True, "NetworkMode": "none"},
        }
        return str(api.create_container_from_config({**body, "Labels": labels})["Id"])

    never_started, *started = [create(name) for name in ("dead", "dead", "elsewhere", "living")]
    for each in started:
        api.start(each)
    said = cli_ungraded("clean", "--dry-run", "--json", env={"DOCKER_HOST": apart})
    found = {each["id"]: each["left"] for each in json.loads(said.stdout)}
    assert [found[each] for each in (never_started, *started)] == [
        Left.ORPHANED,
        Left.ORPHANED,
        Left.UNKNOWN,
        Left.HELD,
    ]
    assert len(containers_of(engine, jobs["dead"])) == 2, "a dry run removes nothing"
    done = cli_ungraded("clean", env={"DOCKER_HOST": apart})
    assert done.returncode == 0 and "its runner is gone" in done.stdout and jobs["dead"] in done.stdout
    assert [len(containers_of(engine, jobs[name])) for name in jobs] == [0, 1, 1]
    for each in started[1:]:
        api.remove_container(each, force=True)


def test_an_open_sandbox_is_held_and_stays(fleet: Fleet, nbody_spec: SandboxSpec) -> None:
    mine = f"{LABEL}.job={fleet.job}"
    with fleet.open(nbody_spec, "toolserver", role="agent", cpuset=all_cpus(fleet.engine)) as living:
        assert [(each.id, each.left) for each in leftovers(fleet.engine, mine)] == [(living.id, Left.HELD)]
        assert sweep(fleet.engine, mine) == 0
        assert living.ask({"op": "read", "path": "none", "bytes_max": 1}, deadline_s=10.0)
