"""An episode for MCP clients: `runner mcp`, by the SDK's own client over a process's standard input and output."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["mcp==2.3.0"]
# ///

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from runner.episode.tools import TOOLS
from runner.sandbox.engine import Engine
from tests.environment import clean_environment

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


Connect = Callable[..., contextlib.AbstractAsyncContextManager[Client]]


def arguments(folder: Path, task: Path | str = "slow_nbody") -> list[str]:
    where = ["--output", str(folder / "kept.py")]
    return [sys.executable, "-m", "runner", "mcp", "--task", str(task), "--scale", "small", *where]


@pytest.fixture
def connect(engine: Engine, images: None, home: str, tmp_path: Path) -> Connect:
    """A client of a server of its own."""

    @contextlib.asynccontextmanager
    async def client(**more: str) -> AsyncIterator[Client]:
        command, *rest = arguments(tmp_path)
        environment = clean_environment(home, DOCKER_HOST=engine.url, **more)
        async with Client(StdioServerParameters(command=command, args=rest, env=environment)) as connected:
            yield connected

    return client


async def said(client: Client, tool: str, **given: Any) -> tuple[str, bool]:
    result = await client.call_tool(tool, given)
    return "\n".join(part.text for part in result.content), result.is_error


def containers(engine: Engine, pid: int | str) -> list[str]:
    """Agents' sandboxes that a process holds."""
    found = engine.client.api.containers(all=True, filters={"label": "runner.role=agent"})
    return [one["Id"] for one in found if one["Labels"]["runner.holder"].split(":")[1] == str(pid)]


def agents(engine: Engine) -> set[str]:
    return {one["Id"] for one in engine.client.api.containers(all=True, filters={"label": "runner.role=agent"})}


def wait_until_gone(engine: Engine, before: set[str]) -> None:
    end = time.monotonic() + 60
    while agents(engine) - before:
        assert time.monotonic() < end, "a sandbox is left"
        time.sleep(0.1)


async def test_a_client_sees_the_tools_and_what_has_to_be_done_before_a_sandbox_is_started(
    connect: Connect, engine: Engine
) -> None:
    before = agents(engine)
    async with connect() as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == list(TOOLS)
        assert all(tool.description and tool.input_schema["type"] == "object" for tool in tools)
        (message,) = (await client.get_prompt("task")).messages
        assert "n-body" in message.content.text and message.content.text == client.instructions
        assert agents(engine) <= before


async def test_an_episode_is_played_and_its_submission_is_kept(connect: Connect, tmp_path: Path) -> None:
    async with connect() as client:
        assert await said(client, "create", path="optimized_nbody.py", file_text="x = 1\n") == (
            "optimized_nbody.py: 6 bytes written",
            False,
        )
        await said(client, "bash", command="cd /tmp; y=2")
        assert (await said(client, "bash", command="pwd; echo $y"))[0].startswith("/tmp\n2\n")
        text, wrong = await said(client, "submit", path="optimized_nbody.py")
        assert not wrong and text.startswith("submitted: 6 bytes") and str(tmp_path / "kept.py") in text
        assert (tmp_path / "kept.py").read_bytes() == b"x = 1\n"
        text, wrong = await said(client, "bash", command="true")
        assert wrong and text.startswith("the episode is over")


async def test_what_a_tool_says_is_wrong_is_an_error_with_its_text_and_the_episode_goes_on(connect: Connect) -> None:
    async with connect() as client:
        for tool, given, says in (
            ("bash", {"commando": "true"}, "the input does not fit bash: commando"),
            ("no_such_tool", {}, "there is no tool 'no_such_tool'"),
            ("view", {"path": "/etc/passwd"}, "outside /workspace"),
            ("submit", {"path": "nothing.py"}, "No such file"),
        ):
            text, wrong = await said(client, tool, **given)
            assert wrong and says in text, text
        assert await said(client, "bash", command="printf '\\033[31m\\0\\xff'") == (
            "\\x1b[31m\\x00\\xff\n[exit status 0]",
            False,
        )


async def test_a_failing_command_is_no_error_of_the_tool(connect: Connect) -> None:
    async with connect() as client:
        text, wrong = await said(client, "bash", command="exit 3")
        assert "[exit status 3" in text and not wrong


