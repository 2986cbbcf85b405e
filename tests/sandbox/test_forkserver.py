"""What is done about what a guest left: in its folders, and with the kernel."""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox import wire
from runner.sandbox.container import HOST_GONE, INSIDE


def load_forkserver() -> types.ModuleType:
    """Its functions, with the imports of the texts that go before it."""
    inside = types.ModuleType("inside")
    inside.__dict__.update(ctypes=ctypes, errno=errno, os=os, struct=struct, sys=sys)
    for name in ("frames.py", "left.py", "forkserver.py"):
        text = (Path(wire.__file__).parent / "inside" / name).read_text(encoding="utf-8")
        exec(compile(text, name, "exec"), inside.__dict__)
    return inside


forkserver = load_forkserver()


@pytest.mark.slow
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


def test_flags_that_an_owner_sets_on_a_folder_are_taken_off() -> None:
    get_flags, set_flags, no_dump_no_atime = 0x80086601, 0x40086602, 0xC0
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # a tmpfs, as in a sandbox
        opened = os.open(folder, os.O_RDONLY)
        try:
            fcntl.ioctl(opened, set_flags, struct.pack("=q", no_dump_no_atime))
        except OSError:
            os.close(opened)
            pytest.skip("this kernel keeps no flags on a tmpfs")
        forkserver.mark_nothing(folder)
        found = struct.unpack("=q", fcntl.ioctl(opened, get_flags, bytes(8)))[0]
        os.close(opened)
    assert found == 0


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


def test_a_folder_of_another_user_keeps_no_time_of_a_guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(tmp_path, (1, 1))
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    forkserver.clear(str(tmp_path))
    assert min(tmp_path.stat().st_atime, tmp_path.stat().st_mtime) > 1


def test_the_times_of_devices_are_renewed_where_they_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[str] = []

    def utime(path: str) -> None:
        if path == "/dev/closed":
            raise PermissionError
        renewed.append(path)

    monkeypatch.setattr(os, "listdir", lambda path: ["closed", "null"])
    monkeypatch.setattr(os, "utime", utime)
    server = forkserver.ForkServer.__new__(forkserver.ForkServer)
    server.folders = server.held = server.room = []
    server.forget()
    assert renewed == ["/dev/null"]


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


# What a process may set on an open file that it has from its parent, and what it is set to. The file is a pipe's end.
MARKS = {
    "flags": "fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND | os.O_DIRECT | os.O_NONBLOCK)",
    "owner": "fcntl.fcntl(file, fcntl.F_SETOWN, os.getppid())",
    "signal": "fcntl.fcntl(file, 10, 40)",
    "lock": "fcntl.flock(file, fcntl.LOCK_EX)",
    "ranges": "[fcntl.fcntl(file, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, at, 1, 0)) for at in (3, 70, 1 << 40)]",
    "mode": "os.fchmod(file, 0o123)",
    "times": "os.utime(file, (1, 2))",
    "size": "fcntl.fcntl(file, 1031, 1 << 18)",
    "hint": "fcntl.fcntl(file, 1036, struct.pack('Q', 3))",
}


