"""A sample's PID 1 says by its status why it ended: the driver's two processes as they are, without a container."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox import cgroup, wire
from runner.sandbox.container import HOST_GONE, HOST_SHORT, MEMORY_BESIDE, MEMORY_KILLED, WORKER_KILLED

pytestmark = pytest.mark.slow

INSIDE = Path(wire.__file__).parent / "inside"
MAIN = """
import sys

def fence():
    pass

class Does(Driver):
    def serve(self):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it ends with its parent, as every process of a container with PID 1
        exec(sys.argv[1], globals())
        super().serve()

Driver = Does
divide(Wire(0, 1))
"""
# A file that holds every descriptor that it has, or can make anew, and never ends.
HOLDS_ALL = """
import os, time
held = []
for number in os.listdir("/proc/self/fd"):
    for way in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY):
        try:
            held.append(os.open("/proc/self/fd/" + number, way | os.O_NONBLOCK))
        except OSError:
            pass
def run():
    os.write(1, b"runs")
    while True:
        time.sleep(1)
"""


def program() -> str:
    """Frames and a driver that can profile, with a main of ours: the worker first does what the test says."""
    parts = ("frames.py", "driver.py", "profiler.py")
    return "\n".join([*((INSIDE / name).read_text(encoding="utf-8") for name in parts), MAIN])


@pytest.fixture
def start() -> Iterator[object]:
    started: list[subprocess.Popen[bytes]] = []

    def go(does: str, kills: Path = Path("/nowhere")) -> subprocess.Popen[bytes]:
        text = program().replace("/sys/fs/cgroup/memory.events", str(kills))
        text = text.replace("/sys/fs/cgroup", str(kills.parent))
        assert str(kills) in text
        command = [sys.executable, "-c", text, does]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return started[-1]

    yield go
    for process in started:
        process.kill()
        process.wait()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.stdout.close()


@pytest.mark.parametrize(
    ("does", "status"),
    [
        ("os._exit(0)", 0),
        ("os._exit(7)", 7),
        (f"os._exit({HOST_GONE})", 1),
        (f"os._exit({WORKER_KILLED})", 1),
        (f"os._exit({MEMORY_KILLED})", 1),
        (f"os._exit({MEMORY_BESIDE})", 1),
        (f"os._exit({HOST_SHORT})", 1),
        ("os._exit(137)", 1),
        ("os.kill(os.getpid(), 9)", WORKER_KILLED),
        ("signal.signal(11, signal.SIG_DFL); os.kill(os.getpid(), 11)", 128 + signal.SIGSEGV),
    ],
)
def test_the_workers_end_is_told_and_cannot_pass_for_the_hosts(start, does: str, status: int) -> None:  # type: ignore[no-untyped-def]
    assert start(does).wait(30) == status


@pytest.mark.parametrize("does", ["pass", "time.sleep(60)", "os.close(0); time.sleep(60)"])
def test_the_hosts_end_is_told_whatever_the_worker_does(start, does: str) -> None:  # type: ignore[no-untyped-def]
    process = start(does)
    time.sleep(0.3)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == HOST_GONE


def test_a_worker_that_ends_because_the_host_went_did_nothing_of_its_own(start) -> None:  # type: ignore[no-untyped-def]
    for _ in range(10):  # which of the two sees it first is the scheduler's
        process = start("pass")
        process.stdin.close()
        assert process.wait(30) == HOST_GONE


@pytest.mark.parametrize(
    ("does", "status"),
    [
        ("os.kill(os.getpid(), 9)", MEMORY_KILLED),
        ("os._exit(0)", MEMORY_BESIDE),
        ("os._exit(3)", MEMORY_BESIDE),
        ("signal.signal(11, signal.SIG_DFL); os.kill(os.getpid(), 11)", MEMORY_BESIDE),
    ],
)
def test_an_end_after_a_kill_for_memory_is_told_as_that_whatever_the_worker_makes_of_it(
    start,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    does: str,
    status: int,
) -> None:
    kills = tmp_path / "memory.events"  # what the kernel counts, in its form
    kills.write_text("oom 0\noom_kill 4\n")
    process = start(f"time.sleep(0.3)\nopen({str(kills)!r}, 'w').write('oom 1\\noom_kill 5\\n')\n{does}", kills)
    assert process.wait(30) == status


# What the kernel counts where it killed, by whose want of memory that was. Of the first kind, 100 is a sandbox's limit.
COUNTS = {
    "version 2, the host's": ({"memory.events": "oom 0\noom_kill 1\n", "memory.peak": "50"}, True),
    "version 2, its own": ({"memory.events": "oom 1\noom_kill 1\n", "memory.peak": "100"}, False),
    "version 2, a group's of the engine's with its limit": (
        {"memory.events": "oom 0\noom_kill 1\n", "memory.peak": "99"},
        False,
    ),
    "version 2, without a peak": ({"memory.events": "oom 0\noom_kill 1\n"}, False),
    "version 1, the host's": (
        {"memory/memory.oom_control": "under_oom 0\noom_kill 1\n", "memory/memory.max_usage_in_bytes": "50"},
        True,
    ),
    "version 1, its own": (
        {"memory/memory.oom_control": "under_oom 0\noom_kill 1\n", "memory/memory.max_usage_in_bytes": "100"},
        False,
    ),
    "version 1, its own with swap": (
        {
            "memory/memory.oom_control": "under_oom 0\noom_kill 1\n",
            "memory/memory.max_usage_in_bytes": "50",
            "memory/memory.memsw.max_usage_in_bytes": "100",
        },
        False,
    ),
}


@pytest.mark.parametrize("does", ["os.kill(os.getpid(), 9)", "os._exit(0)"])
@pytest.mark.parametrize("kind", COUNTS)
def test_a_kill_far_from_the_sandboxs_own_limit_is_told_as_the_hosts(
    start, tmp_path: Path, kind: str, does: str
) -> None:  # type: ignore[no-untyped-def]
    counts, is_hosts = COUNTS[kind]
    before = {name: text.replace("oom 1", "oom 0").replace("kill 1", "kill 0") for name, text in counts.items()}
    (tmp_path / "memory").mkdir()
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        (tmp_path / name).write_text("100")
    changes = [f"open({str(tmp_path / name)!r}, 'w').write({text!r})" for name, text in counts.items()]
    process = start("\n".join(["time.sleep(0.3)", *changes, does]), tmp_path / "memory.events")
    assert (process.wait(30) == HOST_SHORT) is is_hosts


@pytest.mark.parametrize("of", ["os.getpgid", "os.getsid"])
def test_what_a_sample_does_to_its_own_group_is_not_done_to_pid_1(start, of: str) -> None:  # type: ignore[no-untyped-def]
    assert start(f"os._exit(3 if {of}(os.getppid()) == {of}(0) else 0)").wait(30) == 0


def ask(process: subprocess.Popen[bytes], op: str, body: bytes = b"", **head: object) -> wire.Frame:
    """The answer to a request."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(wire.encode(wire.Frame(wire.Kind.REQUEST, 5, {"op": op, **head}, body)))
    process.stdin.flush()
    decoder, frames = wire.Decoder(1 << 20), list[wire.Frame]()
    while not frames:
        frames = list(decoder.feed(process.stdout.read1(1)))
    return frames[0]


