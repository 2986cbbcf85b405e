"""What needs a package that is not there says so, names the extra, and begins nothing."""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.faults import UsageFault
from runner.hosts.ray_cluster import import_ray

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(("command", "package"), [("mcp", "mcp"), ("serve", "websockets")])
def test_a_command_whose_extra_is_not_installed_names_it(
    in_process: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # whatever is installed here
    monkeypatch.chdir(tmp_path)
    done = in_process(command, "--task", "slow_nbody")
    assert done.returncode == 2 and done.stdout == "" and list(tmp_path.iterdir()) == []
    assert f"needs the package {package}" in done.stderr and f"runner[{command}]" in done.stderr


def test_several_hosts_without_ray_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("runner.hosts.ray_cluster.set_for_ray", lambda *, loopback: None)  # it sets the environment
    with pytest.raises(UsageFault) as fault:
        import_ray(loopback=True)
    assert "need the package ray" in fault.value.cause and "runner[ray]" in fault.value.hint
