"""Commands and files of a sandbox for other programs: what comes back is the command's, whatever it does."""

import errno
import threading
import time

import pytest

from runner.sandbox.container import GuestExit, Sandbox
from runner.sandbox.execute import Executed, Executor, Kind, new_name


@pytest.fixture
def executor(sandbox: Sandbox) -> Executor:
    return Executor(sandbox)


def ran(got: Executed | GuestExit) -> Executed:
    assert isinstance(got, Executed), got
    return got


def shell(executor: Executor, text: str, timeout_s: float | None = 60.0, **more: int) -> Executed:
    return ran(executor.run(["sh", "-c", text], timeout_s=timeout_s, **more))


def test_a_command_has_its_own_streams_input_folder_and_variables(executor: Executor) -> None:
    assert ran(executor.run(["cat"], given=b"\x00\xff'$HOME`\n")).out == b"\x00\xff'$HOME`\n"
    assert ran(executor.run(["sh", "-c", "pwd; echo $A >&2; exit 3"], cwd="/tmp", env={"A": "a b"})) == Executed(
        Kind.DONE, 3, b"/tmp\n", b"a b\n"
    )
    assert shell(executor, "kill -TERM $$").number == 143
    assert shell(executor, "ls -A").out.count(b".runner") == 0


def test_files_are_written_and_read_as_the_guest_may(executor: Executor) -> None:
    assert ran(executor.write("deep/er/a.bin", b"\xc3\x28\x00")).kind is Kind.DONE
    assert ran(executor.read("/workspace/deep/er/a.bin", 3)).out == b"\xc3\x28\x00"
    assert ran(executor.read("deep/er/a.bin", 2)).kind is Kind.TOO_LARGE
    for path, number in (("nothing", errno.ENOENT), ("/etc", errno.EISDIR), ("/dev/zero", errno.EINVAL)):
        assert ran(executor.read(path, 10)).number == number
    for path, number in (("/etc/passwd", errno.EROFS), ("/root/x", errno.EACCES), ("deep", errno.EISDIR)):
        got = ran(executor.write(path, b""))
        assert got.kind is Kind.FAILED and got.number in (number, errno.EROFS, errno.EACCES)


def test_what_the_kernel_does_not_start_is_refused_with_its_number(executor: Executor) -> None:
    assert ran(executor.run(["/etc/passwd"])).number == errno.EACCES
    assert ran(executor.run(["no-such-command"])).number == errno.ENOENT


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started_and_with_nothing_else(
    executor: Executor,
) -> None:
    assert shell(executor, "sleep 876 >/dev/null 2>&1 &").kind is Kind.DONE
    assert shell(executor, "setsid sleep 987 & (sleep 987 &) ; sleep 987", timeout_s=0.5).kind is Kind.TIMED_OUT
    left = shell(executor, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").out
    assert b"sleep 987" not in left and b"sleep 876" in left


def test_a_command_can_be_stopped_from_another_thread(executor: Executor) -> None:
    name, got = new_name(), []
    thread = threading.Thread(target=lambda: got.append(executor.run(["sleep", "600"], name=name)))
    thread.start()
    time.sleep(1)
    executor.stop(name)
    thread.join(60)
    assert ran(got[0]).kind is Kind.STOPPED
    assert shell(executor, "echo next").out == b"next\n"


def test_a_workspace_that_is_full_keeps_no_command_from_making_room_in_it(executor: Executor) -> None:
    full = shell(executor, "cat /dev/zero >big; i=0; while : >f$i; do i=$((i+1)); done")
    assert full.kind is Kind.DONE
    assert ran(executor.run(["cat"], given=b"text")).number == errno.ENOSPC
    assert shell(executor, "find . -type f -delete; echo gone").out == b"gone\n"
    assert ran(executor.run(["cat"], given=b"text")).out == b"text"


@pytest.mark.parametrize(
    "text",
    [
        "cat /dev/zero >big; sleep 600",
        "while :; do rm -f .runner-*; done",
        "kill -STOP $PPID; sleep 600",
        "chmod 0 .; sleep 600",
    ],
)
def test_no_command_keeps_itself_from_being_stopped(executor: Executor, text: str) -> None:
    name, got = new_name(), []
    thread = threading.Thread(target=lambda: got.append(executor.run(["sh", "-c", text], name=name)))
    thread.start()
    time.sleep(3)
    executor.stop(name)
    thread.join(20)
    assert ran(got[0]).kind in (Kind.STOPPED, Kind.TIMED_OUT)
    assert ran(executor.run(["chmod", "700", "/workspace"], cwd="/")).number == 0
    assert shell(executor, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 60[0]'").out == b"0\n"


def test_a_flood_is_cut_at_its_limit_and_ended(executor: Executor) -> None:
    got = shell(executor, "yes", output_bytes_max=10_000)
    assert got.kind is Kind.TOO_LARGE and got.out == b"y\n" * 5_000 + b"y"


@pytest.mark.parametrize(
    "text",
    [
        "kill -KILL $PPID",
        "kill -STOP $PPID; sleep 1; kill -KILL $PPID",
        "printf 'noise' > /proc/$PPID/fd/1; sleep 0.2",
        "head -c 60000 /dev/urandom > /proc/$PPID/fd/1",
    ],
)
def test_a_command_that_wrecks_what_started_it_tells_lies_of_itself_alone(executor: Executor, text: str) -> None:
    got = shell(executor, text, output_bytes_max=10_000)
    assert got.kind is Kind.DONE and len(got.out) <= 20_000
    assert shell(executor, "echo next").out == b"next\n"
