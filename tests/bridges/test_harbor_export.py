"""What is exported to Harbor: the task's own files, and nothing that a link leads to."""

import shutil
import tomllib
from pathlib import Path

import pytest

from runner.bridges.harbor_export import export_task
from runner.tasks.task import read_task


@pytest.fixture
def task(project: Path, tmp_path: Path) -> Path:
    """A copy of a task whose solution is a folder."""
    return Path(shutil.copytree(project / "problem_data" / "hidden_expressions", tmp_path / "task"))


def test_a_folder_is_exported_as_a_solution_without_what_its_links_lead_to(task: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("hidden")
    read = read_task(task)
    solved = task / "solution" / read.file.submission.file
    (solved / "link").symlink_to(tmp_path / "secret" / "key")
    (solved / "folder").symlink_to(tmp_path / "secret")
    (task / "link").symlink_to(tmp_path / "secret" / "key")
    paths = export_task(read_task(task), "full", tmp_path / "out")
    assert any(path.startswith(f"solution/{solved.name}/") for path in paths) and "tests/task/task.toml" in paths
    assert not any((tmp_path / "out" / path).read_bytes() == b"hidden" for path in paths)


def test_a_name_without_a_letter_is_still_a_name(task: Path, tmp_path: Path) -> None:
    text = (task / "task.toml").read_text()
    (task / "task.toml").write_text(text.replace('name = "hidden_expressions"', 'name = "___"', 1))
    export_task(read_task(task), "full", tmp_path / "out")
    assert tomllib.loads((tmp_path / "out" / "task.toml").read_text())["task"]["name"] == "runner/task"
