"""Finding the engine: each way that it can be missing has its own words and its own hint."""

import hashlib
import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.faults import EngineFault, EngineUnreachable
from runner.sandbox.engine import (
    Address,
    Engine,
    _facts,
    _own_cpus,
    _release,
    _unreachable,
    addresses,
    command_for_this_system,
    engine_errors,
    find_engine,
)
from runner.sandbox.lock import all_cpus
from runner.settings import Settings
from tests.builders import ENGINE_INFO
from tests.fakes.docker_engine import FakeEngine


def unreachable(settings: Settings) -> EngineUnreachable:
    with pytest.raises(EngineUnreachable) as caught:
        find_engine(settings)
    return caught.value


def test_no_socket_says_how_to_get_an_engine(tmp_path: Path) -> None:
    fault = unreachable(Settings(docker_host=f"unix://{tmp_path}/none.sock"))
    assert "there is no engine socket" in fault.cause and "DOCKER_HOST" in fault.cause
    assert fault.hint == command_for_this_system() and fault.exit_status == 3


def test_a_stale_socket_says_that_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as once:
        once.bind(str(path))
    fault = unreachable(Settings(docker_host=f"unix://{path}"))
    assert "connection refused" in fault.cause and "start the engine" in fault.hint


def test_no_permission_says_which_group() -> None:
    fault = _unreachable(Address("unix:///x", "the usual sockets", False, {}), PermissionError(13, "Permission denied"))
    assert "permission denied" in fault.cause and "usermod -aG docker" in fault.hint


def test_something_that_is_no_engine_is_no_engine(tmp_path: Path) -> None:
    fault = unreachable(Settings(docker_host="tcp://127.0.0.1:1"))
    assert "127.0.0.1:1" in fault.cause


@pytest.mark.parametrize(
    ("ncpu", "ours", "cpuset"),
    [
        (1, {0}, "0"),
        (2, {0, 1}, "0-1"),
        (2, {0}, "0"),
        (8, {1, 2, 3}, "1-3"),
        (8, {0, 2, 3}, "0,2,3"),
        (2, {6, 7}, "0-1"),  # an engine in a machine of its own
        (4, set(), "0-3"),
    ],
)
def test_sandboxes_run_on_the_cpus_that_this_process_was_given(ncpu: int, ours: set[int], cpuset: str) -> None:
    facts = replace(_facts(ENGINE_INFO, {}), ncpu=ncpu)
    assert all_cpus(Engine("unix:///x", None, facts, own_cpus=frozenset(ours))) == cpuset


def test_podman_is_known_by_the_parts_that_it_names() -> None:
    version = {"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]}
    assert _facts({**ENGINE_INFO, "ServerVersion": "4.3.1", "Runtimes": {"runc": {}}}, version).is_podman
    assert not _facts(ENGINE_INFO, {"Components": [{"Name": "Engine"}, {"Name": "containerd"}]}).is_podman


def test_another_machines_engine_has_no_cpus_of_ours() -> None:
    assert _own_cpus(Address("unix:///x", "", True, {})) == os.sched_getaffinity(0)
    assert _own_cpus(Address("tcp://there:2375", "", True, {})) == frozenset()


@pytest.mark.parametrize(
    ("kernel", "is_here"),
    [
        (os.uname().release, True),
        ("", True),
        ("5.15.0-an-other-machine", False),
        ("6.6.51-linuxkit", False),
    ],
)
def test_an_engine_of_another_machine_behind_a_socket_of_this_one_is_not_taken_for_this_ones(
    tmp_path: Path, kernel: str, is_here: bool
) -> None:
    class Told(FakeEngine):
        def info(self) -> dict[str, Any]:
            return {**super().info(), "KernelVersion": kernel}

    with Told(tmp_path / "docker.sock") as fake:
        engine = find_engine(Settings(docker_host=fake.url))
    assert engine.is_local is is_here and engine.is_on_this_machine is is_here
    assert bool(engine.own_cpus) is is_here
    assert engine.part().is_local is is_here


@pytest.mark.parametrize(
    ("of_kernel", "of_engine"),
    [("6.11", "6.11.0"), ("6.11-rc1", "6.11.0-rc1"), ("6.1.0-9", "6.1.0-9"), ("6.18.4-fc", "6.18.4-fc")],
)
def test_a_release_is_the_same_as_an_engine_writes_it(of_kernel: str, of_engine: str) -> None:
    assert _release(of_kernel) == _release(of_engine) == of_engine


def test_a_host_that_was_named_is_the_only_one_tried(tmp_path: Path) -> None:
    found = list(addresses(Settings(docker_host="unix:///named.sock")))
    assert [(address.url, address.named) for address in found] == [("unix:///named.sock", True)]


def test_a_context_that_does_not_exist_is_named() -> None:
    assert "'nowhere'" in unreachable(Settings(docker_host="", docker_context="nowhere")).cause


def test_a_docker_context_leads_to_its_engine(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"elsewhere").hexdigest()
    meta.mkdir(parents=True)
    about = {"Name": "elsewhere", "Metadata": {}, "Endpoints": {"docker": {"Host": engine.url, "SkipTLSVerify": False}}}
    (meta / "meta.json").write_text(json.dumps(about))
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    found = find_engine(Settings(docker_host="", docker_context="elsewhere"))
    assert found.found == "docker context elsewhere" and found.facts.ncpu == engine.facts.ncpu


def test_what_the_engine_says_becomes_a_fault_with_the_step(engine: Engine) -> None:
    with pytest.raises(EngineFault, match=r"looking at it: the engine says .*No such container"):
        with engine_errors("looking at it"):
            engine.client.api.inspect_container("no-such-container")
