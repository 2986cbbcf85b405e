"""A transcript as an ATIF trajectory: valid by the format's own models, with nothing of value left out."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from atif import Trajectory

from runner.export.atif import trajectory
from runner.records.run import Run as RunRecord
from runner.store.transcript import read_transcript
from tests.builders import make_run
from tests.export.recorded_episode import ASKED, END, EPISODE, START, USAGE

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def cli(in_process: Run) -> Run:
    """No test here needs an engine."""
    return in_process


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Trajectory]:
    """The trajectory of some events, as it is after a way through a file."""

    def made(events: list[dict[str, Any]], run: RunRecord | None = None, tail: bytes = b"") -> Trajectory:
        path = tmp_path / "transcript.jsonl"
        path.write_bytes("".join(json.dumps(event) + "\n" for event in events).encode() + tail)
        document = trajectory(read_transcript(path), "j/run_2", "0.1.0", run)
        return Trajectory.model_validate_json(json.dumps(document, allow_nan=False, ensure_ascii=False).encode("utf-8"))

    return made


def test_a_models_turn_is_a_step_with_calls_observations_thoughts_and_metrics(
    exported: Callable[..., Trajectory],
) -> None:
    found = exported(EPISODE, make_run())
    system, user, agent, note = found.steps
    assert (system.message, user.message) == ("Be fast.", "Do it.\n[left: 9]")
    assert agent.message == "I look.?" and agent.reasoning_content == "Hm." and agent.llm_call_count == 2
    assert [(call.tool_call_id, call.function_name) for call in agent.tool_calls or []] == [("a", "bash"), ("b", "v")]
    assert agent.observation is not None and agent.metrics is not None
    assert [(one.source_call_id, one.content) for one in agent.observation.results] == [
        ("a", "\x1b[31mred"),
        ("b", "no JSON"),
    ]
    metrics = agent.metrics
    assert (metrics.prompt_tokens, metrics.completion_tokens, metrics.cached_tokens) == (427, 50, 300)
    assert metrics.cost_usd == pytest.approx(0.04)
    assert note.source == "system" and note.message == "outputs were cleared"


def test_the_whole_names_session_agent_model_tools_and_sums(exported: Callable[..., Trajectory]) -> None:
    found = exported(EPISODE, make_run())
    assert (found.schema_version, found.session_id) == ("ATIF-v1.8", "j/run_2")
    assert (found.agent.name, found.agent.version, found.agent.model_name) == ("model", "0.1.0", "m-1")
    assert [tool.get("type") for tool in found.agent.tool_definitions or []] == ["function", "bash_20250124"]
    sums = found.final_metrics
    assert sums is not None and sums.extra is not None and sums.total_cost_usd == pytest.approx(0.04)
    assert (sums.total_prompt_tokens, sums.total_completion_tokens, sums.total_cached_tokens) == (427, 50, 300)
    assert (sums.total_steps, sums.extra["outcome"], sums.extra["speedup"]) == (4, "passed", 51.234)


def test_an_agent_without_a_model_has_neither_metrics_nor_thoughts(exported: Callable[..., Trajectory]) -> None:
    found = exported([{**START, "model": ""}, *EPISODE[3:]])
    user, agent, _ = found.steps
    assert user.message == "[the instruction of task t, SHA-256 ab]"
    assert (agent.metrics, agent.llm_call_count, found.agent.model_name) == (None, 0, None)


def test_a_question_without_an_answer_is_paid_for_in_the_sums(exported: Callable[..., Trajectory]) -> None:
    failed = {
        "event": "response",
        "turn": 1,
        "tries": [{"usage": USAGE, "dollars": 0.5, "error": "cut"}],
        "error": "ModelFault",
    }
    unsent = {"event": "response", "turn": 2, "tries": [], "error": "BudgetEnded: dollars"}
    found = exported([START, ASKED, failed, {**END, "ending": "infrastructure"}])
    assert found.final_metrics is not None and found.final_metrics.total_cost_usd == 0.5
    assert found.steps[-1].extra is not None and found.steps[-1].extra["error"] == "ModelFault"
    assert exported([START, ASKED, unsent]).steps[-1].metrics is None


def test_a_transcript_that_was_cut_off_says_so_in_its_notes(exported: Callable[..., Trajectory]) -> None:
    found = exported(EPISODE[:-1], tail=b'{"event": "en')
    assert "line 9 of the transcript cannot be read" in (found.notes or "") and "has no end" in (found.notes or "")
    assert exported([]).agent.name == "unknown"


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "j"
    for number in (1, 2):
        (folder / f"run_{number}").mkdir(parents=True)
        text = "".join(json.dumps(event) + "\n" for event in EPISODE)
        (folder / f"run_{number}" / "transcript.jsonl").write_text(text)
    lock, runs = {"runner": "9.8.7"}, [{"number": 1, "outcome": "too_slow", "reward": 0.0}]
    (folder / "results.json").write_text(json.dumps({"job": {}, "totals": {}, "lock": lock, "runs": runs}))
    return folder


def test_each_run_of_a_job_is_written_beside_its_transcript(cli: Run, job: Path) -> None:
    done = cli("export", str(job))
    assert done.returncode == 0, done.stderr
    for number in (1, 2):
        path = job / f"run_{number}" / "trajectory.atif.json"
        found = Trajectory.model_validate_json(path.read_bytes())
        assert f"run {number}: {path}" in done.stdout and found.session_id == f"j/run_{number}"
        assert found.agent.version == "9.8.7"


def test_one_run_goes_to_a_file_and_several_to_a_folder(cli: Run, job: Path, tmp_path: Path) -> None:
    assert cli("export", str(job), "--run", "2", "--output", str(tmp_path / "one.json")).returncode == 0
    assert cli("export", str(job), "--output", str(tmp_path / "all")).returncode == 0
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["j_run_1.atif.json", "j_run_2.atif.json"]
    assert Trajectory.model_validate_json((tmp_path / "one.json").read_bytes()).session_id == "j/run_2"


def test_a_run_that_cannot_be_written_is_listed_and_the_others_are_written(cli: Run, job: Path) -> None:
    results = json.loads((job / "results.json").read_text())
    (job / "results.json").write_text(json.dumps({**results, "runs": [{**results["runs"][0], "outcome": 3}]}))
    done = cli("export", str(job))
    assert done.returncode == 3 and "run 1: cannot be exported: run 1: " in done.stdout
    assert not (job / "run_1" / "trajectory.atif.json").exists()
    assert (job / "run_2" / "trajectory.atif.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("--format", "xml"), "is not one of 'atif'"),
        (("--run", "7"), "has no transcript of run 7"),
        (("--output", "x.json"), "is one file, and the job has several runs"),
    ],
)
def test_what_cannot_be_written_is_said_with_a_hint(
    cli: Run, job: Path, arguments: tuple[str, ...], cause: str
) -> None:
    done = cli("export", str(job), *arguments)
    assert done.returncode == 2 and cause in done.stderr and "hint: " in done.stderr
