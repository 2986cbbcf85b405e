"""The main job with a model, through the command line: the real SDK, the real engine, the wire on loopback."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.llm.prices import Prices
from runner.records.episode import ToolCall, Turn, Usage
from tests.conftest import CRASHES, Cli, wait_until
from tests.fakes.messages_server import Answer, MessagesServer, Stall, Status, call, text
from tests.fakes.played_episodes import script_of

KEY = "sk-ant-canary-0123456789"
SMALL = ("--task", "slow_nbody", "--scale", "small", "--agent", "model")
TURN = Prices("claude-sonnet-5-5", "anthropic").cost(Usage(input=100, cache_write=0, cache_read=0, output=50))


@pytest.fixture
def solution(project: Path) -> str:
    return (project / "problem_data" / "slow_nbody" / "solution" / "optimized_nbody.py").read_text()


def surroundings(server: MessagesServer, **more: str) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url, "NO_PROXY": "127.0.0.1", **more}


def episode_of(solution: str) -> list[Turn]:
    write = ToolCall("c", "create", {"path": "optimized_nbody.py", "file_text": solution})
    return [Turn("", (write,)), Turn("", (ToolCall("s", "submit", {"path": "optimized_nbody.py"}),))]


def results(tmp_path: Path, name: str = "m") -> dict[str, Any]:
    return json.loads((tmp_path / name / "results.json").read_text())  # type: ignore[no-any-return]


def transcript(tmp_path: Path, run: int = 1, name: str = "m") -> list[dict[str, Any]]:
    lines = (tmp_path / name / f"run_{run}" / "transcript.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_models_calls_run_in_its_container_and_its_file_is_graded(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path, solution: str
) -> None:
    script = [
        [text("I look."), call("bash", "toolu_a", command="pwd; ls"), call("view", "toolu_b", path="nowhere.py")],
        [call("create", "toolu_c", path="optimized_nbody.py", file_text=solution)],
        [call("submit", "toolu_d", path="optimized_nbody.py")],
    ]
    with MessagesServer(script) as server:
        flags = ("--max-rounds", "1", "--name", "m", "--output", str(tmp_path))
        done = cli("--runs", "2", *SMALL, *flags, env=surroundings(server))
    found = results(tmp_path)
    assert [run["outcome"] for run in found["runs"]] == ["inconclusive", "inconclusive"], done.stderr
    assert all(run["speedup"]["estimate"] > run["rules"]["target"] for run in found["runs"])
    assert server.complaints == [] and set(server.keys) == {KEY}
    heard = server.requests[-1]["messages"][2]["content"]
    assert "/workspace" in heard[0]["content"] and "slow_nbody.py" in heard[0]["content"]
    assert heard[1]["is_error"] is True and heard[2]["text"].startswith("[left: ")
    assert found["totals"]["dollars"] == pytest.approx(7 * TURN), "six turns and the preflight"
    assert found["runs"][0]["episode"]["usage"]["output"] == 150
    assert found["lock"]["agent"]["model"] == "claude-sonnet-5-5" and len(found["lock"]["agent"]["system_sha256"]) == 64


def test_the_key_is_nowhere_in_what_a_job_leaves_or_says(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    hunt = (
        "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; "
        "grep -rl sk-an[t] /workspace /tmp /etc /dev/shm /opt 2>/dev/null | head"
    )
    script = [[call("bash", command=hunt)], [text("done")]]
    faults = [None, Status(500), Status(429, "0")]
    with MessagesServer(script, faults=faults) as server:
        done = cli_ungraded(
            "--runs", "1", *SMALL, "--name", "m", "--output", str(tmp_path),
            env=surroundings(server, RUNNER_LOG_LEVEL="debug", ANTHROPIC_LOG="debug"),
        )  # fmt: skip
    assert done.returncode == 0 and server.complaints == []
    left = [path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file()]
    assert len(left) >= 4 and not any(KEY.encode() in content for content in [*left, done.stdout.encode()])
    assert KEY not in done.stderr
    logged = [json.loads(line) for line in (tmp_path / "m" / "job.log").read_text().splitlines()]
    assert {"debug", "info"} <= {line["level"] for line in logged} and any(line.get("tries") for line in logged)
    answer = next(event for event in transcript(tmp_path) if event["event"] == "answer")
    assert "HOME=" in answer["text"] and "sk-ant" not in answer["text"], "the hunt ran, and found nothing"


def test_a_wrong_key_ends_the_job_before_a_container_starts(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    with MessagesServer([[text("never")]], allowed_keys={"another"}) as server:
        done = cli_ungraded(
            "--runs", "3", *SMALL, "--name", "m", "--output", str(tmp_path / "o"), env=surroundings(server)
        )
    assert done.returncode == 3 and "HTTP 401 authentication_error" in done.stderr
    assert "hint: set a valid ANTHROPIC_API_KEY" in done.stderr and KEY not in done.stderr
    assert len(server.requests) == 1 and not (tmp_path / "o").exists()


def test_without_the_preflight_the_first_refusal_ends_every_run_and_is_nobodys_failure(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    with MessagesServer([[text("never")]], models={"another"}) as server:
        arguments = (
            "--runs",
            "3",
            "--concurrency",
            "1",
            "--no-preflight",
            *SMALL,
            "--name",
            "m",
            "--output",
            str(tmp_path),
        )
        done = cli_ungraded(*arguments, env=surroundings(server))
    assert done.returncode == 3 and len(server.requests) == 1
    runs = results(tmp_path)["runs"]
    assert [run["outcome"] for run in runs] == ["infrastructure"] * 3
    assert all("HTTP 404 not_found_error" in run["reason"] and "--model" in run["hint"] for run in runs)


def test_an_agent_that_says_nothing_more_has_not_submitted(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    with MessagesServer([[text("I would rather not.")]]) as server:
        cli_ungraded("--runs", "1", *SMALL, "--name", "m", "--output", str(tmp_path), env=surroundings(server))
    run = results(tmp_path)["runs"][0]
    assert (run["outcome"], run["reason"]) == ("no_submission", "the agent ended without submitting")


def test_ctrl_c_does_not_wait_for_the_model_and_leaves_a_whole_transcript(start_ungraded: Cli, tmp_path: Path) -> None:
    script = [[call("bash", command="echo one")], [text("never " * 50)]]
    with MessagesServer(script, faults=[None, None, Stall(60.0)]) as server:
        process = start_ungraded(
            "--runs", "1", *SMALL, "--name", "m", "--output", str(tmp_path), env=surroundings(server)
        )
        wait_until(lambda: len(server.requests) == 3)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)  # half of what the model takes to answer
    assert process.returncode == 130
    events = transcript(tmp_path)
    assert [event["event"] for event in events][-2:] == ["request", "response"]
    assert events[-1]["error"].startswith("Interrupted") and events[-1]["tries"][0]["usage"]["input"] == 100


def test_what_was_handed_in_and_not_graded_when_we_were_stopped_stays_in_the_record(
    start: Cli, cli: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    script = script_of([episode_of(CRASHES), [Turn("", (ToolCall("x", "bash", {"command": "sleep 60"}),))]])
    with MessagesServer(script) as server:
        flags = ("--runs", "2", "--concurrency", "2", "--grade-after", "end", "--name", "m", "--output", str(tmp_path))
        process = start(*SMALL, *flags, env=surroundings(server))
        journal = tmp_path / "m" / "journal.jsonl"
        wait_until(lambda: journal.exists() and '"submitted"' in journal.read_text())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    (run,) = results(tmp_path)["runs"]
    assert process.returncode == 130 and run["outcome"] == "infrastructure" and "--resume" in run["hint"]
    assert run["episode"]["ending"] == "submitted" and run["submission"]["bytes"] == len(CRASHES)
    cli("regrade", str(tmp_path / "m"))
    again = json.loads((tmp_path / "m" / "regrade_1.json").read_text())["runs"]
    assert [one["outcome"] for one in again] == ["crashed"]


def test_a_job_whose_dollars_are_not_enough_for_one_word_says_so(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    with MessagesServer([[text("never")]]) as server:
        done = cli_ungraded(
            "--job-cost-limit", "0.0001", *SMALL, "--output", str(tmp_path / "o"), env=surroundings(server)
        )
    assert done.returncode == 4 and "raise --job-cost-limit" in done.stderr and server.requests == []


# Budgets


def test_a_limit_is_named_where_it_ends_an_episode(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    with MessagesServer(lambda body: [call("bash", command="true")]) as server:
        for name, flags, reason in (
            ("turns", ("--turns", "2"), "the limit on turns was reached"),
            ("output", ("--output-tokens", "100"), "the limit on output tokens was reached"),
            ("tokens", ("--tokens", "450"), "the limit on tokens was reached"),
            ("money", ("--cost-limit", "0.03", "--turns", "100"), "the limit on dollars was reached"),
            ("work", ("--working-limit", "0.05", "--turns", "500"), "the limit on working time was reached"),
        ):
            arguments = ("--runs", "1", "--no-preflight", *SMALL, *flags, "--name", name, "--output", str(tmp_path))
            cli_ungraded(*arguments, env=surroundings(server))
            run = results(tmp_path, name)["runs"][0]
            assert (run["outcome"], run["reason"]) == ("no_submission", reason), name
            assert run["episode"]["dollars"] <= 0.03


def test_at_the_jobs_cap_the_running_turns_end_the_finished_work_is_graded_and_the_status_is_4(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    dear = {"input_tokens": 2000, "output_tokens": 900}
    script = [
        Answer([call("create", path="optimized_nbody.py", file_text=CRASHES)], usage=dear),
        Answer([call("submit", path="optimized_nbody.py")], usage=dear),
    ]
    with MessagesServer(lambda body: script[len(body["messages"]) > 2]) as server:
        flags = ("--job-cost-limit", "0.09", "--max-tokens", "1000", "--concurrency", "1", "--no-preflight")
        done = cli("--runs", "5", *SMALL, *flags, "--name", "m", "--output", str(tmp_path), env=surroundings(server))
    found = results(tmp_path)
    assert done.returncode == 4 and found["totals"]["dollars"] <= 0.09
    assert found["runs"][0]["outcome"] == "crashed" and len(found["runs"]) < 5
    cut_off = found["runs"][-1]  # by what all spent together: no failure of this one's
    assert (cut_off["outcome"], cut_off["reward"]) == ("infrastructure", None) and "--job-cost-limit" in cut_off["hint"]
    assert "Not finished" in done.stdout and "at most $0.09" in done.stderr


def test_a_dry_run_says_the_most_it_can_cost_and_asks_nobody(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    with MessagesServer([[text("never")]]) as server:
        done = cli_ungraded(
            "--runs", "10", *SMALL, "--dry-run", "--output", str(tmp_path / "o"), env=surroundings(server)
        )
    assert done.returncode == 0 and server.requests == [] and not (tmp_path / "o").exists()
    assert "10 runs of slow_nbody by claude-sonnet-5-5" in done.stderr and "cost: at most $10.00" in done.stderr


# Nothing of value is lost


def test_the_last_state_of_a_file_is_graded_where_nothing_was_submitted_and_marked_so(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path, solution: str
) -> None:
    script = [
        [call("create", path="optimized_nbody.py", file_text="x = 1")],
        [call("create", path="optimized_nbody.py", file_text=solution)],
        [text("That is all.")],
    ]
    flags = ("--grade-last", "--grade-snapshots", "--name", "m", "--output", str(tmp_path))
    with MessagesServer(script) as server:
        done = cli("--runs", "1", *SMALL, *flags, env=surroundings(server))
    run = results(tmp_path)["runs"][0]
    assert run["outcome"] == "passed" and run["submission"]["snapshot_turn"] == 2, done.stderr
    assert "last state of the file, after turn 2: nothing was submitted" in done.stdout
    curve = [(entry["turn"], entry["outcome"], entry["best_so_far"]) for entry in run["snapshots"]]
    assert curve[0][:2] == (1, "crashed") and curve[0][2] is None
    assert curve[1][:2] == (2, "passed") and curve[1][2] == pytest.approx(run["speedup"]["estimate"])
    assert "Best so far" in done.stdout
    kept = [Path(entry["stored_at"]).read_text() for entry in run["snapshots"]]
    assert kept == ["x = 1", solution]


# What can be told before the start


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment", "cause"),
    [
        ((), {}, "no model credentials are set"),
        (("--model", "clode-9"), {"ANTHROPIC_API_KEY": KEY}, "no price is known for the model 'clode-9'"),
        (("--turns", "0"), {"ANTHROPIC_API_KEY": KEY}, "--turns 0"),
        (("--cost-limit", "-1"), {"ANTHROPIC_API_KEY": KEY}, "--cost-limit -1"),
        (("--job-cost-limit", "0"), {"ANTHROPIC_API_KEY": KEY}, "--job-cost-limit 0"),
        (("--job-cost-limit", "inf"), {"ANTHROPIC_API_KEY": KEY}, "--job-cost-limit inf"),
        (("--thinking", "99999999"), {"ANTHROPIC_API_KEY": KEY}, "--thinking 99999999"),
        (("--tools", "odd"), {"ANTHROPIC_API_KEY": KEY}, "--tools odd"),
        (("--price", "cheap"), {"ANTHROPIC_API_KEY": KEY}, "--price cheap: must be IN/OUT"),
        (("--base-url", "not an address"), {"ANTHROPIC_API_KEY": KEY}, "--base-url"),
        (("--system-prompt", "/nowhere"), {"ANTHROPIC_API_KEY": KEY}, "/nowhere cannot be read"),
    ],
)
def test_what_can_be_told_before_the_start_is(
    in_process: Callable[..., CompletedProcess[str]], tmp_path: Path, arguments: tuple[str, ...],
    environment: dict[str, str], cause: str,
) -> None:  # fmt: skip
    done = in_process(*SMALL, *arguments, "--output", str(tmp_path / "out"), env=environment)
    assert done.returncode in (2, 3) and cause in done.stderr and "hint: " in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_address_where_nobody_answers_is_an_infrastructure_fault(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    environment = {"ANTHROPIC_API_KEY": KEY, "RUNNER_TURN_S": "1", "NO_PROXY": "127.0.0.1"}
    done = cli_ungraded(*SMALL, "--base-url", "http://127.0.0.1:1", "--output", str(tmp_path / "o"), env=environment)
    assert done.returncode == 3 and "127.0.0.1:1: connection refused" in done.stderr and not (tmp_path / "o").exists()


def test_a_model_without_a_known_price_plays_where_the_user_wants_it(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    with MessagesServer([[text("no")]]) as server:
        flags = ("--model", "own-model", "--no-price-check", "--runs", "1", "--name", "m", "--output", str(tmp_path))
        done = cli_ungraded(*SMALL, *flags, env=surroundings(server))
    assert done.returncode == 0 and "cost: unknown" in done.stderr and (tmp_path / "m").is_dir()
