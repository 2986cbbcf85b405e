"""What becomes of a file where the program that should read or write it did not answer, without a sandbox."""

import errno
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.sandbox.container import INSIDE, Received
from runner.sandbox.execute import HEADER, Executed, Executor, Kind
from runner.sandbox.wire import Frame
from runner.sandbox.wire import Kind as FrameKind


def executor(head: dict[str, Any], body: bytes = b"") -> Executor:
    """One whose sandbox takes what is staged, and says this of each command."""

    def ask(asked: dict[str, Any], *_: Any, **__: Any) -> Received:
        said = ({"ok": True}, b"") if asked["op"] == "create" else ({"ok": True, **head}, body)
        return Received(Frame(FrameKind.REPLY, 1, *said), 0.0)

    return Executor(cast(Any, SimpleNamespace(ask=ask, spec=SimpleNamespace(python="python3"))))


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ({"exit_status": 137, "why": "memory"}, b""),
        ({"exit_status": 137, "why": "signal"}, b""),
        ({"exit_status": 1, "why": None}, b"Traceback: what is no answer"),
        ({"exit_status": 0, "why": None}, HEADER.pack(Kind.DONE, 0, 5, 0) + b"half"),
        ({"exit_status": 0, "why": None}, b""),
    ],
)
def test_a_file_is_neither_read_nor_written_where_the_program_for_it_said_nothing(
    head: dict[str, Any], body: bytes
) -> None:
    for got in (executor(head, body).read("a", 100), executor(head, body).write("a", b"content")):
        assert isinstance(got, Executed) and got.kind is Kind.FAILED and got.number == errno.EIO and got.err


def stubborn_sandbox(asked_of_it: list[dict[str, Any]]) -> Executor:
    """One that takes no file any more, and whose commands run until PID 1 ends them."""
    ended = threading.Event()

    def ask(asked: dict[str, Any], *_: Any, **__: Any) -> Received:
        asked_of_it.append(asked)
        if asked["op"] == "create":
            return Received(Frame(FrameKind.REPLY, 1, {"ok": False, "error": "No space left on device"}, b""), 0.0)
        if asked["op"] == "stop":
            ended.set()
            return Received(Frame(FrameKind.REPLY, 1, {"ok": True}, b""), 0.0)
        assert ended.wait(10)
        return Received(Frame(FrameKind.REPLY, 1, {"ok": True, "exit_status": None, "why": "timeout"}, b""), 0.0)

    return Executor(cast(Any, SimpleNamespace(ask=ask, spec=SimpleNamespace(python="python3"))))


@pytest.mark.slow
def test_a_command_that_does_not_let_itself_be_stopped_is_ended_by_pid_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.sandbox.execute.STOP_S", 0.2)
    asked: list[dict[str, Any]] = []
    got: list[Any] = []
    executor = stubborn_sandbox(asked)
    thread = threading.Thread(target=lambda: got.append(executor.run(["sleep", "600"], name="it")), daemon=True)
    thread.start()
    while not any(each["op"] == "bash" for each in asked):
        time.sleep(0.01)
    executor.stop("it")
    thread.join(5)
    assert got == [Executed(Kind.TIMED_OUT)]
    assert [each["name"] for each in asked if each["op"] == "stop"] == ["it"]


def test_a_command_that_was_stopped_while_it_waited_for_its_turn_is_not_begun() -> None:
    asked: list[dict[str, Any]] = []
    executor = stubborn_sandbox(asked)
    executor.stop("it")
    assert executor.run(["sleep", "600"], name="it") == Executed(Kind.STOPPED) and not asked


def test_a_command_that_ended_without_an_answer_has_a_status_still() -> None:
    got = executor({"exit_status": 137, "why": "memory"}).run(["true"])
    assert got == Executed(Kind.DONE, 137, err=b"killed for memory")


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        {"op": "read", "path": "a\0b", "offset": 0, "count": 10, "size_max": 10},
        {"op": "write", "path": "a\0b"},
        {"op": "write", "path": "\ud800"},
        {"op": "run", "argv": ["a\0b"], "cwd": "", "env": {}, "timeout_s": None, "output_bytes_max": 10},
        {"op": "run", "argv": ["true"], "cwd": "a\0b", "env": {}, "timeout_s": None, "output_bytes_max": 10},
        {"op": "run", "argv": ["true"], "cwd": "", "env": {"a=b": "c"}, "timeout_s": None, "output_bytes_max": 10},
        {"op": "run", "argv": ["\ud800"], "cwd": "", "env": {}, "timeout_s": None, "output_bytes_max": 10},
    ],
    ids=lambda asked: json.dumps(asked)[:60],
)
def test_what_no_call_of_the_kernel_takes_is_refused_as_the_kernel_would(tmp_path: Path, asked: dict[str, Any]) -> None:
    text = (INSIDE / "execute.py").read_text().replace('"/workspace"', repr(str(tmp_path)))
    (tmp_path / "name").write_text(json.dumps({**asked, "given": False}))
    done = subprocess.run([sys.executable, "-c", text, "name"], capture_output=True, check=False)
    assert len(done.stdout) >= HEADER.size, done.stderr
    kind, number, _, err_bytes = HEADER.unpack(done.stdout[: HEADER.size])
    assert (kind, number) == (Kind.FAILED, errno.EINVAL) and err_bytes


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 1_000, 10_000])
def test_what_a_command_is_asked_to_do_is_the_same_whether_it_fits_into_an_argument_or_not(
    tmp_path: Path, count: int
) -> None:
    """A short one needs no file: where there is no room for any, a command can still make some."""
    staged: list[str] = []

    def ask(asked: dict[str, Any], body: bytes, **_: Any) -> Received:
        if asked["op"] == "create":
            staged.append(asked["path"])
            (tmp_path / asked["path"]).write_bytes(body)
            return Received(Frame(FrameKind.REPLY, 1, {"ok": True}, b""), 0.0)
        done = subprocess.run(["bash", "-c", body.decode()], capture_output=True, check=True)
        return Received(Frame(FrameKind.REPLY, 1, {"ok": True, "exit_status": 0, "why": None}, done.stdout), 0.0)

    executor = Executor(cast(Any, SimpleNamespace(ask=ask, spec=SimpleNamespace(python=sys.executable))))
    executor._text = executor._text.replace('"/workspace"', repr(str(tmp_path)))
    odd = ["a'b\"c\n\\ \u00fc$x`"] * count
    got = executor.run([sys.executable, "-c", "import sys; print(sys.argv[1:])", *odd])
    assert got == Executed(Kind.DONE, out=f"{odd}\n".encode()) and bool(staged) == (count == 10_000)
    assert list(tmp_path.iterdir()) == []
