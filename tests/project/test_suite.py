"""The suite's own parts: what is red stays red, and what measures is known by its fixtures."""

import ast
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from runner.sandbox.engine import Engine
from runner.sandbox.image import resolve_image
from runner.settings import Settings
from tests.conftest import NOWHERE
from tests.environment import clean_environment
from tests.suite import IMPORTED, NO_TESTS, PARTS, forget_imported, side_by_side, things_there, verdict


def ends_with(status: int, said: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; print({said!r}); sys.exit({status})"]


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


def test_what_tests_imported_is_removed_and_what_else_they_left_is_told(engine: Engine) -> None:
    api, before = engine.client.api, things_there(engine)
    name = f"{IMPORTED}{secrets.token_hex(4)}"
    assert api.tag(resolve_image(engine, "base", Settings()).id, name, tag="of-a-test")
    volume = api.create_volume(name)["Name"]
    try:
        assert {f"{name}:of-a-test", f"volume {volume}"} <= things_there(engine)
        assert f"volume {volume}" in forget_imported(engine, before, name)  # others import beside this
        assert f"{name}:of-a-test" not in things_there(engine)
    finally:
        api.remove_volume(volume)


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


def test_whatever_grades_takes_its_cpu_from_the_fixture_that_marks_it(project: Path) -> None:
    modules = sorted((project / "tests").rglob("*.py"))
    assert [module.name for module in modules if MEASURES & imported(module)] == ["conftest.py", "test_lock.py"]
