"""What PID 1 of a container for tests sees to, tried here on folders of this machine: no guest's code runs."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.records.bundle import pack_files
from runner.sandbox.container import INSIDE
from runner.sandbox.fleet import PROGRAMS

Put = Callable[..., list[str]]
NOT_HERE = ("refuse.py", "walls.py", "fence.py")  # they make calls of a container


@pytest.fixture
def inner(tmp_path: Path) -> dict[str, Any]:
    """The program's functions, for a workspace and an image of this test's own."""
    texts = [(INSIDE / name).read_text() for name in PROGRAMS["tester"] if name not in NOT_HERE]
    names: dict[str, Any] = {}
    exec(compile("\n".join(texts).rpartition("serve_host(")[0], "tester", "exec"), names)
    for name, folder in (("WORKSPACE", tmp_path / "workspace"), ("PRISTINE", tmp_path / "image")):
        folder.mkdir()
        names[name] = str(folder)
    return names


@pytest.fixture
def image(tmp_path: Path, inner: dict[str, Any]) -> Path:
    return tmp_path / "image"


@pytest.fixture
def workspace(tmp_path: Path, inner: dict[str, Any]) -> Path:
    return tmp_path / "workspace"


def work(**files: str) -> bytes:
    return pack_files((path, text.encode(), False) for path, text in files.items())


STEERING = [
    "conftest.py", "sub/conftest.py", "pytest.ini", ".pytest.ini", "sitecustomize.py", "usercustomize.py", "evil.pth",
    ".local/lib/python3.11/site-packages/usercustomize.py", "pytest.py", "_pytest/__init__.py", "pluggy/__init__.py",
    "evil.dist-info/entry_points.txt", "evil.egg-info/entry_points.txt", "evil.DIST-INFO/entry_points.txt",
    "evil.Egg-Info/entry_points.txt", "sitecustomize/__init__.py", "usercustomize/__init__.py", "sitecustomize.so",
    "pytest.abi3.so", "_pytest.cpython-311-x86_64-linux-gnu.so", "pluggy.abi3.so",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("path", STEERING)
def test_what_a_python_or_pytest_takes_up_by_itself_is_not_taken_over(
    inner: dict[str, Any], workspace: Path, path: str
) -> None:
    dropped = inner["put_work"](work(**{f"app/{path}": "planted", "app/mine.py": "mine"}), ["app"], False)
    assert dropped == [f"app/{path}"]
    assert [found.name for found in workspace.rglob("*") if found.is_file()] == ["mine.py"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = '-p evil'"),
        ("tox.ini", "[pytest]\naddopts = -p evil"),
        ("setup.cfg", "[tool:pytest]\naddopts = -p evil"),
    ],
)
def test_settings_of_pytest_are_not_taken_over_and_other_settings_in_files_of_that_name_are(
    inner: dict[str, Any], workspace: Path, path: str, text: str
) -> None:
    content = work(**{f"app/one/{path}": text, f"app/two/{path}": "[build-system]"})
    assert inner["put_work"](content, ["app"], False) == [f"app/one/{path}"]
    assert [found.parent.name for found in workspace.rglob(path)] == ["two"]


@pytest.mark.slow
@pytest.mark.parametrize("has_parser", [True, False])
@pytest.mark.parametrize(
    ("text", "steers"),
    [
        ("[tool.pytest.ini_options]\naddopts = '-p evil'", True),
        ("[tool.pytest]\naddopts = ['-p', 'evil']", True),
        ("[tool]\npytest.ini_options.addopts = '-p evil'", True),
        ("[ tool . pytest . ini_options ]\naddopts = '-p evil'", True),
        ("[tool.'pytest'.ini_options]\naddopts = '-p evil'", True),
        ('["tool"."pytest"]\nini_options.addopts = "-p evil"', True),
        ('[tool."py\\u0074est"]\nini_options.addopts = "-p evil"', True),
        ("tool.pytest.ini_options.addopts = '-p evil'", True),
        ("tool = {black = {}, pytest = {ini_options = {addopts = '-p evil'}}}", True),
        ("[tool.poetry.dev-dependencies]\npytest = '^8'", False),
        ("[project]\nname = 'mine'\n[project.optional-dependencies]\ndev = ['pytest>=8']", False),
        ("[tool.black]\nexclude = '\\.venv'", False),
    ],
)
def test_settings_of_pytest_are_seen_in_every_spelling_of_toml_with_a_parser_for_it_and_without(
    inner: dict[str, Any], monkeypatch: pytest.MonkeyPatch, text: str, steers: bool, has_parser: bool
) -> None:
    if not has_parser:
        monkeypatch.setitem(sys.modules, "tomllib", None)  # as in a Python before 3.11
    dropped = inner["put_work"](work(**{"app/pyproject.toml": text}), ["app"], False)
    assert dropped == (["app/pyproject.toml"] if steers else [])


@pytest.mark.parametrize(
    "text", ["[tool.pytest.ini_options]\naddopts = ", "[tool.pytest]\na = " + 9999 * "[", "\0[tool.pytest]"]
)
def test_settings_that_are_no_toml_here_are_taken_for_what_they_look_like(inner: dict[str, Any], text: str) -> None:
    dropped = inner["put_work"](work(**{"app/pyproject.toml": text}), ["app"], False)
    assert dropped == ["app/pyproject.toml"]


def test_caches_are_left_behind_without_a_word(inner: dict[str, Any], workspace: Path) -> None:
    content = work(
        **{"app/__pycache__/a.cpython-311.pyc": "x", "app/b.pyc": "x", "app/.pytest_cache/v": "x", "app/a": "x"}
    )
    assert inner["put_work"](content, ["app"], False) == []
    assert [found.name for found in workspace.rglob("*") if found.is_file()] == ["a"]


@pytest.mark.parametrize("left", [{}, {"app/conftest.py": "planted"}, {"app/conftest.py": "own"}])
def test_what_steers_in_the_image_is_there_as_the_image_has_it_whatever_became_of_it(
    inner: dict[str, Any], image: Path, workspace: Path, left: dict[str, str]
) -> None:
    (image / "app").mkdir()
    (image / "app" / "conftest.py").write_text("own")
    (image / "app" / "removed.txt").write_text("the agent removed it")
    inner["put_work"](work(**left), ["app"], False)
    assert (workspace / "app" / "conftest.py").read_text() == "own"
    assert not (workspace / "app" / "removed.txt").exists()


def test_a_file_that_the_task_collects_by_its_name_is_taken_over_whatever_it_is(
    inner: dict[str, Any], workspace: Path
) -> None:
    assert inner["put_work"](work(**{"app/conftest.py": "asked for"}), ["app/conftest.py"], True) == []
    assert (workspace / "app" / "conftest.py").read_text() == "asked for"


@pytest.mark.parametrize("path", ["etc/passwd", "app2/x", ".logs/verifier/reward.json", ".bashrc"])
def test_what_the_task_does_not_collect_is_no_work(inner: dict[str, Any], path: str) -> None:
    with pytest.raises(inner["NotCollected"]):
        inner["put_work"](work(**{path: "1"}), ["app", ".logs/artifacts"], False)


def test_the_images_links_and_empty_folders_are_there_and_merged_work_lies_over_its_files(
    inner: dict[str, Any], image: Path, workspace: Path
) -> None:
    (image / "app" / "empty").mkdir(parents=True)
    (image / "app" / "data").write_text("data")
    (image / "app" / "link").symlink_to("data")
    inner["put_work"](work(**{"app/answer": "42"}), ["app/answer"], True)
    assert (workspace / "app" / "link").read_text() == "data" and (workspace / "app" / "empty").is_dir()
    assert (workspace / "app" / "answer").read_text() == "42"


def test_no_program_is_looked_for_in_a_folder_that_the_work_can_fill(
    inner: dict[str, Any], tmp_path: Path, workspace: Path
) -> None:
    (workspace / "bin").mkdir()
    (tmp_path / "app").symlink_to(workspace)
    inside = [f"{workspace}/bin", f"{tmp_path}/app/bin", f"{tmp_path}/app", "/tmp/bin", "", ".", "bin", "/dev/shm"]
    assert inner["without_work"](":".join(["/usr/bin", *inside, "/bin"])) == "/usr/bin:/bin"


def test_work_that_leaves_no_room_for_the_folder_of_logs_is_refused_with_a_reason(inner: dict[str, Any]) -> None:
    answers: list[tuple[Any, ...]] = []
    tester = object.__new__(inner["Tester"])
    tester.wire = SimpleNamespace(write=lambda *frame: answers.append(frame))
    content = work(**{".logs/artifacts": "a file where a folder is wanted"})
    tester.do_test(1, {"paths": ["app", ".logs/artifacts"], "merge": True}, content)
    ((_, sequence, said, reward),) = answers
    assert sequence == 1 and reward == b"" and "cannot be put there" in said["refused"]


# The reward


def test_the_reward_in_json_is_read_before_the_one_in_text(inner: dict[str, Any], workspace: Path) -> None:
    logs = inner["make_logs"]()
    folder = workspace / ".logs" / "verifier"
    (folder / "reward.txt").write_text("1")
    assert inner["read_rewards"](logs, 100) == [("reward.txt", b"1")]
    (folder / "reward.json").write_text('{"reward": 0}')
    assert inner["read_rewards"](logs, 100) == [("reward.json", b'{"reward": 0}'), ("reward.txt", b"1")]


def _linked(folder: Path) -> None:
    (folder / "other").write_text("1")
    (folder / "reward.json").symlink_to("other")


def _hard_linked(folder: Path) -> None:
    (folder / "other").write_text("1")
    (folder / "reward.txt").hardlink_to(folder / "other")


def _a_folder(folder: Path) -> None:
    (folder / "reward.txt").mkdir()


def _a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "reward.txt")


def _too_large(folder: Path) -> None:
    (folder / "reward.txt").write_text("1" + " " * 100)


def _moved(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    folder.symlink_to("moved")


def _another(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    folder.mkdir()
    (folder / "reward.txt").write_text("1")


def _for_good(folder: Path) -> None:
    (folder / "reward.json").write_text("1")
    (folder / "reward.json").chmod(0o444)


def _with_a_closed_door(folder: Path) -> None:
    (folder / "reward.json").write_text("1")
    folder.chmod(0o555)


def _a_second_that_is_none(folder: Path) -> None:
    (folder / "reward.json").write_text("1")
    (folder / "reward.txt").mkdir()


def _a_second_that_is_no_number(folder: Path) -> None:
    (folder / "reward.json").write_text("1")
    (folder / "reward.txt").write_text("\x01" * 60_000)


def _removed(folder: Path) -> None:
    folder.rmdir()


def _nothing(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (_linked, "is a link"), (_hard_linked, "not a regular file of one name"), (_a_folder, "not a regular file"),
        (_a_pipe, "not a regular file"), (_too_large, "more than 100 bytes"), (_moved, "a link, stands in the place"),
        (_another, "another folder"), (_removed, "is gone"), (_nothing, "neither reward.json nor reward.txt"),
        (_for_good, "could not have changed it"), (_with_a_closed_door, "the folder for the reward cannot be written"),
        (_a_second_that_is_none, "reward.txt is not a regular file"),
        (_a_second_that_is_no_number, "reward.txt has more than 1000 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_reward_of_the_scripts_is_said_and_not_read(
    inner: dict[str, Any], workspace: Path, forge: Callable[[Path], None], says: str
) -> None:
    logs = inner["make_logs"]()
    forge(workspace / ".logs" / "verifier")
    with pytest.raises(inner["NotCollected"], match=says):
        inner["read_rewards"](logs, 100)


@pytest.mark.parametrize(
    "room", [{"f_bavail": 0, "f_files": 0, "f_favail": 0}, {"f_bavail": 9, "f_files": 9, "f_favail": 0}]
)
def test_a_reward_is_not_read_where_the_script_had_no_room_to_write_its_own(
    inner: dict[str, Any], workspace: Path, monkeypatch: pytest.MonkeyPatch, room: dict[str, int]
) -> None:
    logs = inner["make_logs"]()
    (workspace / ".logs" / "verifier" / "reward.json").write_text("1")
    monkeypatch.setattr(os, "fstatvfs", lambda folder: SimpleNamespace(**room))
    with pytest.raises(inner["NotCollected"], match="the workspace is full"):
        inner["read_rewards"](logs, 100)


# Collecting


def test_of_a_workspace_only_the_paths_that_are_asked_for_are_collected(inner: dict[str, Any], workspace: Path) -> None:
    for path in (
        "app/a",
        "app/deep/b",
        "other",
        ".logs/artifacts/c",
        ".logs/verifier/reward.json",
        ".solution/solve.sh",
    ):
        (workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace / path).write_text(path)
    root = os.open(workspace, os.O_RDONLY)

    def names(*paths: str) -> list[bytes]:
        content = inner["collected"](root, paths, (".logs", ".solution"), 1000, 100)
        return [path for path, _, _ in inner["unbundled"](content)]

    assert names("app", "nothing", ".logs/artifacts") == [b"app/a", b"app/deep/b", b".logs/artifacts/c"]
    assert names(".") == [b"app/a", b"app/deep/b", b"other"]
    with pytest.raises(inner["BadBundle"], match="not a folder"):
        names("app/a/x")
    os.close(root)


def test_work_of_which_a_part_goes_while_it_is_collected_is_not_taken_for_whole(
    inner: dict[str, Any], workspace: Path
) -> None:
    (workspace / "app" / "deep").mkdir(parents=True)
    (workspace / "app" / "a").write_text("a")
    root = os.open(workspace, os.O_RDONLY)
    files = inner["files_at"](root, ["app"], ())
    assert next(files)[0] == b"app/a"
    (workspace / "app" / "deep").rmdir()
    with pytest.raises(FileNotFoundError):
        next(files)
    os.close(root)


@pytest.mark.parametrize("path", ["app", "app/link", "app/deep/x"])
def test_a_link_of_the_agents_is_refused_and_one_of_the_images_is_left_out(
    inner: dict[str, Any], image: Path, workspace: Path, path: str
) -> None:
    for top in (image, workspace):
        (top / "app").mkdir()
        (top / "app" / "link").symlink_to("/etc")
    root = os.open(workspace, os.O_RDONLY)
    assert inner["collected"](root, ["app"], (), 1000, 100) == pack_files(())
    (workspace / "app" / "deep").symlink_to("/etc")
    (workspace / "app" / "link").unlink()
    (workspace / "app" / "link").symlink_to("/etc/passwd")
    with pytest.raises(inner["BadBundle"], match="link"):
        inner["collected"](root, [path], (), 1000, 100)
    os.close(root)
