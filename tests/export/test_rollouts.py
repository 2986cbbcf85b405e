"""An episode as a line for a trainer: every word and result of the conversation, and a reward that may be missing."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.export.rollouts import rollout
from runner.records.run import Run
from runner.store.transcript import read_transcript
from tests.builders import make_run, make_ungraded
from tests.export.test_atif import EPISODE


@pytest.fixture
def line(tmp_path: Path) -> Callable[[Run | None], dict[str, object]]:
    """Makes the line of the episode of the ATIF tests."""
    path = tmp_path / "transcript.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in EPISODE))
    return lambda run: rollout(read_transcript(path), "j/run_2", "0.1.0", run)


def test_a_conversation_is_messages_with_calls_and_their_results(line: Callable[..., dict[str, object]]) -> None:
    messages = line(make_run())["messages"]
    assert isinstance(messages, list)
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "tool"]
    calls = messages[2]["tool_calls"]
    assert [(call["id"], call["function"]["name"]) for call in calls] == [("a", "bash"), ("b", "v")]
    assert json.loads(calls[0]["function"]["arguments"])["command"] is None and calls[1]["function"]["arguments"] == "{"
    assert [(message["tool_call_id"], message["content"]) for message in messages[3:]] == [
        ("a", "\x1b[31mred"),
        ("b", "no JSON"),
    ]


def test_a_request_without_an_answer_is_no_message(tmp_path: Path) -> None:
    refused = {"event": "response", "turn": 2, "tries": [], "error": "BudgetExceeded: job dollars"}
    path = tmp_path / "transcript.jsonl"
    events = [*EPISODE[:-1], {"event": "request", "turn": 2, "sha256": "1"}, refused, EPISODE[-1]]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    messages = rollout(read_transcript(path), "j/run_2", "0.1.0", make_run())["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "tool"]


@pytest.mark.parametrize(
    ("run", "reward"),
    [(make_run(), 1.0), (make_ungraded(), 0.0), (make_ungraded(kind="infrastructure"), None), (None, None)],
)
def test_a_reward_that_there_is_not_is_null_with_a_reason(
    line: Callable[..., dict[str, object]], run: Run | None, reward: float | None
) -> None:
    found = json.loads(json.dumps(line(run), allow_nan=False))
    assert found["reward"] == reward and found["reason"] and found["task"] == "t" and len(found["tools"]) == 2


def test_the_command_writes_a_line_for_each_episode(
    in_process: Callable[..., CompletedProcess[str]], project: Path, tmp_path: Path
) -> None:
    job = project / "docs" / "examples" / "ten-runs"
    done = in_process("export", str(job), "--format", "rollouts", "--output", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    lines = [json.loads(text) for text in Path(said["path"]).read_text().splitlines()]
    recorded = {f"run_{run['number']}": run["reward"] for run in json.loads((job / "results.json").read_text())["runs"]}
    assert len(lines) == said["runs"] == 10
    assert all(recorded[found["rollout"].split("/")[-1]] == found["reward"] for found in lines)
    missing = in_process("export", str(job), "--format", "rollouts", "--run", "99")
    assert missing.returncode == 2 and "has no transcript of run" in missing.stderr
