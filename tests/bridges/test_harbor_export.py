"""What is exported to Harbor: the task's own files, and nothing that a link leads to."""

import errno
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from runner.bridges.harbor_export import export_task
from runner.bridges.harbor_files import files_to_upload
from runner.faults import UsageFault
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


class Failing:
    """Writes some files of a folder, then no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException, count: int) -> None:
        self.write, self.error, self.left = Path.write_bytes, error, count
        monkeypatch.setattr(Path, "write_bytes", lambda path, content: self(path, content))

    def __call__(self, path: Path, content: bytes) -> int:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return self.write(path, content)


@pytest.mark.parametrize("count", [0, 5])
def test_an_export_that_cannot_be_written_leaves_nothing_and_can_be_made_again(
    task: Path, tmp_path: Path, count: int
) -> None:
    read = read_task(task)
    for error, seen in ((OSError(errno.ENOSPC, "no space"), UsageFault), (KeyboardInterrupt(), KeyboardInterrupt)):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(seen):
            Failing(patch, error, count)
            export_task(read, "full", tmp_path / "out")
        assert not (tmp_path / "out").exists()
    assert export_task(read, "full", tmp_path / "out")


def test_what_makes_a_task_of_an_exported_folder_is_written_last(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    write = Path.write_bytes

    def noted(path: Path, content: bytes) -> int:
        written.append(path)
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", noted)
    export_task(read_task(task), "full", tmp_path / "out")
    assert written[-1] == tmp_path / "out" / "task.toml"


def test_a_task_is_not_exported_into_itself(task: Path) -> None:
    with pytest.raises(UsageFault, match="the task's own folder"):
        export_task(read_task(task), "full", task / "out")
    assert not (task / "out").exists()


def test_a_solution_that_is_a_folder_takes_the_place_of_one_that_lies_there(task: Path, tmp_path: Path) -> None:
    read = read_task(task)
    export_task(read, "full", tmp_path / "out")
    script = (tmp_path / "out" / "solution" / "solve.sh").read_text()
    workspace, name = tmp_path / "workspace", read.file.submission.file
    (workspace / name).mkdir(parents=True)
    here = script.replace("/solution/", f"{tmp_path}/out/solution/").replace("/workspace/", f"{workspace}/")
    subprocess.run(["bash", "-c", here], check=True)
    solved = task / "solution" / name
    wanted = {path.relative_to(solved) for path in solved.rglob("*")}
    assert {path.relative_to(workspace / name) for path in (workspace / name).rglob("*")} == wanted


def test_what_a_link_leads_to_outside_of_a_folder_is_not_uploaded(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hidden")
    folder = tmp_path / "environment"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "own").write_text("x")
    (folder / "alias").symlink_to("inner/own")
    (folder / "out").symlink_to(tmp_path / "key")
    (folder / "up").symlink_to("..")
    (folder / "loop").symlink_to("loop")
    assert [name for name, _ in files_to_upload(folder)] == ["alias", "inner/own"]
