"""A new task is whole as it is written; what it is refused for is said; and a problem.py needs `runner.tasks` alone."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

import runner.tasks
from runner.cli.init import init
from runner.cli.options import InitOptions
from runner.faults import UsageFault
from runner.grading.answer_file import read_answer
from runner.settings import data_folder
from runner.tasks import generators, items_close, items_equal, starter
from runner.tasks.authoring import Answer, Case
from runner.tasks.kinds import case_name, of_bytes, stdin_of
from runner.tasks.problem import generate, load_problem
from runner.tasks.starter import kinds, starters_folder, task_name, write_starter
from runner.tasks.task import Task, read_task

Run = Callable[..., CompletedProcess[str]]
PROBLEMS = sorted([*data_folder("problem_data").glob("*/problem.py"), *starters_folder().glob("*/problem.py")])


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds())
def test_a_new_task_is_whole_and_its_solution_is_right(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "my first task"
    written = write_starter(folder, kind)
    task = read_task(folder)
    assert task.name == "my_first_task" and {"task.toml", "problem.py", "instruction.md"} <= set(written)
    problem, baseline, solution = load_problem(task), task.baseline, task.oracle
    assert solution is not None
    for scale in task.file.scales:
        case = generate(problem, task, scale, seed=7 if kind != "answer" else task.file.call.seed)
        assert problem.score(case, answer_of(task, scale, solution, case)).mean() == 1.0
        quality = problem.score(case, answer_of(task, scale, baseline, case)).mean()
        assert (quality == 1.0) if kind == "python" else (quality < (task.file.quality.minimum or 0.0))


@pytest.mark.parametrize("kind", kinds())
def test_a_new_task_is_its_authors_also_where_the_program_is_installed_read_only(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Path(shutil.copytree(starters_folder(), tmp_path / "installed"))
    for path in (*installed.rglob("*"), installed):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr(starter, "starters_folder", lambda: installed)
    write_starter(tmp_path / "task", kind)
    written = [*(tmp_path / "task").rglob("*"), tmp_path / "task"]
    assert written and all(path.stat().st_mode & 0o200 for path in written)


def answer_of(task: Task, scale: str, source: bytes, case: Case) -> Answer:
    """What one of the task's own files answers, here: they are ours."""
    if task.kind == "answer":
        read = read_answer(task.file.call.form, source, task.answer_arrays(scale), task.file.submission.max_bytes)
        assert not isinstance(read, str), read
        return read
    if task.kind == "program":
        ran = [
            subprocess.run([sys.executable, "-I", "-c", source], input=stdin, capture_output=True, check=True).stdout
            for stdin in stdin_of(case)
        ]
        return {case_name(number): of_bytes(out) for number, out in enumerate(ran, 1)}
    names: dict[str, Any] = {}
    exec(compile(source, "<ours>", "exec"), names)
    answer: Answer = names[task.file.call.entry](**case.inputs)
    return answer


def test_a_starter_of_another_kind_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageFault) as refused:
        write_starter(tmp_path / "x", "cobol")
    assert "no starter for tasks of kind 'cobol'" in refused.value.cause and "python" in refused.value.hint
    assert not (tmp_path / "x").exists()


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageFault, match="not empty"):
        write_starter(tmp_path, "python")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert "task.toml" in write_starter(tmp_path, "python")


@pytest.mark.parametrize(
    ("folder", "name"), [("a b", "a_b"), ("-x", "x"), ("größe", "gr_e"), ("a.b", "a_b"), ("x1-2", "x1-2")]
)
def test_a_tasks_name_follows_from_its_folders(folder: str, name: str) -> None:
    assert task_name(Path("/somewhere") / folder) == name


def test_a_folder_whose_name_gives_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="gives a task no name"):
        write_starter(tmp_path / "ö ü", "python")


def test_the_command_says_what_to_do_next_with_a_path_that_has_a_space(in_process: Run, tmp_path: Path) -> None:
    folder = tmp_path / "my task"
    done = in_process("init", str(folder))
    assert done.returncode == 0 and f"python -m runner check '{folder}'" in done.stdout
    assert in_process("init", str(folder)).returncode == 2


def test_the_command_says_what_to_do_next_with_a_path_that_looks_like_a_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert init(InitOptions(folder=Path("-mine"))) == 0
    assert (tmp_path / "-mine" / "task.toml").is_file() and "runner check ./-mine\n" in capsys.readouterr().out


def test_the_command_writes_json(in_process: Run, tmp_path: Path) -> None:
    done = in_process("init", str(tmp_path / "x"), "--json")
    said = json.loads(done.stdout)
    assert said["kind"] == "python" and "problem.py" in said["files"] and said["folder"] == str(tmp_path / "x")
    assert [command.split()[3] for command in said["next"]] == ["check", "--task"]


@pytest.mark.parametrize("path", PROBLEMS, ids=lambda path: path.parent.name)
def test_a_problem_needs_nothing_of_the_runner_but_its_documented_module(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert {name for name in plain if name.startswith("runner")} == set()
    ours = [n for n in nodes if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("runner")]
    assert {node.module for node in ours} == {"runner.tasks"}
    assert {alias.name for node in ours for alias in node.names} <= set(runner.tasks.__all__)


# Helpers


def test_generators_follow_from_the_seed_and_are_independent() -> None:
    first, second = ([g.random() for g in generators(5, 3)] for _ in range(2))
    assert first == second and len(set(first)) == 3
    assert [g.random() for g in generators(5, 2)] == first[:2]
    assert generators(6, 1)[0].random() != first[0]


def test_items_are_right_one_by_one() -> None:
    expected = np.array([[1, 2], [3, 4], [5, 6]])
    answer = np.array([[1, 2], [3, 9], [5, 6]])
    assert items_equal(answer, expected).tolist() == [1.0, 0.0, 1.0]
    assert items_equal(np.array([1, 2]), np.array([1, 3])).tolist() == [1.0, 0.0]


def test_items_are_close_by_their_largest_value_and_by_one_near_zero() -> None:
    expected = np.array([1e6, 0.0, 1.0])
    answer = np.array([1e6 + 0.9, 1e-6, 1.0 + 3e-6])
    assert items_close(answer, expected, relative=1e-6).tolist() == [1.0, 1.0, 0.0]