async def test_calls_at_the_same_time_are_run_one_after_the_other(connect: Connect) -> None:
    async with connect() as client:
        texts: list[str] = []

        async def append(number: int) -> None:
            texts.append((await said(client, "bash", command=f"sleep 0.2; echo {number} >> log; cat log"))[0])

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(append, number)
        assert sorted(text.count("\n") for text in texts) == [1, 2, 3, 4]


async def test_a_client_that_goes_away_ends_the_sandbox_also_in_the_middle_of_a_command(
    connect: Connect, engine: Engine
) -> None:
    before = agents(engine)
    async with connect() as client:
        await said(client, "bash", command="true")
        assert len(agents(engine) - before) == 1
        with anyio.move_on_after(1):
            await said(client, "bash", command="sleep 500")
    wait_until_gone(engine, before)


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def call(number: int, tool: str, **given: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": given}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def start(folder: Path, home: str, url: str, task: Path | str = "slow_nbody") -> subprocess.Popen[bytes]:
    environment = clean_environment(home, DOCKER_HOST=url)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(arguments(folder, task), env=environment, **pipes)


def lines_of(process: subprocess.Popen[bytes], *sent: bytes | dict[str, Any]) -> list[dict[str, Any]]:
    """Every line that comes back until all calls are answered; each must be of the protocol."""
    assert process.stdin is not None and process.stdout is not None
    for one in sent:
        process.stdin.write((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n")
    process.stdin.flush()
    wanted, found = {one["id"] for one in sent if isinstance(one, dict) and "id" in one}, []
    while wanted - {line.get("id") for line in found}:
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else b""
        found.append(json.loads(line))
        assert found[-1]["jsonrpc"] == "2.0"
    return found


def test_nothing_but_the_protocol_is_written_to_standard_output(
    engine: Engine, images: None, home: str, make_task: Callable[..., Path], tmp_path: Path
) -> None:
    task = make_task("true")
    problem = task / "problem.py"
    noise = "import os\nprint('NOISE')\nos.system('echo NOISE')\nos.write(1, b'NOISE\\n')\n"
    problem.write_text(problem.read_text().replace("import numpy", noise + "import numpy", 1))
    assert "NOISE" in problem.read_text()
    process = start(tmp_path, home, engine.url, task)
    lines_of(process, INITIALIZE, INITIALIZED, call(2, "bash", command="echo hello"))
    out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == (b"", 0) and err.count(b"NOISE") >= 3


def test_lines_that_are_no_messages_end_nothing(engine: Engine, images: None, home: str, tmp_path: Path) -> None:
    process = start(tmp_path, home, engine.url)
    garbage = [
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b'{"jsonrpc": "2.0", "id": 7, "method": "no/such"}',
        b'{"id": "\\ud800"}',
        b"9" * 99_999,
    ]
    lone = json.dumps(call(3, "create", path="a", file_text="\ud800")).encode()
    lines = lines_of(process, INITIALIZE, INITIALIZED, *garbage, lone, call(4, "bash", command="echo still here"))
    assert "still here" in lines[-1]["result"]["content"][0]["text"]
    assert process.communicate(timeout=60)[0].count(b"\n") <= 1 and process.returncode == 0


@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_a_server_that_is_ended_leaves_no_sandbox(
    engine: Engine, images: None, home: str, tmp_path: Path, number: str
) -> None:
    import signal

    before = agents(engine)
    process = start(tmp_path, home, engine.url)
    lines_of(process, INITIALIZE, INITIALIZED, call(2, "bash", command="true"))
    assert containers(engine, process.pid)
    os.kill(process.pid, getattr(signal, number))
    process.communicate(timeout=60)
    wait_until_gone(engine, before)


def test_without_an_engine_it_says_so_and_writes_nothing(home: str, tmp_path: Path) -> None:
    process = start(tmp_path, home, "unix:///nowhere/docker.sock")
    out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == (b"", 3) and b"hint:" in err and b"Traceback" not in err


def test_the_lines_of_the_how_to_run(engine: Engine, images: None, home: str, project: Path, tmp_path: Path) -> None:
    page = (project / "docs" / "how-to" / "play-over-mcp.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    environment = clean_environment(home, DOCKER_HOST=engine.url)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.startswith("submitted: "), done.stderr
    assert b"def " in (tmp_path / "mine.py").read_bytes()
