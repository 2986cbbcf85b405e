"""A sample's PID 1 says by its status why it ended: the driver's two processes as they are, without a container."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox import wire
from runner.sandbox.container import HOST_GONE, MEMORY_BESIDE, MEMORY_KILLED, WORKER_KILLED

pytestmark = pytest.mark.slow

INSIDE = Path(wire.__file__).parent / "inside"
MAIN = """
import sys
wire = Wire(0, 1)
worker = os.fork()
if worker:
    supervise(wire, worker)
exec(sys.argv[1])
work(wire)
"""


def program() -> str:
    """Frames and driver, with a main of ours: the worker first does what the test says."""
    texts = [(INSIDE / name).read_text(encoding="utf-8") for name in ("frames.py", "driver.py")]
    return texts[0] + texts[1].removesuffix("main()\n") + MAIN


@pytest.fixture
def start() -> Iterator[object]:
    started: list[subprocess.Popen[bytes]] = []

    def go(does: str, kills: Path = Path("/nowhere")) -> subprocess.Popen[bytes]:
        text = program().replace("/sys/fs/cgroup/memory/memory.oom_control", str(kills))
        assert str(kills) in text
        started.append(subprocess.Popen([sys.executable, "-c", text, does], stdin=subprocess.PIPE))
        return started[-1]

    yield go
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("does", "status"),
    [
        ("os._exit(0)", 0),
        ("os._exit(7)", 7),
        (f"os._exit({HOST_GONE})", 1),
        (f"os._exit({WORKER_KILLED})", 1),
        (f"os._exit({MEMORY_KILLED})", 1),
        (f"os._exit({MEMORY_BESIDE})", 1),
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


# What a sample runs once it is the guest's: 0 where it is alone with what it starts, 3 where PID 1 is in it, too.
SHARES = """
class Driver:
    def __init__(self, wire):
        pass

    def serve(self):
        server = os.getppid()
        os._exit(3 if {of}(server) == {of}(0) else 0)
"""


@pytest.mark.parametrize("of", ["os.getpgid", "os.getsid"])
def test_what_a_sample_does_to_its_own_group_is_not_done_to_pid_1(start, of: str) -> None:  # type: ignore[no-untyped-def]
    assert start(SHARES.format(of=of)).wait(30) == 0


def test_the_statuses_inside_are_those_of_the_host() -> None:
    text = (INSIDE / "frames.py").read_text()
    assert f"HOST_GONE, WORKER_KILLED = {HOST_GONE}, {WORKER_KILLED}\n" in text
    assert f"MEMORY_KILLED, MEMORY_BESIDE = {MEMORY_KILLED}, {MEMORY_BESIDE}\n" in text
