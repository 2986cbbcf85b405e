"""The program as its users have it: the built wheel, in an empty environment, from an empty folder."""

import json
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.sandbox.engine import Engine
from tests.environment import clean_environment

pytestmark = pytest.mark.slow
# With the weights of numpy, scipy and scikit-learn on a slow line; two cores take 40 s.
INSTALL_S = 900
DATA = ("images", "problem_data")
Installed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel; fixtures of the module, so that pip sees the user's own proxy, index and cache."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(folder), str(project))
    (built,) = folder.glob("runner-*.whl")
    return built


@pytest.fixture(scope="module")
def program(engine: Engine, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`runner`, installed from the wheel into an environment that had nothing else.

    The engine keeps its tests in one part of the suite, where it is installed once. The job that measures there takes its
    turn by the measuring slot, as any other runner does.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    pip(str(folder / "bin" / "python"), "install", str(wheel))
    return folder / "bin" / "runner"


def pip(python: str, *arguments: str) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder with nothing in it, whose name has a space."""
    folder = tmp_path / "an empty folder"
    folder.mkdir()
    return folder


@pytest.fixture
def installed(program: Path, empty: Path, home: str) -> Installed:
    """Run `runner ...` in the empty folder, without anything of the checkout on its paths."""

    def run(*arguments: str, docker_host: str = "unix:///nowhere") -> subprocess.CompletedProcess[str]:
        environment = clean_environment(home, DOCKER_HOST=docker_host)
        return subprocess.run(
            [str(program), *arguments],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    return run


def test_it_holds_every_file_that_is_kept_of_the_program(wheel: Path, project: Path) -> None:
    """Types, prompts, what runs inside, the corpus, images and tasks; and nothing that Python compiled."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "runner", *DATA],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    kept = {f"runner/data/{name}" if name.split("/")[0] in DATA else name for name in listed.stdout.splitlines()}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert len(kept) > 400 and packed == kept


def test_it_says_its_version_and_leaves_nothing_behind(installed: Installed, empty: Path) -> None:
    done = installed("--version")
    assert (done.returncode, done.stdout) == (0, "runner 0.1.0\n")
    assert list(empty.iterdir()) == []


def test_it_knows_the_tasks_that_ship_with_it(installed: Installed, project: Path) -> None:
    done = installed("--task", "slow_nbdy")
    assert done.returncode == 2
    assert "python -m" not in done.stderr
    known = re.search("did you mean slow_nbody\\? known tasks: (.*)", done.stderr)
    assert known is not None and known[1].split(", ") == sorted(
        path.name for path in (project / "problem_data").iterdir()
    )


def test_the_doctor_finds_the_images_that_the_checkout_built(
    installed: Installed, engine: Engine, nbody_spec: object
) -> None:
    done = installed("doctor", "--json", docker_host=engine.url)
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert (checks["engine"]["mark"], checks["image base"]["mark"]) == ("ok", "ok"), checks


def test_a_task_of_ones_own_from_nothing_to_graded_runs(
    installed: Installed, engine: Engine, nbody_spec: object
) -> None:
    made = installed("init", "my task")
    assert made.returncode == 0 and "Next: runner check 'my task'" in made.stdout
    checked = installed("check", "my task", "--scale", "small", "--seeds", "3", "--json", docker_host=engine.url)
    remarks = json.loads(checked.stdout)["remarks"]
    assert len(remarks) > 20 and [remark for remark in remarks if remark["mark"] == "fault"] == []
    done = installed("--task", "my task", "--scale", "small", "--runs", "3", "--json", docker_host=engine.url)
    kinds = [run["outcome"] for run in json.loads(done.stdout)["runs"]]
    # a loaded host may leave the two that are measured open
    assert kinds[0] in ("passed", "inconclusive") and kinds[1] in ("too_slow", "inconclusive"), done.stderr
    assert kinds[2] == "no_submission"


def test_ten_runs_end_as_they_do_in_a_checkout_in_the_folder_that_they_were_started_in(
    installed: Installed, engine: Engine, empty: Path, nbody_spec: object
) -> None:
    job = ("--runs", "10", "--task", "slow_nbody", "--scale", "small", "--max-rounds", "1", "--name", "first")
    done = installed(*job, docker_host=engine.url)
    assert done.returncode == 5, done.stderr  # one round leaves what could pass inconclusive
    folder = empty / "output" / "first"
    kinds = [run["outcome"] for run in json.loads((folder / "results.json").read_text())["runs"]]
    assert len(kinds) == 10 and "infrastructure" not in kinds, kinds
    lines = done.stdout.splitlines()
    assert "Test Results:" in lines and lines[-2:] == [
        "Analysis: output/first/analysis.md", "Report: output/first/report.html",
    ]  # fmt: skip
    assert (folder / "analysis.md").is_file() and (folder / "report.html").is_file()
    assert [path.name for path in empty.iterdir()] == ["output"]
