"""Episodes over the wire: `runner serve`, by OpenEnv's own clients."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["openenv==0.10.0", "websockets==17.4"]
# ///

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openenv.core.env_server.mcp_types import CallToolObservation, ListToolsObservation
from openenv.core.env_server.types import EnvironmentMetadata, HealthResponse, SchemaResponse, State
from openenv.core.generic_client import GenericEnvClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from runner.episode.tools import TOOLS
from runner.sandbox.engine import Engine
from tests.environment import clean_environment

Serve = Callable[..., str]
TOKEN = "a-token-of-some-length"


@pytest.fixture
def serve(engine: Engine, images: None, home: str) -> Iterator[Serve]:
    """Starts a server; gives its URL."""
    started: list[subprocess.Popen[str]] = []

    def go(*more: str, task: Path | str = "slow_nbody", token: str = "") -> str:
        words = ["--task", str(task), "--scale", "small", "--port", "0", "--reward", "none", *more]
        environment = clean_environment(home, DOCKER_HOST=engine.url, RUNNER_SERVE_TOKEN=token)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([sys.executable, "-m", "runner", "serve", *words], env=environment, **pipes))
        line = started[-1].stdout.readline()
        assert line.startswith("serving "), started[-1].stderr.read()
        return line.split()[-1]

    before = agents(engine)
    yield go
    for process in started:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130, process.stderr.read()
        assert process.stdout.read() == ""
    assert agents(engine) <= before


def agents(engine: Engine) -> set[str]:
    return {one["Id"] for one in engine.client.api.containers(all=True, filters={"label": "runner.role=agent"})}


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "call_tool", "tool_name": tool, "arguments": arguments}


def bash(command: str) -> dict[str, Any]:
    return call("bash", command=command)


def test_an_episode_is_played_to_its_submission_and_the_next_begins_afresh(serve: Serve) -> None:
    with GenericEnvClient(base_url=serve()) as env:
        first = env.reset(seed=3, episode_id="mine", prompt="a row of a data set")
        assert "n-body" in first.observation["instruction"] and (first.reward, first.done) == (None, False)
        step = env.step(bash("echo x = 1 > optimized_nbody.py; cat optimized_nbody.py"))
        assert step.observation["result"] == "x = 1\n[exit status 0]" and (step.reward, step.done) == (0.0, False)
        wrong = env.step(call("no_such_tool"))
        assert "there is no tool" in wrong.observation["result"] and wrong.metadata["is_error"] and not wrong.done
        state = State.model_validate(env.state())
        assert (state.episode_id, state.step_count) == ("mine", 2)
        last = env.step(call("submit", path="optimized_nbody.py"))
        assert last.done and last.reward is None and last.observation["submission"]["base64"] == "eCA9IDEK"
        with pytest.raises(RuntimeError, match="episode is over"):
            env.step(bash("true"))
        env.reset()
        assert "optimized_nbody" not in env.step(bash("ls")).observation["result"]


def test_tools_are_listed_and_called_in_the_peers_own_forms(serve: Serve) -> None:
    with GenericEnvClient(base_url=serve()) as env:
        listed = env.step({"type": "list_tools"}).observation if env.reset() else {}
        assert [tool.name for tool in ListToolsObservation.model_validate(listed).tools] == list(TOOLS)
        called = CallToolObservation.model_validate(env.step(bash("echo hello")).observation)
        assert (called.tool_name, called.result, called.error) == ("bash", "hello\n[exit status 0]", None)


def test_health_schema_and_metadata_have_the_form_that_the_peer_gives_them(serve: Serve) -> None:
    url = serve()
    for path, model in (("health", HealthResponse), ("schema", SchemaResponse), ("metadata", EnvironmentMetadata)):
        with urllib.request.urlopen(f"{url}/{path}", timeout=30) as response:
            assert response.headers.get_all("Content-Type") == ["application/json"]
            model.model_validate(json.load(response))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}/etc/passwd", timeout=30)


def test_no_more_sessions_than_slots_and_a_slot_is_free_when_its_client_goes(serve: Serve, engine: Engine) -> None:
    url, before = serve("--slots", "1"), agents(engine)
    with GenericEnvClient(base_url=url) as first:
        first.reset()
        with GenericEnvClient(base_url=url) as second, pytest.raises(RuntimeError, match="CAPACITY_REACHED"):
            second.reset()
        first.step(bash("true"))
    wait_until(lambda: agents(engine) <= before)
    with GenericEnvClient(base_url=url) as third:
        assert third.reset().observation["instruction"]


def test_a_client_that_vanishes_in_the_middle_of_a_command_leaves_no_sandbox(serve: Serve, engine: Engine) -> None:
    url, before = serve("--slots", "1"), agents(engine)
    connection = connect(url.replace("http", "ws") + "/ws")
    connection.send(json.dumps({"type": "reset"}))
    connection.recv()
    connection.send(json.dumps({"type": "step", "data": bash("sleep 500")}))
    assert agents(engine) - before
    connection.socket.close()
    wait_until(lambda: agents(engine) <= before)


def test_a_session_that_says_nothing_is_ended(serve: Serve, engine: Engine) -> None:
    url, before = serve("--idle-limit", "2"), agents(engine)
    with connect(url.replace("http", "ws") + "/ws") as connection:
        connection.send(json.dumps({"type": "reset"}))
        assert json.loads(connection.recv())["type"] == "observation" and agents(engine) - before
        assert json.loads(connection.recv(timeout=60))["data"]["code"] == "SESSION_ERROR"
    wait_until(lambda: agents(engine) <= before)


def test_what_a_client_sends_ends_at_most_its_own_session(serve: Serve) -> None:
    url = serve()
    with connect(url.replace("http", "ws") + "/ws") as rude, GenericEnvClient(base_url=url) as env:
        env.reset()
        for text in ("{", b"\xff\x00", "[" * 100_000, '{"type": "step", "data": {"tool_name": "\\ud800"}}'):
            rude.send(text)
            assert json.loads(rude.recv())["type"] == "error"
        with contextlib.suppress(Exception):
            rude.send("x" * (9 * 1024 * 1024))
            rude.recv()
        assert env.step(bash("echo still here")).observation["result"].startswith("still here")


def test_with_a_token_nobody_comes_in_without_it(serve: Serve) -> None:
    url = serve("--host", "0.0.0.0", token=TOKEN).replace("0.0.0.0", "127.0.0.1")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        with pytest.raises(InvalidStatus, match="401"):
            connect(url.replace("http", "ws") + "/ws", additional_headers=headers)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{url}/health", timeout=30)
    with GenericEnvClient(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as env:
        assert env.reset().observation["instruction"]


def test_no_page_in_a_browser_may_connect(serve: Serve) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        connect(serve().replace("http", "ws") + "/ws", origin="http://127.0.0.1:8000")


@pytest.mark.parametrize(("address", "token"), [("0.0.0.0", ""), ("::", ""), ("example.org", ""), ("0.0.0.0", "short")])
def test_an_address_that_others_reach_needs_a_token(home: str, address: str, token: str) -> None:
    environment = clean_environment(home, RUNNER_SERVE_TOKEN=token)
    words = [sys.executable, "-m", "runner", "serve", "--task", "slow_nbody", "--host", address]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "hint:" in done.stderr and (not token or token not in done.stderr)


def test_an_episode_that_the_host_spoiled_has_no_reward(serve: Serve, engine: Engine) -> None:
    before = agents(engine)
    with GenericEnvClient(base_url=serve("--reward", "pass")) as env:
        env.reset()
        (mine,) = agents(engine) - before
        engine.client.api.kill(mine)
        step = env.step(bash("true"))
        assert step.reward is None and step.done and step.metadata["outcome"] == "infrastructure"
        assert env.state()["reward"] is None
        assert env.reset().observation["instruction"]


@pytest.mark.usefixtures("measuring_cpu")
def test_a_submission_is_graded_in_the_step_that_submits_it(serve: Serve) -> None:
    with GenericEnvClient(base_url=serve("--reward", "log_speedup"), message_timeout_s=600) as env:
        env.reset()
        env.step(bash("echo x = 1 > optimized_nbody.py"))
        last = env.step(call("submit", path="optimized_nbody.py"))
        assert (last.reward, last.done, last.metadata["outcome"]) == (0.0, True, "crashed")


def test_the_lines_of_the_how_to_run(serve: Serve, project: Path, tmp_path: Path, home: str) -> None:
    page = (project / "docs" / "how-to" / "serve-episodes.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = code.replace("http://127.0.0.1:8000", serve())
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=clean_environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "True" in done.stdout, done.stderr
