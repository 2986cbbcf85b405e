"""What a process that was killed left under the caches goes when the next one comes, and what a living one uses stays."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.faults import StoreFault
from runner.sandbox.leftovers import holder
from runner.sandbox.scratch import ABANDONED_S, KINDS, scratch_folder, sweep_scratch
from runner.settings import cache_folder

HOLDS = """
from runner.sandbox.scratch import scratch_folder
with scratch_folder("shares") as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("x")
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder()


@pytest.fixture
def other(project: Path, caches: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process, and the folder that it holds."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", HOLDS], cwd=project, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_a_folder_is_there_while_it_is_used_and_gone_at_the_end() -> None:
    with scratch_folder("builds") as folder:
        (folder / "context.tar").write_bytes(b"x")
        with scratch_folder("builds") as second:
            assert folder.is_dir() and second != folder
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["killed", "ended"])
def test_what_another_process_holds_stays_until_it_is_gone(other: tuple[subprocess.Popen[str], Path], end: str) -> None:
    process, folder = other
    with scratch_folder("shares"):
        assert (folder / "deep" / "file").is_file()
    if end == "killed":
        process.kill()
        process.wait()
        assert folder.is_dir()
        with scratch_folder("shares"):
            pass
    else:
        process.communicate("\n")
    assert not folder.exists()


@pytest.mark.parametrize("name", ["elsewhere00-12-34-abc", "tmpabcdef", "x", f"{holder().partition(':')[0]}-a-b-c"])
def test_of_what_nobody_can_say_whether_it_is_held_age_decides(caches: Path, name: str) -> None:
    folder = caches / "shares" / name
    folder.mkdir(parents=True)
    assert sweep_scratch("shares") == []
    assert sweep_scratch("shares", time.time() + 2 * ABANDONED_S) == [folder] and not folder.exists()


def test_what_is_no_folder_of_ours_is_left_alone(caches: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (caches / "shares").mkdir()
    (caches / "shares" / "link").symlink_to(tmp_path / "theirs")
    (caches / "shares" / "file").touch()
    assert sweep_scratch("shares", time.time() + 2 * ABANDONED_S) == []
    assert (tmp_path / "theirs").is_dir() and len(list((caches / "shares").iterdir())) == 2


def test_nothing_to_sweep_is_no_mistake() -> None:
    assert [sweep_scratch(kind) for kind in KINDS] == [[], []]


def test_a_folder_that_cannot_be_made_is_named(caches: Path) -> None:
    (caches / "shares").touch()
    with pytest.raises(StoreFault, match="cannot be made: File exists"), scratch_folder("shares"):
        pass
