"""How PID 1 of an agent's sandbox says that a command ended, without a sandbox."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from runner.sandbox.container import INSIDE
from runner.sandbox.fleet import PROGRAMS


@pytest.fixture
def inner() -> dict[str, Any]:
    """The program's definitions; here it kills nobody."""
    names: dict[str, Any] = {}
    text = "\n".join((INSIDE / name).read_text() for name in PROGRAMS["toolserver"])
    exec(compile(text.rpartition("main()")[0], "toolserver", "exec"), names)
    names["kill_everything"] = lambda: None
    return names


@pytest.mark.parametrize(("status", "why"), [(0, None), (128, None), (137, "signal"), (192, "signal"), (255, None)])
def test_a_status_that_no_signal_has_is_no_signals(inner: dict[str, Any], status: int, why: str | None) -> None:
    heads: list[dict[str, Any]] = []
    server = inner["Server"](SimpleNamespace(write=lambda kind, sequence, head, body: heads.append(head)), "python3")
    server.command = inner["Command"](1, b"", 1.0, 100)
    server.command.output = inner["Output"](100)
    server.finish(status, None)
    assert [head["why"] for head in heads] == [why]


@pytest.mark.parametrize("why", [None, "signal"])
def test_an_end_for_memory_is_called_that_whatever_signal_it_came_by(inner: dict[str, Any], why: str | None) -> None:
    heads: list[dict[str, Any]] = []
    kills = iter([1, 2])
    inner.update(memory_counts=lambda: (next(kills), None))
    server = inner["Server"](SimpleNamespace(write=lambda kind, sequence, head, body: heads.append(head)), "python3")
    server.command = inner["Command"](1, b"", 1.0, 100)
    server.command.output = inner["Output"](100)
    server.finish(137, why)
    assert [head["why"] for head in heads] == ["memory"]


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(("ended", "words"), [(9, b"with status 137"), (3 << 8, b"with status 3")])
def test_an_agent_is_told_of_a_shell_that_ended_between_two_commands_and_of_what_was_printed(
    inner: dict[str, Any], ended: int, words: bytes, bare: bool
) -> None:
    """Directory, variables and functions are gone with it; it is no end of the command that comes next."""

    def shell(printed: bytes, pid: int) -> SimpleNamespace:
        late = inner["Output"](1000)
        late.add(printed)
        quiet = {name: lambda *given: None for name in ("read_printed", "read_status", "close", "send")}
        return SimpleNamespace(ready=True, late=late, pid=pid, **quiet)

    inner.update(end_everything=lambda seconds: True, reaped=lambda: (), Shell=lambda python: shell(b"", -2))
    server = inner["Server"](SimpleNamespace(write=lambda *frame: None), "python3")
    server.shell = shell(b"its last words", -1)
    inner["DEAD"].append((-1, ended))
    head = {"timeout_s": 1.0, "output_bytes_max": 10_000, "bare": bare}
    server.do_bash(1, head, b"true")
    if bare:
        assert server.command.late == b""
        return
    late = server.command.late
    assert late.index(b"its last words\n") < late.index(b"[... the shell ended " + words)
    server.command = None
    server.do_bash(2, head, b"true")
    assert server.command.late == b""


@pytest.mark.parametrize("ending", ["time_out", "shell_died"])
def test_a_deadline_does_not_wait_for_the_end_of_what_was_killed_inside_a_long_call(
    inner: dict[str, Any], ending: str
) -> None:
    waited_s: list[float] = []
    heads: list[dict[str, Any]] = []

    def wait_until(reached: Callable[[], bool], seconds: float) -> bool:
        waited_s.append(seconds)
        return False

    quiet = {name: lambda *given: None for name in ("read_printed", "read_status", "close")}
    inner.update(wait_until=wait_until)
    server = inner["Server"](SimpleNamespace(write=lambda kind, sequence, head, body: heads.append(head)), "python3")
    server.shell = SimpleNamespace(ready=True, pid=-1, **quiet)
    server.command = inner["Command"](1, b"", 1.0, 100)
    server.command.output = inner["Output"](100)
    getattr(server, ending)(*([9] if ending == "shell_died" else []))
    assert [head["shell_alive"] for head in heads] == [False]
    assert 0 < sum(waited_s) < 0.5


def test_what_was_not_waited_for_is_killed_again_before_the_next_shell(inner: dict[str, Any]) -> None:
    done: list[str] = []
    quiet = {name: lambda *given: None for name in ("read_printed", "read_status", "send")}

    def shell(python: str) -> SimpleNamespace:
        done.append("shell")
        return SimpleNamespace(late=inner["Output"](100), **quiet)

    inner.update(kill_everything=lambda: done.append("killed"), reaped=lambda: (), Shell=shell)
    server = inner["Server"](SimpleNamespace(), "python3")
    for sequence in (1, 2):
        server.do_bash(sequence, {"timeout_s": 1.0, "output_bytes_max": 100}, b"true")
        server.command = None
    assert done == ["killed", "shell"], "the second command has a shell"
