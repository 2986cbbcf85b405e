"""The matrix of walls: what each runtime of an engine enforces."""

import dataclasses
import json
from collections.abc import Callable
from subprocess import CompletedProcess

from runner.sandbox.engine import Engine
from runner.sandbox.matrix import Column, runtimes_of, table, try_runtimes
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.walls import WALLS


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
