"""A problem.py is a module like any other, and nothing that it does reaches what it was not asked for."""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from runner.faults import TaskFault
from runner.tasks.authoring import Case, Cases, Question
from runner.tasks.authors_code import of_author
from runner.tasks.problem import Problem, generate, load_problem
from runner.tasks.starter import write_starter
from runner.tasks.task import read_task

Run = Callable[..., CompletedProcess[str]]


def problem_with(folder: Path, *, before: str = "", after: str = "") -> Problem:
    if not folder.exists():
        write_starter(folder, "python")
    path = folder / "problem.py"
    path.write_text(f"{before}\n{path.read_text()}\n{after}\n")
    return load_problem(read_task(folder))


@pytest.mark.parametrize(
    "text",
    [
        "import dataclasses\n\n\n@dataclasses.dataclass\nclass _A:\n    x: int\n",
        "import pickle\n\n\nclass _A:\n    pass\n\n\npickle.dumps(_A())\n",
        "import sys\n\nassert sys.modules[__name__].__dict__ is globals()\n",
        "import typing\n\n\nclass _A:\n    x: 'Case'\n\n\ntyping.get_type_hints(_A)\n",
    ],
)
def test_what_works_in_a_module_works_in_a_problem(tmp_path: Path, text: str) -> None:
    problem_with(tmp_path / "task", before="from __future__ import annotations\n", after=text)


def test_two_tasks_of_one_name_are_two_modules(tmp_path: Path) -> None:
    first, second = (
        problem_with(tmp_path / number / "task", after=f"import sys\n_MINE = {number}\n\n\ndef agreement(a, b, order):\n"
                     "    return sys.modules[__name__]._MINE\n")
        for number in ("1", "2")
    )  # fmt: skip
    assert first.agreement is not None and second.agreement is not None
    order = np.arange(1)
    assert (first.agreement({}, {}, order), second.agreement({}, {}, order)) == (1, 2)


def test_a_change_within_a_second_is_seen_and_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "task"
    write_starter(folder, "python")
    path = folder / "problem.py"
    for radius in ("0.1", "0.2", "0.3"):
        text = path.read_text().splitlines()
        path.write_text("\n".join(f"RADIUS = {radius}" if line.startswith("RADIUS =") else line for line in text))
        task = read_task(folder)
        assert generate(load_problem(task), task, "small", 1).inputs["radius"] == float(radius)
    assert not list(folder.rglob("__pycache__"))


def test_a_problem_that_goes_elsewhere_leaves_the_paths_of_the_command_line_as_they_were(tmp_path: Path) -> None:
    here = Path.cwd()
    problem_with(tmp_path / "task", after="import os\n\nos.chdir('/')\n")
    assert Path.cwd() == here


STRICT = "import warnings\n\nimport numpy as np\n\nnp.seterr(all='raise')\nwarnings.simplefilter('error')\n"
STRICT_LATER = """
_made = make


def make(seed, sizes):
    np.seterr(all="raise")
    return _made(seed, sizes)
"""


@pytest.mark.parametrize("problem", [{"before": STRICT}, {"after": STRICT_LATER}])
def test_a_problem_that_takes_warnings_for_errors_does_so_for_itself_alone(
    tmp_path: Path, problem: dict[str, str]
) -> None:
    """An overflow in numbers that a guest chose would be an error of the runner's."""
    ways, filters = np.geterr(), list(warnings.filters)
    assert problem_with(tmp_path / "task", **problem).make(1, {"points": 20}).inputs
    assert (np.geterr(), list(warnings.filters)) == (ways, filters)


LOUD = """
import sys
print("at import")
_made = make


def make(seed, sizes):
    print("in make")
    sys.stdout.write("in make, too\\n")
    return _made(seed, sizes)
"""


@pytest.mark.slow
def test_what_a_problem_prints_is_not_among_the_json(plain_cli: Run, tmp_path: Path) -> None:
    problem_with(tmp_path / "task", after=LOUD)
    done = plain_cli("check", str(tmp_path / "task"), "--no-containers", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["ok"]
    assert all(said in done.stderr for said in ("at import", "in make\n", "in make, too"))


THREADS = """
import threading
from runner.report.output import unbreakable_output
from runner.tasks.authors_code import prints_aside

with unbreakable_output():
    with prints_aside(), prints_aside():
        print("aside")
        other = threading.Thread(target=print, args=("theirs",))
        other.start()
        other.join()
    print("mine")
"""


def test_only_the_thread_that_runs_code_of_others_prints_aside(project: Path) -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], cwd=project, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("theirs\nmine\n", "aside\n")


def test_outside_of_the_command_line_a_problem_prints_where_everybody_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    of_author(sys.stdout.write)("shown\n")
    assert capsys.readouterr().out == "shown\n"


def changes(given: object) -> None:
    """Whatever an author's function may do to what it gets."""
    for one in given if isinstance(given, tuple) else (given,):
        if isinstance(one, dict):
            for value in one.values():
                if isinstance(value, np.ndarray):
                    with pytest.raises(ValueError, match="read-only"):
                        value[...] = 0
            one.clear()
        elif isinstance(one, list):
            one.clear()
        elif isinstance(one, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                one[...] = 0


@pytest.mark.parametrize(
    "given",
    [
        Case({"a": np.ones(3)}, {"b": np.ones((2, 2))}),
        Question({"a.csv": b"1"}, {"b": np.ones(2)}),
        Cases([b"1", b"2"], [b"1", b"2"]),
        {"answer": np.ones(3)},
        np.ones(3),
        [b"1", b"2"],
    ],
)
def test_an_authors_function_cannot_change_what_the_next_one_gets(given: object) -> None:
    before = repr(given)
    of_author(changes)(given)
    assert repr(given) == before
    if isinstance(given, np.ndarray):
        given[0] = 2  # whoever made it still may


def test_a_score_that_writes_into_the_labels_is_the_tasks_fault(tmp_path: Path) -> None:
    text = "def rearrange(case, order):\n    case.hidden['counts'][:] = 0\n    return case\n"
    problem = problem_with(tmp_path / "task", after=text)
    case = problem.make(1, {"points": 20})
    labels = case.hidden["counts"].copy()
    assert problem.rearrange is not None
    with pytest.raises(ValueError, match="read-only"):
        problem.rearrange(case, np.arange(20))
    assert (case.hidden["counts"] == labels).all()


def test_a_file_that_cannot_be_run_leaves_no_half_of_a_module(tmp_path: Path) -> None:
    known = set(sys.modules)
    with pytest.raises(TaskFault, match="cannot be run"):
        problem_with(tmp_path / "task", after="raise SystemExit(0)")
    assert set(sys.modules) == known
