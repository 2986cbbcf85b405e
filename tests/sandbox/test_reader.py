"""What is read of an image before a measurement: every regular file of its own file system that a sample may read."""

import os
import types
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox.container import INSIDE


@pytest.fixture(scope="module")
def reader() -> Any:
    """The program's functions, as a sandbox has them; `os` comes with its frames."""
    inside = types.ModuleType("inside")
    inside.__dict__["os"] = os
    text = (INSIDE / "reader.py").read_text(encoding="utf-8").removesuffix("\nmain()\n")
    exec(compile(text, "reader.py", "exec"), inside.__dict__)
    return inside


def test_regular_files_are_read_to_their_end_and_nothing_else_is(reader: Any, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "large").write_bytes(b"x" * 2500)
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("deep/large")
    (tmp_path / "loop").symlink_to(".")
    sizes = {path: reader.read_whole(path, bytearray(1000)) for path in reader.regular_files(str(tmp_path))}
    assert {os.path.relpath(path, tmp_path): size for path, size in sizes.items() if size} == {"deep/large": 2500}


@pytest.mark.parametrize(
    ("name", "mode", "hashed"),
    [
        ("python3", 0o755, True), ("libm.so.6", 0o644, True), ("os.py", 0o644, True), ("os.pyc", 0o644, True),
        ("a.pth", 0o644, True), ("python311.zip", 0o644, True), ("crt1.o", 0o644, True), ("libc_nonshared.a", 0o644, True),
        ("README", 0o644, False), ("table.npy", 0o644, False),
    ],
)  # fmt: skip
def test_all_that_runs_or_is_linked_into_what_runs_is_hashed(
    reader: Any, tmp_path: Path, name: str, mode: int, hashed: bool
) -> None:
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / name).chmod(mode)
    assert reader.is_run(str(tmp_path / name)) is hashed


def test_what_is_gone_or_a_folder_counts_as_nothing(reader: Any, tmp_path: Path) -> None:
    assert reader.read_whole(str(tmp_path / "missing"), bytearray(10)) == 0
    assert reader.read_whole(str(tmp_path), bytearray(10)) == 0


def test_another_file_system_is_not_entered(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[str] = []
    walk = os.walk

    def watched(top: str) -> Any:
        for here, folders, names in walk(top):
            yield here, folders, names
            entered.extend(folders)
            folders.clear()  # the first level says it

    monkeypatch.setattr(os, "walk", watched)
    list(reader.regular_files("/"))
    assert entered and "proc" not in entered and "sys" not in entered
