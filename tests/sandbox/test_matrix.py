"""The matrix of walls: what each runtime of an engine enforces."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.cli import doctor
from runner.cli.options import DoctorOptions
from runner.report.progress import Progress
from runner.sandbox.engine import Engine, _facts
from runner.sandbox.image import Image
from runner.sandbox.matrix import Column, runtimes_of, table, try_runtimes
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.walls import WALLS
from runner.settings import Settings
from tests.builders import ENGINE_INFO


def test_the_table_says_of_each_wall_and_runtime_whether_it_stands() -> None:
    lines = list(
        table([Column("runc", (), "", "the host's", 0.5, 0.3, 7), Column("none", tuple(WALLS), "no such program")])
    )
    cells = {line.split()[0]: line.split()[1:] for line in lines[1 : 1 + len(WALLS)]}
    assert cells == {wall: ["enforced", "-"] for wall in WALLS}
    assert lines[-1] == "none: no such program" and "0.50 s" in lines[1 + len(WALLS)]
    assert lines[3 + len(WALLS)].split() == ["Landlock", "7", "-"]
    assert any("calls" in line and "no" in line.split() for line in table([Column("x", ("calls",))]))


def test_every_wall_stands_here_with_the_default_runtime(cli: Callable[..., CompletedProcess[str]]) -> None:
    done = cli("doctor", "--walls", "--json")
    columns = {column["runtime"]: column for column in json.loads(done.stdout)}
    assert done.returncode == 0 and columns["runc"]["unenforced"] == [] and columns["runc"]["refused"] == ""


def test_what_the_engine_says_it_lacks_is_missing_whatever_a_container_shows(
    engine: Engine, nbody_spec: SandboxSpec
) -> None:
    facts = dataclasses.replace(engine.facts, cpuset=False)
    (column,) = try_runtimes(dataclasses.replace(engine, facts=facts), nbody_spec, [runtimes_of(engine)[0]])
    assert column.unenforced == ("cpu",)


def test_a_wall_that_is_missing_and_a_runtime_that_fails_are_said(engine: Engine, nbody_spec: SandboxSpec) -> None:
    open_to_all = dataclasses.replace(nbody_spec, seccomp='{"defaultAction":"SCMP_ACT_ALLOW"}')
    plain, broken = try_runtimes(engine, open_to_all, [runtimes_of(engine)[0], "nonesuch"])
    assert plain.unenforced == ("calls",) and plain.call_ms is not None
    assert "nonesuch" in broken.refused and broken.start_s is None


@pytest.mark.parametrize(
    ("default", "asked", "column", "allowed", "status"),
    [
        ("runc", "", Column("runc", ()), "", 0),
        ("runc", "", Column("runc", ("cpu",)), "", 3),
        ("runc", "", Column("runc", ("cpu",)), "cpu", 0),
        ("runc", "nonesuch", Column("nonesuch", tuple(WALLS), "no such runtime"), "", 3),
        ("runc", "nonesuch", Column("nonesuch", tuple(WALLS), "no such runtime"), ",".join(WALLS), 3),
        ("io.containerd.runc.v2", "", Column("io.containerd.runc.v2", ("cpu",)), "", 3),
        ("", "", Column("", ("cpu",)), "", 3),
    ],
)
def test_the_matrix_is_green_only_where_the_runtime_of_a_job_was_looked_at(
    monkeypatch: pytest.MonkeyPatch, default: str, asked: str, column: Column, allowed: str, status: int
) -> None:
    def tried(engine: Engine, spec: SandboxSpec, runtimes: Sequence[str]) -> Iterator[Column]:
        return (column if runtime == column.runtime else Column(runtime, ()) for runtime in runtimes)

    monkeypatch.setattr(doctor, "try_runtimes", tried)
    monkeypatch.setattr(doctor, "resolve_image", lambda *_, **__: Image("sha256:0", "base", "python3", {}))
    info = {**ENGINE_INFO, "Runtimes": {"runc": {}, "io.containerd.runc.v2": {}}, "DefaultRuntime": default}
    client: Any = None
    engine = Engine("unix:///x", client, _facts(info, {}))
    settings = Settings(runtime=asked, allow_unenforced=allowed)
    with Progress(quiet=True) as progress:
        assert doctor._walls(engine, settings, DoctorOptions(), progress) == status