def tries_all(folder: Path) -> str:
    """What the worker does first: its files are written in a folder of ours."""
    return f"WORKSPACE_FOLDER = {str(folder)!r} + '/'"


@pytest.mark.parametrize("op", ["go", "load", "profile"])
def test_a_file_that_holds_every_descriptor_that_it_can_does_not_outlive_the_host(
    start, tmp_path: Path, op: str
) -> None:  # type: ignore[no-untyped-def]
    process = start(tries_all(tmp_path))
    assert process.stdin is not None and process.stdout is not None
    asked = {"op": op, "file": "file.py", "entry": "run", "answer": []}
    process.stdin.write(wire.encode(wire.Frame(wire.Kind.REQUEST, 5, asked, HOLDS_ALL.encode())))
    process.stdin.flush()
    assert process.stdout.read1(4)  # it runs, or has been loaded
    process.stdin.close()
    assert process.wait(10) == HOST_GONE


def test_a_file_that_was_loaded_is_asked_on(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    process = start(tries_all(tmp_path))
    source = HOLDS_ALL + "class Net:\n    def forward(self): pass\n"
    assert ask(process, "load", source.encode(), file="file.py").kind is wire.Kind.ANSWER
    for _ in range(2):
        answer = ask(process, "describe", bytes(300_000), components={"Net": ["forward"]}, entry="run")
        assert (answer.kind, answer.head) == (wire.Kind.ANSWER, {"present": {"Net": ["forward"]}})


def test_what_a_loaded_file_does_not_read_keeps_nobody_from_seeing_that_the_host_is_gone(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    process = start(tries_all(tmp_path))
    assert (
        ask(process, "load", b"def __getattr__(name):\n    while True: pass\n", file="file.py").kind is wire.Kind.ANSWER
    )
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), False)
    with pytest.raises(BlockingIOError):
        for _ in range(100):
            asked = {"op": "describe", "components": {"Net": []}, "entry": "run"}
            os.write(process.stdin.fileno(), wire.encode(wire.Frame(wire.Kind.REQUEST, 6, asked, bytes(60_000))))
            time.sleep(0.01)
    process.stdin.close()
    assert process.wait(10) == HOST_GONE


def test_the_statuses_inside_are_those_of_the_host() -> None:
    text = (INSIDE / "frames.py").read_text()
    assert f"HOST_GONE, WORKER_KILLED = {HOST_GONE}, {WORKER_KILLED}\n" in text
    assert f"MEMORY_KILLED, MEMORY_BESIDE = {MEMORY_KILLED}, {MEMORY_BESIDE}\n" in text
    assert f"HOST_SHORT = {HOST_SHORT}\n" in text


def test_what_is_near_a_memory_limit_is_so_inside_and_on_the_host() -> None:
    inside: dict[str, object] = {}
    exec((INSIDE / "frames.py").read_text(), inside)
    assert inside["NEAR_LIMIT_SHARE"] == cgroup.NEAR_LIMIT_SHARE
