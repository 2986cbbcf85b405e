"""A program in the sandbox plays: a real container without a network, the gateway, and a double of the Messages API."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.gateway.admission import FAILURES_FREE
from runner.llm.prices import prices_of
from runner.records.episode import Usage
from runner.sandbox.engine import Engine
from tests.conftest import CRASHES, Cli, Run, containers_of, wait_until
from tests.fakes.messages_server import MessagesServer, Stall, Status, call, text

KEY = "sk-ant-canary-0123456789"
MODEL = "claude-sonnet-5-5"
ONE_TURN = Usage(input=100, cache_write=0, cache_read=0, output=50)
SMALL = ("--task", "slow_nbody", "--scale", "small", "--agent", "command", "--runs", "1", "--no-preflight")

# What a stranger would write: it knows the endpoint's address from its surroundings, and runs the model's calls itself.
AGENT = r"""
import json, os, subprocess, urllib.request

def ask(messages):
    body = {"model": "claude-tiny-1", "max_tokens": 1000, "messages": messages, "stream": True,
            "tools": [{"name": "bash", "description": "sh", "input_schema": {"type": "object"}}]}
    headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01"}
    url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages?beta=true"
    blocks = []
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
        for line in answer:
            event = json.loads(line[5:]) if line.startswith(b"data:") else {"type": ""}
            if event["type"] == "content_block_start":
                blocks.append({**event["content_block"], "input": ""})
            elif event["type"] == "content_block_delta":
                blocks[-1]["input"] += event["delta"].get("partial_json", "")
                blocks[-1]["text"] = blocks[-1].get("text", "") + event["delta"].get("text", "")
    return [{"type": "text", "text": b["text"]} if b["type"] == "text" else
            {"type": "tool_use", "id": b["id"], "name": b["name"], "input": json.loads(b["input"])} for b in blocks]

messages = [{"role": "user", "content": open("instruction.md").read()}]
while True:
    said = ask(messages)
    results = [{"type": "tool_result", "tool_use_id": b["id"], "content": subprocess.run(
        b["input"]["command"], shell=True, capture_output=True, text=True).stdout or "-"} for b in said if "id" in b]
    if not results:
        break
    messages += [{"role": "assistant", "content": said}, {"role": "user", "content": results}]
"""


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    path = tmp_path / "agent.py"
    path.write_text(AGENT)
    return path


@pytest.fixture
def solution(project: Path) -> str:
    return (project / "problem_data" / "slow_nbody" / "solution" / "optimized_nbody.py").read_text()


Play = Callable[..., tuple[dict[str, Any], list[dict[str, Any]], CompletedProcess[str]]]


@pytest.fixture
def play(cli_ungraded: Run, tmp_path: Path, agent: Path) -> Play:
    """Runs a job of one command against a server: its one run, its transcript, what it said."""
    return player(cli_ungraded, tmp_path, agent)


@pytest.fixture
def play_graded(cli: Run, tmp_path: Path, agent: Path) -> Play:
    """As `play`, for a command that leaves a file."""
    return player(cli, tmp_path, agent)


def player(cli: Run, tmp_path: Path, agent: Path) -> Play:
    def run_sample(server: MessagesServer, *arguments: str, command: str = "python3 agent.py") -> Any:
        done = cli(*SMALL, "--name", "j", "--output", str(tmp_path), "--command", command, "--upload", str(agent),
                   *arguments, env=surroundings(server))  # fmt: skip
        folder = tmp_path / "j"
        lines = (folder / "run_1" / "transcript.jsonl").read_text().splitlines()
        return json.loads((folder / "results.json").read_text()), [json.loads(line) for line in lines], done

    return run_sample


def surroundings(server: MessagesServer) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url, "NO_PROXY": "127.0.0.1"}


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def write(solution: str) -> dict[str, Any]:
    return dict(call("bash", command=f"cat > optimized_nbody.py <<'END'\n{solution}\nEND"))


# A script that asks a few things by itself, and says what came
ASKING = r"""
import json, os, urllib.error, urllib.request
def ask(path, body=None, **more):
    url = os.environ["ANTHROPIC_BASE_URL"] + path
    data = json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, {"anthropic-version": "2023-06-01"})) as answer:
            print(path, answer.status, answer.read()[-40:])
    except urllib.error.HTTPError as error:
        print(path, error.code, json.loads(error.read())["error"]["message"])
