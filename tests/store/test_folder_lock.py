"""A job's folder has one runner at a time, and the next one is told which."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.faults import UsageFault
from runner.store.folder_lock import NAME, FolderLock, is_held
from tests.conftest import wait_until

HOLD = "import sys, time; from pathlib import Path; from runner.store.folder_lock import FolderLock; \
lock = FolderLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"


def test_the_next_one_is_told_who_holds_it(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    assert is_held(tmp_path)
    with pytest.raises(UsageFault, match=rf"another runner works on .*: process {os.getpid()} on \S+, since 20"):
        FolderLock(tmp_path)
    lock.release()
    assert not is_held(tmp_path) and list(tmp_path.iterdir()) == []
    FolderLock(tmp_path).release()


def test_a_lock_taken_by_a_link_is_let_go_in_its_own_folder_where_the_link_has_moved(tmp_path: Path) -> None:
    first, second, latest = tmp_path / "first", tmp_path / "second", tmp_path / "latest"
    first.mkdir()
    second.mkdir()
    latest.symlink_to(first.name)
    by_link = FolderLock(latest)
    latest.unlink()
    latest.symlink_to(second.name)
    other = FolderLock(second)
    by_link.release()
    assert is_held(second) and list(first.iterdir()) == []
    other.release()


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path, project: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=project, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    with pytest.raises(UsageFault, match=f"process {holder.pid} on"):
        FolderLock(tmp_path)
    holder.kill()
    holder.communicate()
    wait_until(lambda: not is_held(tmp_path))
    FolderLock(tmp_path).release()


def test_a_child_that_an_agent_of_a_killed_holder_forked_holds_nothing(tmp_path: Path, project: Path) -> None:
    forks = HOLD.replace("print('held', flush=True)", "import os; print(os.fork(), flush=True)")
    holder = subprocess.Popen([sys.executable, "-c", forks, str(tmp_path)], cwd=project, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    child = max(int(holder.stdout.readline()), int(holder.stdout.readline()))
    holder.kill()
    holder.wait()
    try:
        wait_until(lambda: not is_held(tmp_path), 10)
    finally:
        os.kill(child, signal.SIGKILL)
        holder.communicate()


def test_of_many_at_once_one_holds_it_and_a_file_that_was_removed_is_nobodys(tmp_path: Path) -> None:
    def hold(_: int) -> bool:
        try:
            lock = FolderLock(tmp_path)
        except UsageFault:
            return False
        inside.append(1)
        assert len(inside) == 1
        inside.pop()
        lock.release()
        return True

    inside: list[int] = []
    with ThreadPoolExecutor(8) as pool:
        assert any(pool.map(hold, range(400)))
    assert not is_held(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff" * 9000])
def test_a_lock_that_does_not_say_who_holds_it_is_held_all_the_same(tmp_path: Path, content: bytes) -> None:
    lock = FolderLock(tmp_path)
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(UsageFault, match="its lock does not say which"):
        FolderLock(tmp_path)
    lock.release()


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="cannot be locked: No such file"):
        FolderLock(tmp_path / "nowhere")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_no_other_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / NAME).write_text("{}")
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert not is_held(tmp_path)
    with pytest.raises(UsageFault, match=f"cannot be locked: {os.strerror(number)}") as fault:
        FolderLock(tmp_path)
    assert "file system has locks" in fault.value.hint
