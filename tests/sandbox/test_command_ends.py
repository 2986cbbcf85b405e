"""How PID 1 of an agent's sandbox says that a command ended, without a sandbox."""

from types import SimpleNamespace
from typing import Any

import pytest

from runner.sandbox.container import INSIDE
from runner.sandbox.fleet import PROGRAMS


@pytest.fixture
def inner() -> dict[str, Any]:
    """The program's definitions."""
    names: dict[str, Any] = {}
    text = "\n".join((INSIDE / name).read_text() for name in PROGRAMS["toolserver"])
    exec(compile(text.rpartition("main()")[0], "toolserver", "exec"), names)
    return names


@pytest.mark.parametrize(("status", "why"), [(0, None), (128, None), (137, "signal"), (192, "signal"), (255, None)])
def test_a_status_that_no_signal_has_is_no_signals(inner: dict[str, Any], status: int, why: str | None) -> None:
    heads: list[dict[str, Any]] = []
    server = inner["Server"](SimpleNamespace(write=lambda kind, sequence, head, body: heads.append(head)), "python3")
    server.command = inner["Command"](1, b"", 1.0, 100)
    server.command.output = inner["Output"](100)
    server.finish(status, None)
    assert [head["why"] for head in heads] == [why]
