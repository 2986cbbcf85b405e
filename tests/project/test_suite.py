"""The suite's own parts: what is red stays red, and what measures is known by its fixtures."""

import ast
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import resolve_image
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from tests.conftest import NOWHERE, wait_until
from tests.environment import clean_environment
from tests.suite import NO_TESTS, PARTS, containers_there, forget_imported, images_there, side_by_side, verdict


def ends_with(status: int, said: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; print({said!r}); sys.exit({status})"]


@pytest.mark.slow
@pytest.mark.parametrize("statuses", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 1, 0)])
def test_every_part_is_read_to_its_end_whichever_is_red(
    capfd: pytest.CaptureFixture[str], statuses: tuple[int, ...]
) -> None:
    commands = {name: ends_with(status, f"said by {name}") for name, status in zip("abc", statuses, strict=True)}
    assert side_by_side(commands) == list(statuses)
    said = capfd.readouterr().out.split("\n")
    assert [line for line in said if line] == ["said by a", "== b ==", "said by b", "== c ==", "said by c"]


@pytest.mark.parametrize("marks", [(False, False), (True, False), (True, True)])  # what measures needs the engine
def test_every_test_is_in_one_part(marks: tuple[bool, bool]) -> None:
    engine, measures = marks
    assert [eval(marker, {"engine": engine, "measures": measures}) for marker in PARTS.values()].count(True) == 1


@pytest.mark.parametrize(
    ("statuses", "chosen", "status"),
    [
        ((0, 0, 0), False, 0),
        ((0, 0, 1), False, 1),
        ((2, 0, 0), True, 1),
        ((NO_TESTS, 0, 0), False, 1),  # no test measures any more: the marker is lost
        ((NO_TESTS, 0, NO_TESTS), True, 0),
        ((NO_TESTS, NO_TESTS, NO_TESTS), True, 1),
        ((0, -9, 0), True, 1),
    ],
)
def test_the_suite_passes_only_where_every_part_does(statuses: tuple[int, ...], chosen: bool, status: int) -> None:
    assert verdict(statuses, chosen=chosen) == status


@pytest.mark.slow
def test_a_missing_engine_fails_the_suite(project: Path, home: str) -> None:
    needs_it = "tests/sandbox/test_engine.py::test_what_the_engine_says_becomes_a_fault_with_the_step"
    done = subprocess.run(
        [sys.executable, "-m", "tests.suite", "-q", "-p", "no:cacheprovider", needs_it],
        cwd=project, env=clean_environment(home, DOCKER_HOST=NOWHERE), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "1 error" in done.stdout and "there is no engine socket" in done.stdout


def test_what_tests_imported_is_removed_and_nothing_of_another_name(engine: Engine) -> None:
    api, ours, others = (
        engine.client.api,
        f"runner-harbor-{secrets.token_hex(4)}",
        f"runner-harbor-{secrets.token_hex(4)}",
    )
    image, named = resolve_image(engine, "base", Settings()).id, (f"{ours}:",)
    assert api.tag(image, ours, tag="before")
    before = images_there(engine, named)
    assert api.tag(image, ours, tag="since")
    assert api.tag(image, others, tag="since")
    try:
        forget_imported(engine, before, named)
        assert images_there(engine, (ours, others)) == {f"{ours}:before", f"{others}:since"}
    finally:
        forget_imported(engine, (), (ours, others))


def test_a_container_that_a_test_leaves_is_told(engine: Engine, nbody_spec: SandboxSpec) -> None:
    before, fleet = containers_there(engine), Fleet(engine, f"test-{secrets.token_hex(4)}")
    with fleet.open(nbody_spec, "toolserver", role="agent", cpuset="0") as sandbox:
        assert sandbox.id[:12] in containers_there(engine) - before
    wait_until(lambda: sandbox.id[:12] not in containers_there(engine), 60.0)


def test_people_and_the_gate_run_the_same_suite(project: Path) -> None:
    recipe = re.search(r"^test: .*\n\t(.*)$", (project / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None and recipe.group(1).endswith("-m tests.suite")
    assert "make test" in (project / ".ci" / "run").read_text().splitlines()
    for page in ("README.md", "CONTRIBUTING.md"):
        assert re.search(r"^make test +# everything", (project / page).read_text(), re.MULTILINE), page


# What a test can measure with, past the program.
MEASURES = {"measurement_cpu", "measurement_lock", "measurement_session", "grade_all", "grade_contents"}


def imported(module: Path) -> set[str]:
    """Names that a module imports from others."""
    nodes = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in nodes for alias in node.names}


@pytest.mark.slow
def test_whatever_grades_takes_its_cpu_from_the_fixture_that_marks_it(project: Path) -> None:
    modules = sorted((project / "tests").rglob("*.py"))
    assert [module.name for module in modules if MEASURES & imported(module)] == ["conftest.py", "test_lock.py"]
