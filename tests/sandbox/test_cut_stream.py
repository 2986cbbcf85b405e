"""An end is the guest's where there is evidence of it: a stream that is cut on its way to the engine is the host's."""

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.episode.tools import run_tool
from runner.faults import SandboxLost
from runner.records.episode import ToolCall
from runner.sandbox.container import GuestExit, Sandbox
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from tests.conftest import containers_of, wait_until
from tests.fakes.engine_proxy import EngineProxy


@pytest.fixture
def proxy(engine: Engine, tmp_path: Path) -> Iterator[EngineProxy]:
    proxy = EngineProxy(tmp_path / "docker.sock", engine)
    yield proxy
    proxy.cut()


@pytest.fixture
def through(proxy: EngineProxy, tmp_path: Path, nbody_spec: SandboxSpec) -> Iterator[tuple[Sandbox, Fleet]]:
    """An episode's sandbox, with the proxy between it and us."""
    fleet = Fleet(find_engine(Settings(docker_host=f"unix://{tmp_path}/docker.sock")), secrets.token_hex(4))
    with fleet.open(nbody_spec, "toolserver", role="agent", cpuset=all_cpus(fleet.engine)) as sandbox:
        yield sandbox, fleet


def bash(sandbox: Sandbox, command: str) -> object:
    return run_tool(sandbox, ToolCall("1", "bash", {"command": command}), 1 << 20, 60.0)


def test_a_cut_in_the_middle_of_a_command_is_infrastructure(
    proxy: EngineProxy, through: tuple[Sandbox, Fleet], engine: Engine
) -> None:
    sandbox, fleet = through
    threading.Timer(1.0, proxy.cut_attached).start()
    with pytest.raises(
        SandboxLost, match=r"the stream of container .* was cut|the engine reports no end of it"
    ) as fault:
        bash(sandbox, "sleep 50")
    assert "connection to" in fault.value.hint
    wait_until(lambda: containers_of(engine, fleet.job) == [])


def test_what_the_kernel_ended_before_the_cut_does_not_make_it_the_guests(
    proxy: EngineProxy, through: tuple[Sandbox, Fleet]
) -> None:
    sandbox, _ = through
    assert not isinstance(
        bash(sandbox, "python3 -c 'x = bytearray(1 << 30); x[::4096] = b\"x\" * (1 << 18)'"), GuestExit
    )
    proxy.cut_attached()
    with pytest.raises(SandboxLost):
        bash(sandbox, "true")


@pytest.mark.parametrize("source", [b"while True: pass", b"import time; time.sleep(60)"])
def test_a_cut_while_a_sample_computes_is_not_its_failure(
    proxy: EngineProxy, engine: Engine, tmp_path: Path, nbody_spec: SandboxSpec, source: bytes
) -> None:
    fleet = Fleet(find_engine(Settings(docker_host=f"unix://{tmp_path}/docker.sock")), secrets.token_hex(4))
    with fleet.open(nbody_spec, "driver", role="candidate", cpuset=all_cpus(fleet.engine)) as sandbox:
        threading.Timer(1.0, proxy.cut_attached).start()
        with pytest.raises(SandboxLost, match=r"was cut|the engine reports no end of it"):
            sandbox.ask({"op": "load", "file": "a.py"}, source, deadline_s=60.0)
    wait_until(lambda: containers_of(engine, fleet.job) == [])
