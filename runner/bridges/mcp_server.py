"""An episode as an MCP server: any MCP client is its agent. Only this module imports mcp, which is an extra.

One process serves one episode, over standard input and output. The sandbox is started by the first call, so that no limit
runs while a client only looks; it is gone when the client is. Each call is a turn of the episode, one after the other. What
a tool says is wrong is a result with `isError` and its text; what is wrong on our side is one too, and says so.
"""

import io
import itertools
import os
import threading
from collections.abc import Callable
from typing import Any

import runner
from runner.faults import Fault, Interrupted, UsageFault
from runner.job.training import Env, Step
from runner.records.episode import EndReason, Submission, ToolCall

NAME = "runner"
PROMPT = "task"  # a prompt that holds what has to be done, for clients that do not show a server's instructions
OVER = "the episode is over"


def check_installed() -> None:
    """Check that the SDK is there, before anything starts.

    Raises:
        UsageFault: it is not, or of another major version.
    """
    try:
        from mcp.server.lowlevel import Server
        from mcp.types import CallToolResult
    except ImportError as error:
        raise UsageFault(
            cause=f"`mcp` needs the package mcp, version 2: {error}",
            hint="pip install 'mcp>=2.3,<3', which is all that the extra runner[mcp] adds",
        ) from error
    if "is_error" not in CallToolResult.model_fields or not callable(Server):
        raise UsageFault(cause="the installed package mcp is not version 2", hint="pip install 'mcp>=2.3,<3'")


class ServedEpisode:
    """One episode that is called from several threads, a call at a time.

    Args:
        keep: called with what was submitted; says where it was kept.
    """

    def __init__(self, env: Env, keep: Callable[[Submission], str]) -> None:
        self.env, self._keep = env, keep
        self._turn, self._numbers = threading.Lock(), itertools.count(1)
        self._begun, self._ended = False, ""

    @property
    def instruction(self) -> str:
        """What has to be done."""
        return self.env.setup.task.instruction(self.env.scale)

    def call(self, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """(text, whether it is an error) of a call. The first one starts the sandbox.

        Raises:
            Interrupted: we are stopping.
        """
        with self._turn:
            if self._ended:
                return f"{OVER}: {self._ended}", True
            try:
                if self.env.submission is not None:
                    # It could not be kept before: nothing that was submitted is lost for that.
                    return self._kept(self.env.submission)
                if not self._begun:
                    self.env.reset()
                    self._begun = True
                return self._told(self.env.step(ToolCall(f"call-{next(self._numbers)}", tool, arguments)))
            except Interrupted:
                raise
            except Fault as fault:
                return f"the runner failed, not the tool: {fault}", True

    def _told(self, step: Step) -> tuple[str, bool]:
        answers = step.observation.answers
        text, wrong = "\n".join(answer.text for answer in answers), any(answer.is_error for answer in answers)
        if not step.terminated and not step.truncated:
            return text, wrong
        submission = self.env.submission
        if submission is not None:
            return self._kept(submission)
        ending, reason = step.info["ending"], step.info["reason"]
        self._ended = f"it ended by {ending}"
        text = f"{text}\n" if text else ""
        return f"{text}{OVER}: it ended by {ending} ({reason})", ending != EndReason.ENDED

    def _kept(self, submission: Submission) -> tuple[str, bool]:
        """What is said of a submission that is kept.

        Raises:
            Fault: it could not be; the next call tries again.
        """
        where = self._keep(submission)
        self._ended = f"{submission.path!r} was submitted"
        return f"submitted: {len(submission.content)} bytes, kept as {where}. {OVER}.", False


def serve_stdio(episode: ServedEpisode, tools: list[dict[str, Any]], wire: int) -> None:
    """Speak MCP until the client closes our standard input.

    Args:
        tools: name, description and input_schema of each.
        wire: descriptor of the standard output that the client reads; it is closed at the end.
    """
    import anyio

    anyio.run(_serve, _server(episode, tools), wire)


async def _serve(server: Any, wire: int) -> None:
    import anyio
    from mcp.server.stdio import stdio_server

    out = io.TextIOWrapper(os.fdopen(wire, "wb"), encoding="utf-8", newline="\n")
    async with stdio_server(stdout=anyio.wrap_file(out)) as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def _server(episode: ServedEpisode, tools: list[dict[str, Any]]) -> Any:
    import anyio.to_thread
    from mcp import types
    from mcp.server.lowlevel import Server

    async def list_tools(context: Any, asked: Any) -> Any:
        return types.ListToolsResult(tools=[types.Tool(**tool) for tool in tools])

    async def call_tool(context: Any, asked: Any) -> Any:
        # A client that is gone waits for nothing: the thread is left behind, and ends with the sandbox.
        text, wrong = await anyio.to_thread.run_sync(
            episode.call, asked.name, dict(asked.arguments or {}), abandon_on_cancel=True
        )
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=wrong)

    async def list_prompts(context: Any, asked: Any) -> Any:
        return types.ListPromptsResult(prompts=[types.Prompt(name=PROMPT, description="What has to be done.")])

    async def get_prompt(context: Any, asked: Any) -> Any:
        content = types.TextContent(type="text", text=episode.instruction)
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=content)])

    return Server(
        NAME,
        version=runner.__version__,
        instructions=episode.instruction,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
    )
