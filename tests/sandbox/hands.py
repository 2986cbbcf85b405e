"""An agent's hands: its tools, called as it would call them."""

from runner.episode.tools import ToolOutcome, run_tool
from runner.records.episode import ToolCall
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
