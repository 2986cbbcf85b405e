"""The doctor: what it says of this host, and of hosts that are not fit; a hint beside each fault."""

import dataclasses
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.faults import EngineFault, EngineUnreachable, SandboxMismatch
from runner.sandbox import host_checks, install
from runner.sandbox.engine import Engine, EngineFacts, _facts
from runner.sandbox.host_checks import PIDS_MAX, Check, check_engine, check_limits, examine
from runner.sandbox.install import ensure_engine
from runner.settings import Settings
from tests.builders import ENGINE_INFO

EXPECTED = {
    "engine", "permissions", "version", "storage driver", "cgroup", "limits", "runtimes", "cpu pinning", "isolation",
    "image base", "output's disk", "credentials",
}  # fmt: skip


def test_this_host_is_examined_in_full(cli_ungraded: Callable[..., CompletedProcess[str]]) -> None:
    done = cli_ungraded("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 0 and set(checks) >= EXPECTED
    assert {check["mark"] for check in checks.values()} <= {"ok", "warn"}


def test_no_engine_is_a_fault_with_its_mend(cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path) -> None:
    done = cli_ungraded("doctor", env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert done.returncode == 3
    assert "✗ engine: there is no engine socket" in done.stdout and "    → `" in done.stdout


@pytest.mark.parametrize(
    ("change", "name", "mark"),
    [
        ({"version": "19.03.15"}, "version", "fault"),
        ({"storage_driver": "vfs"}, "storage driver", "warn"),
        ({"memory_limit": False}, "memory", "fault"),
        ({"pids_limit": False}, "processes", "fault"),
        ({"cpuset": False}, "cpu", "fault"),
        ({"ncpu": 1}, "cpu pinning", "warn"),
        ({"security": ()}, "calls", "fault"),
    ],
)
def test_what_is_not_fit_is_named_with_a_mend(engine: Engine, change: dict[str, object], name: str, mark: str) -> None:
    facts: EngineFacts = dataclasses.replace(engine.facts, **change)  # type: ignore[arg-type]
    changed = dataclasses.replace(engine, facts=facts)
    checks = {check.name: check for check in host_checks._engine_checks(changed, Settings())}
    assert checks[name].mark == mark and checks[name].hint


def test_every_check_that_is_not_fine_says_how_to_mend_it(engine: Engine) -> None:
    checks, found = examine(Settings())
    assert found is not None and all(check.hint for check in checks if check.mark != "ok")
    assert all(isinstance(check, Check) for check in checks)


FACTS = EngineFacts(
    version="28.0", api_version="1.48", os="", arch="amd64", kernel="6", storage_driver="overlay2", cgroup_version="2",
    ncpu=2, memory_bytes=1, runtimes=("crun", "runc"), security=("name=seccomp,profile=builtin", "name=rootless"), root="",
    cpuset=True, pids_limit=True, memory_limit=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "wall"),
    [
        ({"memory_limit": False}, "memory"),
        ({"pids_limit": False}, "processes"),
        ({"cpuset": False}, "cpu"),
        ({"security": ()}, "calls"),
    ],
)
def test_what_an_engine_cannot_enforce_ends_a_job_in_the_doctors_words_unless_it_is_allowed(
    change: dict[str, object], wall: str
) -> None:
    facts: EngineFacts = dataclasses.replace(FACTS, **change)  # type: ignore[arg-type]
    line = next(host_checks._walls(facts, ()))
    with pytest.raises(SandboxMismatch) as fault:
        check_engine(facts, Settings())
    assert (line.mark, fault.value.cause, fault.value.hint) == ("fault", line.seen, line.hint)
    assert f"--allow-unenforced {wall}" in line.hint
    assert check_engine(facts, Settings(allow_unenforced=f"{wall}, disk")) == tuple(sorted((wall, "disk")))
    assert next(host_checks._walls(facts, (wall,))).mark == "warn"


@pytest.mark.parametrize(
    ("unsaid", "wall"),
    [
        ("MemoryLimit", "memory"),
        ("SwapLimit", "memory"),
        ("PidsLimit", "processes"),
        ("CPUSet", "cpu"),
        ("CpuCfsPeriod", "cpu"),
        ("CpuCfsQuota", "cpu"),
    ],
)
def test_each_limit_that_the_engine_says_it_lacks_is_a_missing_wall(unsaid: str, wall: str) -> None:
    info = {**ENGINE_INFO, "SecurityOptions": ["name=seccomp,profile=default"]}
    assert _facts({**info, unsaid: True}, {}).unenforced == [] == _facts(info, {}).unenforced
    assert _facts({**info, unsaid: False}, {}).unenforced == [wall]


@pytest.mark.parametrize("change", [{"version": "19.03.15"}, {"version": "4.3.1", "is_podman": True}])
def test_an_engine_on_which_no_sandbox_comes_up_ends_a_job_in_the_doctors_words(change: dict[str, object]) -> None:
    facts: EngineFacts = dataclasses.replace(FACTS, **change)  # type: ignore[arg-type]
    line = host_checks._version(facts)
    with pytest.raises(EngineFault) as fault:
        check_engine(facts, Settings(allow_unenforced="calls,disk"))
    assert (line.mark, fault.value.cause, fault.value.hint) == ("fault", line.seen, line.hint)
    assert "Docker" in line.hint


def test_a_runtime_that_the_engine_does_not_have_is_told_before_anything_starts() -> None:
    with pytest.raises(EngineFault, match="no runtime 'nonesuch'; it has crun, runc"):
        check_engine(FACTS, Settings(runtime="nonesuch"))
    assert check_engine(FACTS, Settings(runtime="crun")) == ()


@pytest.mark.parametrize(
    ("memory_bytes", "cpus", "pids", "words"),
    [
        (2**30 + 1, 1.0, 64, "limits.memory is 1073741825, and the engine's machine has 1073741824"),
        (2**29, 2.5, 64, "limits.cpus is 2.5, and the engine's machine has 2"),
        (2**29, 1.0, PIDS_MAX + 1, "limits.pids is"),
    ],
)
def test_a_limit_above_the_hosts_is_told_before_anything_starts(
    memory_bytes: int, cpus: float, pids: int, words: str
) -> None:
    facts = dataclasses.replace(FACTS, memory_bytes=2**30)
    check_limits(facts, 2**30, 2.0, PIDS_MAX)
    with pytest.raises(EngineFault, match=words) as fault:
        check_limits(facts, memory_bytes, cpus, pids)
    assert "task.toml" in fault.value.hint and fault.value.exit_status == 3


def test_what_else_isolates_is_reported() -> None:
    assert host_checks._isolation(FACTS).seen == "rootless besides; without apparmor, userns"


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


def test_an_engines_folder_that_only_root_may_look_at_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(path: Path, **more: Any) -> os.stat_result:
        if path == root:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, **more)

    real, root = Path.stat, Path("/var/lib/docker/100000.100000")  # as an engine with user namespaces has it
    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(host_checks, "is_built", lambda *_: True)
    engine = Engine("unix:///x", None, dataclasses.replace(_facts(ENGINE_INFO, {}), root=str(root)))
    assert {check.mark for check in host_checks._image_checks(engine, Settings())} == {"ok"}
