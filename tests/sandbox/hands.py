"""An agent's hands: its tools, called as it would call them; and a PID 1 that is not as it should be."""

import pytest

from runner.episode.tools import ToolOutcome, run_tool
from runner.records.episode import ToolCall
from runner.sandbox import fleet as fleet_module
from runner.sandbox.container import Sandbox


class Hands:
    """Calls tools in a sandbox as an agent would."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def __call__(self, tool: str, **given: object) -> ToolOutcome:
        got = run_tool(self.sandbox, ToolCall("1", tool, dict(given)), 1000)
        assert isinstance(got, ToolOutcome), got
        return got

    def bash(self, command: str, timeout_s: float = 20.0) -> str:
        return self("bash", command=command, timeout_s=timeout_s).result.text


def changed_server(monkeypatch: pytest.MonkeyPatch, was: str, becomes: str) -> None:
    """PID 1 with another text, as far as that goes: what a guest that reached its wire could do."""
    whole = fleet_module.program

    def program(name: str, key: bytes = b"") -> bytes:
        text = whole(name, key)[4:].decode()
        assert was in text
        text = text.replace(was, becomes)
        return len(text.encode()).to_bytes(4, "big") + text.encode()

    monkeypatch.setattr(fleet_module, "program", program)
