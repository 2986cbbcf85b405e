"""Our environment for Harbor where Harbor's time is up; Harbor itself plays with it in tests/peers."""

import asyncio
import errno
import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from runner.sandbox.execute import Executed, Kind
from tests.conftest import wait_until

# module -> what the plug-ins take of it
HARBOR = {
    "harbor.constants": {"MAIN_SERVICE_NAME": "main"},
    "harbor.environments.base": {"BaseEnvironment": object, "ExecResult": SimpleNamespace},
    "harbor.environments.capabilities": {"EnvironmentCapabilities": dict, "EnvironmentResourceCapabilities": dict},
    "harbor.models.verifier.result": {"VerifierResult": SimpleNamespace},
    "harbor.verifier.base": {"BaseVerifier": object},
}
PLUGIN = "runner.bridges.harbor_plugin"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One of ours, without Harbor and without a container."""
    for name, content in HARBOR.items():
        steps = name.split(".")
        for end in range(1, len(steps) + 1):
            monkeypatch.setitem(sys.modules, ".".join(steps[:end]), ModuleType(".".join(steps[:end])))
        for key, value in content.items():
            setattr(sys.modules[name], key, value)
    monkeypatch.delitem(sys.modules, PLUGIN, raising=False)
    made = importlib.import_module(PLUGIN).RunnerEnvironment()
    made.task_env_config, made._merge_env = SimpleNamespace(workdir=None), lambda env: env or {}
    yield made
    sys.modules.pop(PLUGIN, None)


class OneAtATime:
    """An executor whose commands wait for each other, and whose `sleep` ends when it is stopped."""

    def __init__(self) -> None:
        self.turn, self.begun, self.stopped = threading.Lock(), threading.Event(), threading.Event()
        self.name = ""

    def run(
        self, argv: list[str], given: None, cwd: str, env: object, timeout: object, most: int, name: str
    ) -> Executed:
        with self.turn:
            if argv[-1] != "sleep":
                return Executed(Kind.DONE, out=b"done")
            self.name = name
            self.begun.set()
            assert self.stopped.wait(60)
            return Executed(Kind.STOPPED)

    def stop(self, name: str) -> None:
        assert name == self.name
        self.stopped.set()


def test_a_command_that_harbor_waits_for_no_more_is_ended_and_the_next_is_answered(environment: Any) -> None:
    environment._executor = executor = OneAtATime()

    async def play() -> str:
        agent = asyncio.create_task(environment.exec("sleep"))
        await asyncio.to_thread(executor.begun.wait)
        agent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await agent
        return str((await environment.exec("cat", timeout_sec=60)).stdout)

    assert asyncio.run(asyncio.wait_for(play(), 60)) == "done"


def test_a_container_that_harbor_waits_for_no_more_is_ended_as_soon_as_it_is_there(environment: Any) -> None:
    there, asked, ended = threading.Event(), threading.Event(), threading.Event()

    def opens() -> tuple[Any, Any]:
        asked.set()
        assert there.wait(60)
        return object(), ended.set

    environment._open = opens

    async def play() -> None:
        start = asyncio.create_task(environment.start(force_build=False))
        await asyncio.to_thread(asked.wait)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        there.set()
        await asyncio.to_thread(ended.wait, 60)

    asyncio.run(play())
    wait_until(ended.is_set)
    assert environment._executor is None


class Holding:
    """An executor whose container holds these files."""

    def __init__(self, names: list[bytes]) -> None:
        self.names = names

    def run(self, *_: Any) -> Executed:
        return Executed(Kind.DONE, out=b"".join(b"./" + name + b"\0" for name in self.names))

    def read(self, path: str, most: int) -> Executed:
        found = [name for name in self.names if f"/logs/{name.decode('utf-8', 'surrogateescape')}" == path]
        return Executed(Kind.DONE, out=found[0]) if found else Executed(Kind.FAILED, errno.ENOENT, err=b"not there")


def test_a_file_whose_name_is_no_text_keeps_no_other_from_coming_out(environment: Any, tmp_path: Path) -> None:
    """Any command can leave one."""
    environment._executor = Holding([b"a", b"\xff", b"deep/b\xc3", "ü".encode(), b"z"])
    asyncio.run(environment.download_dir("/logs", tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"a", "ü": "ü".encode(), "z": b"z"}
