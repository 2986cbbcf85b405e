"""What is done about what a guest left: in its folders, and with the kernel."""

import ctypes
import errno
import os
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest

from runner.sandbox import wire
from runner.sandbox.container import HOST_GONE, INSIDE


def load_forkserver() -> types.ModuleType:
    """Its functions, with the imports of the texts that go before it."""
    inside = types.ModuleType("inside")
    inside.__dict__.update(ctypes=ctypes, errno=errno, os=os, sys=sys)
    for name in ("frames.py", "left.py", "forkserver.py"):
        text = (Path(wire.__file__).parent / "inside" / name).read_text(encoding="utf-8")
        exec(compile(text, name, "exec"), inside.__dict__)
    return inside


forkserver = load_forkserver()


def test_a_folder_is_emptied_however_deep_it_is(tmp_path: Path) -> None:
    outside, top = tmp_path / "outside", tmp_path / "top"
    for folder in (outside, top):
        folder.mkdir()
    (outside / "kept").write_text("here")
    (top / "link").symlink_to(outside)
    (top / "closed").mkdir(mode=0)
    inner = os.open(top, os.O_RDONLY)
    for _ in range(3000):  # a path that no call would take
        os.mkdir("d" * 200, dir_fd=inner)
        inner, outer = os.open("d" * 200, os.O_RDONLY, dir_fd=inner), inner
        os.close(outer)
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=inner))
    os.close(inner)
    forkserver.empty(str(top))
    assert list(top.iterdir()) == []
    assert (outside / "kept").read_text() == "here"


def test_what_can_be_written_about_a_folder_is_undone(tmp_path: Path) -> None:
    os.setxattr(tmp_path, "user.mark", b"1")
    tmp_path.chmod(0o770)
    forkserver.mark_nothing(str(tmp_path))
    assert os.listxattr(tmp_path) == [] and tmp_path.stat().st_mode & 0o777 == 0o700


def test_folders_are_as_they_were_before_a_guest_wrote_about_them(tmp_path: Path) -> None:
    (tmp_path / "closed" / "inner").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    os.setxattr(tmp_path, "user.mark", b"1")
    os.utime(tmp_path, (1, 1))
    tmp_path.chmod(0)
    forkserver.clear(str(tmp_path))
    found = tmp_path.stat()
    assert os.listxattr(tmp_path) == list(tmp_path.iterdir()) == [] and found.st_mode & 0o777 == 0o700
    assert min(found.st_atime, found.st_mtime) > 1


@pytest.mark.parametrize(
    ("kind", "made"),
    [("shm", "shmget(0, 4096, 0o600)"), ("sem", "semget(0, 1, 0o600)"), ("msg", "msgget(0, 0o600)")],
)
def test_what_outlives_every_process_is_found_and_removed(kind: str, made: str) -> None:
    script = f"import ctypes; print(ctypes.CDLL(None).{made})"
    number = int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
    assert number >= 0 and (kind, number) in forkserver.system_v()
    forkserver.remove_system_v([(kind, number)])
    assert (kind, number) not in forkserver.system_v()


def test_a_connection_that_has_ended_is_seen_still() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
        server.accept()[0].close()
    assert forkserver.connections() > 0


def test_samples_that_are_forked_do_not_draw_the_same_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    numpy.random.seed(1)
    first = numpy.random.random()
    numpy.random.seed(1)
    forkserver.draw_anew()
    assert numpy.random.random() != first


# What is handed on to a sample

HANDS_ON = """
import os, sys
for name in ("frames.py", "left.py", "forkserver.py"):
    exec(compile(open(os.path.join(sys.argv[1], name)).read(), name, "exec"))
server = ForkServer(Wire(0, 1))
never_read, writing = os.pipe()
server.sample, server.commands = 1, Handing(writing, 0)
print("handing on", flush=True)
server.do_probe(1, {}, bytes(1 << 20))
"""


def test_a_sample_that_reads_nothing_does_not_keep_pid_1_from_seeing_that_the_host_is_gone() -> None:
    command = [sys.executable, "-c", HANDS_ON, str(INSIDE)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == b"handing on\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.stdin.close()
    try:
        assert process.wait(10) == HOST_GONE
    finally:
        process.kill()
        process.stdout.close()


def test_what_is_handed_on_comes_whole() -> None:
    inside: dict[str, object] = {}
    for name in ("frames.py", "left.py", "forkserver.py"):
        exec(compile((INSIDE / name).read_text(), name, "exec"), inside)
    (reading, writing), (host, held) = os.pipe(), os.pipe()
    body = os.urandom(1 << 20)
    pid = os.fork()
    if pid == 0:
        inside["Handing"](writing, host).write(1, 7, {"op": "go"}, body)  # type: ignore[operator]
        os._exit(0)
    os.close(writing)
    assert inside["Wire"](reading, -1).read() == (1, 7, {"op": "go"}, body)  # type: ignore[operator]
    assert os.waitpid(pid, 0)[1] == 0
    for end in (reading, host, held):
        os.close(end)
