"""A model plays: the real SDK against a server on loopback, the real engine, tools in a real container."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.faults import ModelFault
from runner.llm.client import ModelClient
from runner.llm.prices import Usage, dollars
from runner.settings import Settings
from tests.conftest import Cli, wait_until
from tests.fakes.messages_server import Cut, MessagesServer, Stall, Status, call, text

KEY = "sk-ant-canary-0123456789"
SMALL = ("--task", "slow_nbody", "--scale", "small", "--agent", "model")


@pytest.fixture
def solution(project: Path) -> str:
    return (project / "problem_data" / "slow_nbody" / "solution" / "optimized_nbody.py").read_text()


def surroundings(server: MessagesServer) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url, "NO_PROXY": "127.0.0.1"}


def client(server: MessagesServer, turn_s: float = 30.0, said: list[str] | None = None) -> ModelClient:
    settings = Settings(anthropic_api_key=KEY, anthropic_base_url=server.url)  # type: ignore[arg-type]
    return ModelClient(settings, "claude-sonnet-5-5", 1000, turn_s, (said if said is not None else []).append)


def test_a_models_calls_run_in_its_container_and_its_file_is_graded(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path, solution: str
) -> None:
    script = [
        [text("I look."), call("bash", "toolu_a", command="pwd; ls"), call("view", "toolu_b", path="nowhere.py")],
        [call("create", "toolu_c", path="optimized_nbody.py", file_text=solution)],
        [call("submit", "toolu_d", path="optimized_nbody.py")],
    ]
    with MessagesServer(script) as server:
        done = cli("--runs", "2", *SMALL, "--name", "m", "--output", str(tmp_path), env=surroundings(server))
    results = json.loads((tmp_path / "m" / "results.json").read_text())
    assert [run["outcome"] for run in results["runs"]] == ["passed", "passed"], done.stderr
    assert server.complaints == [] and set(server.keys) == {KEY}
    last = server.requests[-1]["messages"]
    heard = next(message for message in last[1:] if message["role"] == "user")["content"]
    assert "/workspace" in heard[0]["content"] and "slow_nbody.py" in heard[0]["content"]
    assert heard[1]["is_error"] is True and heard[2]["text"].startswith("[left: ")
    assert results["totals"]["dollars"] == pytest.approx(6 * dollars("claude-sonnet-5-5", Usage(100, 0, 0, 50)))


def test_the_key_is_nowhere_in_what_a_job_leaves_or_says(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    script = [[call("bash", command="env; cat /proc/1/environ /proc/self/environ")], [text("done")]]
    with MessagesServer(script) as server:
        done = cli("--runs", "1", *SMALL, "--name", "m", "--output", str(tmp_path), env=surroundings(server))
    assert done.returncode == 0 and server.complaints == []
    left = [path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file()]
    assert len(left) >= 4 and not any(KEY.encode() in content for content in [*left, done.stdout.encode()])
    assert KEY not in done.stderr


def test_a_refusal_that_no_retry_mends_is_infrastructure_with_its_mend(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    with MessagesServer([[text("never")]], faults=[Status(401)]) as server:
        done = cli("--runs", "1", *SMALL, "--name", "m", "--output", str(tmp_path), env=surroundings(server))
    assert done.returncode == 3
    assert "HTTP 401 authentication_error" in done.stdout and "set a valid ANTHROPIC_API_KEY" in done.stdout


@pytest.mark.parametrize("fault", [Status(529), Status(429, "0"), Status(500), Cut()])
def test_a_passing_fault_is_tried_again_and_said(fault: Status | Cut) -> None:
    said: list[str] = []
    with MessagesServer([[text("at last")]], faults=[fault]) as server:
        reply = client(server, said=said).reply("system", [{"role": "user", "content": "hello"}], [])
    assert reply.content[0]["text"] == "at last" and reply.usage == Usage(100, 0, 0, 50)
    assert len(said) == 1 and "trying again" in said[0] and len(server.requests) == 2


def test_a_stalled_stream_ends_at_the_turns_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.llm.client.GAP_S", 0.5)
    start = time.monotonic()
    with MessagesServer([[text("never")]], faults=[Stall()] * 50) as server:
        with pytest.raises(ModelFault, match="no answer within 2 s"):
            client(server, turn_s=2.0).reply("system", [{"role": "user", "content": "hello"}], [])
    assert time.monotonic() - start < 30


def test_an_answer_that_was_refused_ends_the_episode_by_name(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    with MessagesServer([[text("I would rather not.")]]) as server:
        cli("--runs", "1", *SMALL, "--name", "m", "--output", str(tmp_path), env=surroundings(server))
    run = json.loads((tmp_path / "m" / "results.json").read_text())["runs"][0]
    assert (run["outcome"], run["reason"]) == ("no_submission", "the agent ended without submitting")


def test_ctrl_c_does_not_wait_for_the_model(start: Cli, tmp_path: Path) -> None:
    with MessagesServer([[text("never")]], faults=[Stall(60.0)]) as server:
        process = start("--runs", "1", *SMALL, "--name", "m", "--output", str(tmp_path), env=surroundings(server))
        wait_until(lambda: len(server.requests) == 1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130 and time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("arguments", "environment", "cause"),
    [
        ((), {}, "no model credentials are set"),
        (("--model", "clode-9"), {"ANTHROPIC_API_KEY": KEY}, "no price is known for the model 'clode-9'"),
    ],
)
def test_what_can_be_told_before_the_start_is(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path, arguments: tuple[str, ...],
    environment: dict[str, str], cause: str,
) -> None:  # fmt: skip
    done = cli(*SMALL, *arguments, "--output", str(tmp_path / "out"), env=environment)
    assert done.returncode == 2 and cause in done.stderr and not (tmp_path / "out").exists()