"""
HELLO = '{"model": "x", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hello"}]}'


def asking(*lines: str) -> str:
    """A command that asks."""
    return "cat > ask.py <<'END'\n" + ASKING + "\n".join(lines) + "\nEND\npython3 ask.py"


def test_a_programs_file_is_graded_and_its_models_tokens_are_paid(play_graded: Any, solution: str) -> None:
    script = [[text("I look."), call("bash", command="ls; pwd")], [write(solution)], [text("done")]]
    with MessagesServer(script) as server:
        results, events, done = play_graded(server, "--max-rounds", "1")
    run = results["runs"][0]
    assert run["outcome"] == "inconclusive" and run["speedup"]["estimate"] > run["rules"]["target"], done.stderr
    assert server.complaints == [] and set(server.keys) == {KEY}
    assert {request["model"] for request in server.requests} == {MODEL}
    heard = json.dumps(server.requests[1]["messages"][-1])
    assert "slow_nbody.py" in heard and "/workspace" in heard
    assert run["episode"]["turns"] == 3
    assert results["totals"]["dollars"] == pytest.approx(3 * prices_of(MODEL, "anthropic").cost(ONE_TURN))
    assert len(of_kind(events, "request")) == len(of_kind(events, "response")) == 3
    assert of_kind(events, "response")[1]["content"][0]["input"]["command"].startswith("cat > optimized_nbody.py")
    assert [event["text"] for event in of_kind(events, "note")] == [
        f"a request for the model 'claude-tiny-1' went to {MODEL}"
    ]


def test_the_key_is_nowhere_inside_and_nowhere_in_what_is_left(play: Any, tmp_path: Path) -> None:
    look = "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'"
    with MessagesServer([[call("bash", command=look)], [text("done")]]) as server:
        _, _, done = play(server, command=f"{look}; python3 agent.py")
    heard = json.dumps(server.requests[-1])
    assert "ANTHROPIC_API_KEY=sandbox" in heard and KEY not in heard
    left = [path.read_bytes() for path in (tmp_path / "j").rglob("*") if path.is_file()]
    assert len(left) >= 4 and not any(KEY.encode() in content for content in left)
    assert KEY not in done.stdout + done.stderr


def test_a_limit_on_turns_refuses_the_next_request_and_ends_the_episode(play: Any) -> None:
    with MessagesServer([[call("bash", command="echo more")]]) as server:
        results, events, _ = play(server, "--turns", "2")
    run = results["runs"][0]
    assert (run["outcome"], run["reason"]) == ("no_submission", "the limit on turns was reached")
    assert len(server.requests) == 2 and run["episode"]["ending"] == "turns"
    answer = of_kind(events, "answer")[0]
    assert "HTTP Error 400" in answer["text"] and answer["exit_status"] == 1


def test_the_last_state_of_its_file_can_be_graded_all_the_same(play_graded: Any) -> None:
    with MessagesServer([[write(CRASHES)], [call("bash", command="echo more")]]) as server:
        results, _, _ = play_graded(server, "--turns", "2", "--grade-last")
    assert (results["runs"][0]["outcome"], results["runs"][0]["episode"]["ending"]) == ("crashed", "turns")


def test_the_jobs_dollars_are_kept(play: Any) -> None:
    with MessagesServer([[text("never")]]) as server:
        results, _, done = play(server, "--job-cost-limit", "0.0001", command=asking(f'ask("/v1/messages", {HELLO})'))
    assert server.requests == [] and done.returncode == 4
    assert "the job's cost limit" in results["runs"][0]["reason"]


def test_only_the_messages_api_and_nothing_else_is_there(play: Any) -> None:
    tool = '{"type": "web_search_20250305", "name": "web_search"}'
    image = '[{"type": "image", "source": {"type": "url", "url": "http://example.com/"}}]'
    command = asking(
        'ask("/v1/files")', 'ask("/v1/messages/batches", {})', 'ask("/v1/models/../files")', 'ask("/v1/models/m-1")',
        f'ask("/v1/messages", {{**{HELLO}, "tools": [{tool}]}})',
        f'ask("/v1/messages", {{**{HELLO}, "messages": [{{"role": "user", "content": {image}}}]}})',
        f'ask("/v1/messages", {{**{HELLO}, "mcp_servers": [], "speed": "fast"}})',
        'ask("/v1/messages", [])', 'ask("/v1/messages", {"model": "x"})',
    )  # fmt: skip
    with MessagesServer([[text("hi")]]) as server:
        _, events, _ = play(server, command=command)
    lines = of_kind(events, "answer")[0]["text"].splitlines()
    assert [line.split()[1] for line in lines] == ["404", "404", "404", "200", "400", "400", "200", "400", "400"], lines
    assert "would run outside the sandbox" in lines[4] and "no network" in lines[5]
    assert len(server.requests) == 1 and not {"mcp_servers", "speed"} & server.requests[0].keys()


def test_there_is_no_other_way_out_of_the_container(play: Any) -> None:
    with MessagesServer([[text("hi")]]) as server:
        port = server.url.rpartition(":")[2]
        reach = [f"import socket; socket.create_connection(({host!r}, {at}), 3)"
                 for host, at in (("127.0.0.1", port), ("1.1.1.1", 53), ("172.17.0.1", port))]  # fmt: skip
        _, events, _ = play(server, command="; ".join(f'python3 -c "{line}" && echo OUT' for line in reach))
    told = of_kind(events, "answer")[0]["text"]
    assert "OUT\n" not in told and told.count("Error") >= 3


def test_errors_of_the_endpoint_reach_the_program_and_cost_no_turn(play: Any) -> None:
    command = asking(*[f'ask("/v1/messages", {HELLO})'] * 3)
    with MessagesServer([[text("hi")]], faults=[Status(529), Status(429, "0")]) as server:
        results, events, _ = play(server, command=command)
    statuses = [line.split()[1] for line in of_kind(events, "answer")[0]["text"].splitlines()]
    assert statuses == ["529", "429", "200"] and results["runs"][0]["episode"]["turns"] == 1


def test_a_key_that_is_refused_is_infrastructure(play: Any) -> None:
    with MessagesServer([[text("never")]], allowed_keys=()) as server:
        results, _, done = play(server)
    assert (results["runs"][0]["outcome"], done.returncode) == ("infrastructure", 3)


def test_an_endpoint_that_fails_after_it_answered_is_infrastructure(play: Any) -> None:
    command = asking(*[f'ask("/v1/messages", {HELLO})'] * 2)
    with MessagesServer([[text("hi")]], faults=[None, Status(401), Status(401)]) as server:
        results, _, _ = play(server, command=command)
    assert results["runs"][0]["outcome"] == "infrastructure" and len(server.requests) == 3


def test_turns_that_a_failing_endpoint_used_up_are_not_the_programs(play: Any) -> None:
    command = asking(*[f'ask("/v1/messages", {HELLO})'] * (FAILURES_FREE + 2))
    with MessagesServer([[text("never")]], allowed_keys=()) as server:
        results, _, _ = play(server, "--turns", "1", command=command)
    assert (results["runs"][0]["outcome"], len(server.requests)) == ("infrastructure", FAILURES_FREE + 2)


def test_a_failure_that_the_endpoint_does_not_repeat_to_us_excuses_nothing(play: Any) -> None:
    with MessagesServer([[text("hi")]], faults=[Status(429, "0")]) as server:
        results, _, done = play(server, command=asking(f'ask("/v1/messages", {HELLO})'))
    assert (results["runs"][0]["outcome"], len(server.requests)) == ("no_submission", 2), done.stderr


def test_a_command_that_never_ends_stops_at_the_deadline(play: Any) -> None:
    started = time.monotonic()
    with MessagesServer([[text("never")]]) as server:
        results, events, _ = play(server, "--working-limit", "10", command="echo begun; sleep 600")
    assert time.monotonic() - started < 300
    assert results["runs"][0]["reason"] == "the limit on working time was reached"
    answer = of_kind(events, "answer")[0]
    assert (answer["text"], answer["why"]) == ("begun\n", "timeout")


def test_what_was_cut_short_by_the_programs_end_is_still_paid(play: Any) -> None:
    leave = "import socket, os\ns = socket.create_connection(('127.0.0.1', 41184))\n" + (
        f"body = json.dumps({HELLO}).encode()\n"
        "s.sendall(b'POST /v1/messages HTTP/1.1\\r\\nanthropic-version: 1\\r\\n')\n"
        "s.sendall(b'content-length: %d\\r\\n\\r\\n' % len(body) + body)\ns.recv(100)\nos._exit(0)"
    )
    with MessagesServer([[text("hi")]], faults=[Stall(1.0)]) as server:
        results, _, _ = play(server, command=asking(leave))
    assert results["totals"]["dollars"] == pytest.approx(prices_of(MODEL, "anthropic").cost(ONE_TURN))


def test_ctrl_c_does_not_wait_for_the_program(start_ungraded: Cli, engine: Engine, tmp_path: Path, agent: Path) -> None:
    with MessagesServer([[text("never")]], faults=[Stall(60.0)]) as server:
        process = start_ungraded(*SMALL, "--name", "ctrl_c", "--output", str(tmp_path), "--upload", str(agent), "--command",
                        "python3 agent.py", env=surroundings(server))  # fmt: skip
        wait_until(lambda: len(server.requests) == 1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130 and time.monotonic() - began < 60
    assert containers_of(engine, "ctrl_c") == []


@pytest.mark.parametrize(
    ("arguments", "environment", "cause"),
    [
        (("--command", "true"), {}, "no model credentials are set"),
        ((), {"ANTHROPIC_API_KEY": KEY}, "without --command"),
        (("--command", "true", "--upload", "/nowhere.py"), {"ANTHROPIC_API_KEY": KEY}, "/nowhere.py cannot be read"),
    ],
)
def test_what_can_be_told_before_the_start_is(
    in_process: Callable[..., CompletedProcess[str]], tmp_path: Path, arguments: tuple[str, ...],
    environment: dict[str, str], cause: str,
) -> None:  # fmt: skip
    done = in_process(*SMALL, *arguments, "--output", str(tmp_path / "out"), env=environment)
    assert done.returncode == 2 and cause in done.stderr and not (tmp_path / "out").exists()
