"""The doctor: what it says of this host, and of hosts that are not fit; a hint beside each fault."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.faults import EngineUnreachable
from runner.sandbox import host_checks, install
from runner.sandbox.engine import Engine, EngineFacts
from runner.sandbox.host_checks import Check, examine
from runner.sandbox.install import ensure_engine
from runner.settings import Settings

EXPECTED = {
    "engine", "permissions", "version", "storage driver", "cgroup", "limits", "runtimes", "cpu pinning", "seccomp",
    "image base", "output's disk", "credentials",
}  # fmt: skip


def test_this_host_is_examined_in_full(cli: Callable[..., CompletedProcess[str]]) -> None:
    done = cli("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 0 and set(checks) >= EXPECTED
    assert {check["mark"] for check in checks.values()} <= {"ok", "warn"}


def test_no_engine_is_a_fault_with_its_mend(cli: Callable[..., CompletedProcess[str]], tmp_path: Path) -> None:
    done = cli("doctor", env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert done.returncode == 3
    assert "✗ engine: there is no engine socket" in done.stdout and "    → `" in done.stdout


@pytest.mark.parametrize(
    ("change", "name", "mark"),
    [
        ({"version": "19.03.15"}, "version", "fault"),
        ({"storage_driver": "vfs"}, "storage driver", "warn"),
        ({"memory_limit": False}, "memory limit", "fault"),
        ({"pids_limit": False}, "pids limit", "fault"),
        ({"cpuset": False}, "cpu pinning", "fault"),
        ({"ncpu": 1}, "cpu pinning", "warn"),
        ({"security": ()}, "seccomp", "warn"),
    ],
)
def test_what_is_not_fit_is_named_with_a_mend(engine: Engine, change: dict[str, object], name: str, mark: str) -> None:
    facts: EngineFacts = dataclasses.replace(engine.facts, **change)  # type: ignore[arg-type]
    checks = {check.name: check for check in host_checks._engine_checks(dataclasses.replace(engine, facts=facts))}
    assert checks[name].mark == mark and checks[name].hint


def test_every_check_that_is_not_fine_says_how_to_mend_it(engine: Engine) -> None:
    checks, found = examine(Settings())
    assert found is not None and all(check.hint for check in checks if check.mark != "ok")
    assert all(isinstance(check, Check) for check in checks)


# Installing


def test_without_root_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "can_install", lambda: False)
    monkeypatch.setattr(install, "find_engine", lambda settings: raise_unreachable())
    with pytest.raises(EngineUnreachable, match="nobody"):
        ensure_engine(Settings(docker_host=""), print, lambda question: True)


def test_an_installation_is_said_first_and_can_be_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(install, "can_install", lambda: True)
    monkeypatch.setattr(install, "find_engine", lambda settings: raise_unreachable())
    monkeypatch.setattr(install, "_run", lambda command: pytest.fail(f"ran {command}"))
    with pytest.raises(EngineUnreachable):
        ensure_engine(Settings(docker_host=""), said.append, lambda question: False)
    assert "installing and starting one (docker.io)" in said[0]


def raise_unreachable() -> Engine:
    raise EngineUnreachable(cause="nobody answers", hint="start one")
