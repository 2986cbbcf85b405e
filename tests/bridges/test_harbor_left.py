"""What is taken of what an agent of Harbor's left, and whose doing it is where nothing can be."""

from pathlib import Path

import pytest

from runner.bridges.harbor_left import take_left
from runner.faults import UsageFault
from runner.tasks.task import Task, read_task


@pytest.fixture
def task(project: Path) -> Task:
    return read_task(project / "problem_data" / "slow_nbody")


def test_a_file_is_taken_and_nothing_is_where_there_is_none_or_a_link(task: Task, tmp_path: Path) -> None:
    assert take_left(tmp_path / "nothing", task) is None
    (tmp_path / "mine.py").write_text("x = 1\n")
    assert take_left(tmp_path / "mine.py", task) == b"x = 1\n"
    (tmp_path / "link.py").symlink_to("mine.py")
    assert take_left(tmp_path / "link.py", task) is None


def test_a_folder_in_the_place_of_a_file_and_a_file_that_is_too_large_are_the_agents_doing(
    task: Task, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_bytes(b"#" * (task.submission_bytes_max + 1))
    assert "the task allows" in str(take_left(tmp_path / "mine.py", task))
    assert "is not a file" in str(take_left(tmp_path, task))


def test_a_disk_that_fails_is_not(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("x = 1\n")

    def fails(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(UsageFault, match="cannot be read: Input/output error"):
        take_left(tmp_path / "mine.py", task)
