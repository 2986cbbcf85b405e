"""The agent `command`: one command line in the sandbox is the whole episode; then its file is submitted."""

import math
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from runner.agents.protocol import AgentContext, ExtraTool, Observation
from runner.agents.tool_results import result_of
from runner.budget.ledger import Ledger
from runner.budget.limits import BudgetExceeded
from runner.gateway.server import Gateway
from runner.gateway.upstream import Endpoint
from runner.llm.prices import Prices
from runner.records.episode import Limit, Limits, ToolCall, ToolResult, Turn
from runner.sandbox.container import INSIDE, GuestExit, Received, Sandbox
from runner.sandbox.workspace import Files, populate_workspace

TOOL = "command"
INSTRUCTION_FILE = "instruction.md"
# Inside the container, where nothing else listens.
PORT = 41_184
# What programs want to see before they start; the real one is added outside.
DUMMY_KEY = "sandbox"
OUTPUT_BYTES_MAX = 100_000  # chosen: the end of a program's output, enough to see why it ended
GRACE_S, LINGER_S = 30.0, 10.0
COMMAND_S_MAX = 7 * 24 * 3600.0  # a week: where no limit on time is set, others end an episode long before


@dataclass
class CommandAgent:
    """Runs one command as an episode.

    Attributes:
        files: what is put into the workspace before it starts.
        probe: sends the endpoint a minimal request of ours; raises ModelFault where it does not answer.
    """

    command: str
    files: Files
    endpoint: Endpoint
    ledger: Ledger
    prices: Prices
    context: AgentContext
    probe: Callable[[], None] = lambda: None
    _first: Observation | None = None
    tools: dict[str, ExtraTool] = field(init=False)

    def __post_init__(self) -> None:
        self.tools = {TOOL: self._run}

    def act(self, observation: Observation) -> Turn:
        """The command, and the submission of the file that it left; no turn follows."""
        if self._first is not None:
            return Turn("")
        self._first = observation
        submission = self.context.task.file.submission.file
        run = ToolCall("command", TOOL, {"command": self.command})
        return Turn("", (run, ToolCall("submit", "submit", {"path": submission})))

    # The command

    def _run(self, sandbox: Sandbox, call: ToolCall) -> ToolResult | GuestExit:
        """Run it while the gateway serves it.

        Raises:
            InfrastructureFault: the engine failed, or the endpoint failed the command, and does not answer us either.
            StoreFault: an exchange could not be recorded.
            Interrupted: we are stopping.
        """
        assert self._first is not None
        files = ((INSTRUCTION_FILE, self._first.instruction.encode()), *self.files)
        populate_workspace(sandbox, files, hint="see --upload")
        limit, seconds = command_timeout(self._first.left)
        gateway = Gateway(
            self.endpoint, ledger=self.ledger, prices=self.prices, meter=self.context.meter,
            emit=self.context.emit, allowed=self._first.left, send=sandbox.send,
        )  # fmt: skip
        began_s, linger_s = time.monotonic(), 0.0
        try:
            got = self._ask(sandbox, gateway, seconds)
            linger_s = LINGER_S if isinstance(got, Received) else 0.0
        finally:
            gateway.close(linger_s)
        if gateway.fault is not None:
            raise gateway.fault
        if isinstance(got, GuestExit):
            return got
        seconds_taken = time.monotonic() - began_s
        short_of = self._ask_endpoint() if gateway.upstream_suspect else None
        timed_out = got.frame.head.get("why") == "timeout"
        result = result_of(call, got, seconds_taken, chars_max=OUTPUT_BYTES_MAX)
        return replace(result, limit_reached=gateway.limit or short_of or (limit if timed_out else None))

    def _ask_endpoint(self) -> Limit | None:
        """Check that it answers: a program could make its own last exchange fail to be excused.

        Returns:
            the limit that left nothing to ask with; else None.

        Raises:
            ModelFault: it does not.
        """
        began_s = time.monotonic()
        try:
            self.probe()
        except BudgetExceeded as ended:
            return ended.limit
        finally:
            self.context.meter.add(waited_s=time.monotonic() - began_s)
        return None

    def _ask(self, sandbox: Sandbox, gateway: Gateway, seconds: float) -> Received | GuestExit:
        forwarder = (INSIDE / "forwarder.py").read_bytes()
        head = {
            "op": "bash", "timeout_s": seconds, "output_bytes_max": OUTPUT_BYTES_MAX, "port": PORT,
            "forwarder_bytes": len(forwarder),
        }  # fmt: skip
        body = forwarder + f"{_exports(self.endpoint.model)}\n{self.command}".encode()
        return sandbox.ask(head, body, deadline_s=seconds + GRACE_S, on_frame=gateway.on_frame)


def command_timeout(remaining: Limits) -> tuple[Limit, float]:
    """(the limit, seconds) that ends a command which does not end by itself."""
    wall_s = math.inf if remaining.wall_s is None else remaining.wall_s
    working_s = math.inf if remaining.working_s is None else remaining.working_s
    limit = Limit.WALL_CLOCK if wall_s < working_s else Limit.WORKING_TIME
    return limit, min(wall_s, working_s, COMMAND_S_MAX)


def _exports(model: str) -> str:
    names = {
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{PORT}",
        "ANTHROPIC_API_KEY": DUMMY_KEY,
        "ANTHROPIC_MODEL": model,
    }
    return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in names.items())
