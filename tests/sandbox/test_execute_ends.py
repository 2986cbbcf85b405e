"""What becomes of a file where the program that should read or write it did not answer, without a sandbox."""

import errno
import json
import subprocess
import sys
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


def test_a_command_that_ended_without_an_answer_has_a_status_still() -> None:
    got = executor({"exit_status": 137, "why": "memory"}).run(["true"])
    assert got == Executed(Kind.DONE, 137, err=b"killed for memory")


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