def seen_of(file: int) -> dict[str, object]:
    """What the next process would find on it, by the same file and by one that it opens anew."""
    anew = os.open(f"/proc/self/fd/{file}", os.O_WRONLY)
    about = os.fstat(file)
    try:
        fcntl.flock(anew, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = False
    except BlockingIOError:
        locked = True
    ranges = fcntl.fcntl(anew, 36, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
    os.close(anew)
    return {
        "flags": fcntl.fcntl(file, fcntl.F_GETFL),
        "owner": fcntl.fcntl(file, fcntl.F_GETOWN),
        "signal": fcntl.fcntl(file, 11),
        "lock": locked,
        "ranges": struct.unpack("hhqqi4x", ranges)[0] != fcntl.F_UNLCK,
        "mode": about.st_mode,
        "times": min(about.st_atime, about.st_mtime) < 10,
        "size": fcntl.fcntl(file, 1032),
        "hint": fcntl.fcntl(file, 1035, bytes(8)),
    }


@pytest.mark.parametrize("mark", MARKS)
def test_what_a_sample_sets_on_a_file_that_it_shares_with_pid_1_does_not_outlive_it(mark: str) -> None:
    reading, file = os.pipe()
    before, held = seen_of(file), forkserver.Held(file)
    script = f"import fcntl, os, struct, sys; file = {file}; {MARKS[mark]}"
    subprocess.run([sys.executable, "-c", script], pass_fds=[file], check=True)
    assert seen_of(file)[mark] != before[mark]
    held.restore()
    assert seen_of(file) == before
    os.close(reading)
    os.close(file)


def test_where_a_file_is_read_that_a_sample_shares_with_pid_1_does_not_outlive_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100))
    file = os.open(tmp_path / "file", os.O_RDONLY)
    os.lseek(file, 7, os.SEEK_SET)
    held = forkserver.Held(file)
    os.lseek(file, 90, os.SEEK_SET)
    held.restore()
    assert os.lseek(file, 0, os.SEEK_CUR) == 7
    os.close(file)


def test_every_file_is_known_that_a_sample_has_from_pid_1() -> None:
    reading, writing = os.pipe()
    numbers = {held.number for held in forkserver.all_held(but=reading)}
    assert writing in numbers and reading not in numbers
    assert not {number for number in range(64) if number != reading and is_open(number)} - numbers
    os.close(reading)
    os.close(writing)


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_samples_that_are_forked_do_not_draw_the_same_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    numpy.random.seed(1)
    first = numpy.random.random()
    numpy.random.seed(1)
    forkserver.draw_anew()
    assert numpy.random.random() != first


# A sample that ends


class Polls:
    """The host's side of the wire, as one poll after the other finds it: whether it has said something."""

    def __init__(self, *found: bool) -> None:
        self.found = list(found)

    def register(self, number: int, events: int) -> None:
        """There is one."""

    def __call__(self) -> "Polls":
        return self

    def poll(self, wait_ms: int | None) -> list[tuple[int, int]]:
        return [(0, 1)] if self.found.pop(0) else []


class Ended(Exception):
    """PID 1 has; with this status."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fork server whose sample has ended by SIGKILL; whoever is reaped is gone."""
    left = [(7, 9), (8, 0)]

    def reaped() -> Iterator[tuple[int, int]]:
        while left:
            yield left.pop()

    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr(forkserver, "reaped", reaped)
    monkeypatch.setattr(forkserver, "status_of", lambda status, kills: 100 + status, raising=False)
    monkeypatch.setattr(os, "_exit", end)
    made = forkserver.ForkServer.__new__(forkserver.ForkServer)
    made.wire, made.sample, made.kills, made.ended, made.commands = (
        types.SimpleNamespace(reading=0),
        7,
        None,
        None,
        None,
    )
    return made


def polls(monkeypatch: pytest.MonkeyPatch, *found: bool) -> None:
    monkeypatch.setattr(forkserver, "select", types.SimpleNamespace(poll=Polls(*found), POLLIN=1))


def test_a_samples_end_is_told_though_the_host_said_something_in_that_moment(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls(monkeypatch, False, True, True)
    server.wait()  # the host is to be read first
    polls(monkeypatch, False, False)
    with pytest.raises(Ended, match="109"):
        server.wait()


def test_the_end_of_a_sample_that_the_host_has_ended_is_no_end_of_pid_1(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls(monkeypatch, False, True, True)
    server.wait()
    monkeypatch.setattr(server, "end_processes", lambda: None)
    monkeypatch.setattr(server, "forget", lambda: True)
    server.wire.write = lambda *_: None
    server.do_end(1, {"token": ""}, b"")
    polls(monkeypatch, False, True)
    server.wait()


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


@pytest.mark.slow
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
