"""Flags that other hosts would not get are refused, and a host's own reach its shares."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.cli import host as host_command
from runner.cli.hosts_flags import check_fits_hosts, check_hosts_own
from runner.faults import Fault, UsageFault
from runner.hosts.ray_cluster import check_address
from runner.settings import Settings
from tests.conftest import Run


@pytest.mark.parametrize("agent", ["model", "oracle"])
def test_a_wall_that_this_machine_does_without_is_not_asked_of_other_hosts(agent: str) -> None:
    with pytest.raises(UsageFault, match="--allow-unenforced has no meaning with --ray") as refused:
        check_fits_hosts(frozenset({"allow_unenforced"}), agent)
    assert "RUNNER_ALLOW_UNENFORCED" in refused.value.hint
    check_hosts_own(frozenset({"ray", "runtime", "task"}))


@pytest.mark.parametrize("command", [("calibrate",), ("grade", "x.py")])
def test_the_other_commands_on_several_hosts_refuse_it_too(
    in_process: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    flags = ("--task", "slow_nbody", "--ray", "127.0.0.1:1", "--allow-unenforced", "pages")
    (tmp_path / "x.py").write_text("x = 1\n")
    words = [str(tmp_path / word) if word == "x.py" else word for word in command]
    done = in_process(*words, *flags)
    assert done.returncode == 2 and "--allow-unenforced has no meaning with --ray" in done.stderr


def test_how_a_host_was_told_to_run_its_sandboxes_holds_for_its_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []

    def start(command: list[str], env: dict[str, str]) -> Any:
        started.append(env)
        return SimpleNamespace(wait=lambda: 0)

    monkeypatch.setattr("runner.cli.host.subprocess.Popen", start)
    engine: Any = SimpleNamespace(facts=SimpleNamespace(ncpu=1), url="tcp://elsewhere:1", own_cpus=frozenset())
    monkeypatch.setattr(host_command, "measurement_cpu", lambda engine: "0")
    host_command._join(engine, ["ray"], Settings(runtime="crun", allow_unenforced="pages"))
    host_command._join(engine, ["ray"], Settings(runtime="", allow_unenforced=""))
    assert (started[0]["RUNNER_RUNTIME"], started[0]["RUNNER_ALLOW_UNENFORCED"]) == ("crun", "pages")
    assert not {"RUNNER_RUNTIME", "RUNNER_ALLOW_UNENFORCED"} & started[1].keys()


@pytest.mark.parametrize(
    "address", ["a..b:6379", "x" * 70 + ":6379", "127.0.0.1:\u00b2", "127.0.0.1:99999", ":1", "here"]
)
def test_an_address_that_can_be_none_is_a_fault_with_a_hint(address: str) -> None:
    with pytest.raises(Fault) as refused:
        check_address(address, "token")
    assert refused.value.hint and "\n" not in refused.value.cause
