"""Which processes PID 1 takes for alive and for stopped, tried on processes of this machine."""

import contextlib
import os
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from runner.sandbox.container import INSIDE
from tests.conftest import wait_until

# Programs of which a thread runs on, whatever becomes of the first one. Each says when it has come that far.
RUNS_ON = "import ctypes, threading, time\nlibc = ctypes.CDLL(None)\ndef run():\n    while True: pass\n"
FIRST_THREAD_ENDED = RUNS_ON + "threading.Thread(target=run).start(); print(flush=True); libc.syscall({exit}, 0)"
FIRST_THREAD_WAITS = (
    RUNS_ON
    + "threading.Thread(target=run).start(); print(flush=True)\nif libc.vfork() == 0: libc.sleep(300); libc._exit(0)"
)
EXIT = 60 if os.uname().machine == "x86_64" else 93  # the call that ends one thread (`asm/unistd_64.h`)


@pytest.fixture
def inner() -> dict[str, Any]:
    """The functions of `processes.py`."""
    names: dict[str, Any] = {}
    for part in ("frames.py", "processes.py"):
        exec(compile((INSIDE / part).read_text(), part, "exec"), names)
    return names


@contextlib.contextmanager
def running(program: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_who_ends_processes_faster_than_they_are_reaped_keeps_pid_1_from_nothing_else(inner: dict[str, Any]) -> None:
    """On many CPUs a clone that ends at once takes less time than its burial: there is always one more that has ended."""
    inner["os"] = types.SimpleNamespace(waitpid=lambda pid, options: (7, 0), WNOHANG=os.WNOHANG)
    inner["reap"]()
    assert 4096 < len(inner["DEAD"]) < 100_000  # more than a sandbox has at once


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "first"),
    [(FIRST_THREAD_ENDED.format(exit=EXIT), "Z"), (FIRST_THREAD_WAITS, "D")],
    ids=["ended", "waits"],
)
def test_a_process_is_at_work_as_long_as_one_of_its_threads_is(inner: dict[str, Any], program: str, first: str) -> None:
    with running(program) as pid:
        wait_until(lambda: inner["state_of"](f"/proc/{pid}")[0] == first)
        threads = dict(inner["others"]())[pid]
        assert [state for _, state in threads if state != "D"] == ["R"]
        os.kill(pid, signal.SIGSTOP)  # as to everybody: the thread that runs does not always hear of it
        inner["stop_thread"](pid, threads[-1][0])
        wait_until(lambda: not {thread for of, thread in inner["awake"]() if of == pid}, 5.0)
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: bool({thread for of, thread in inner["awake"]() if of == pid}), 5.0)


def test_one_that_has_ended_is_not_there_any_more_before_it_was_reaped(inner: dict[str, Any]) -> None:
    process = subprocess.Popen(["true"])
    wait_until(lambda: inner["state_of"](f"/proc/{process.pid}")[0] == "Z")
    assert process.pid not in dict(inner["others"]())
    assert process.wait() == 0
    assert inner["state_of"](f"/proc/{process.pid}") == (inner["GONE"], 1)
