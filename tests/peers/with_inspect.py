"""Inspect AI: its own self-check of sandboxes against ours, and our logs as it reads them."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["inspect-ai==0.3.285"]
# ///

import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries
from inspect_ai.util import SandboxEnvironment, SandboxUnavailableError, SandboxUserUnsupportedError
from inspect_ai.util._sandbox import self_check
from inspect_ai.util._sandbox.registry import registry_find_sandboxenv
from inspect_ai.util._sandbox.self_check import *  # noqa: F403

from runner.export.inspect_log import INSPECT_VERSION, log_bytes, log_name
from runner.records.episode import EpisodeSummary, Limit, Limits, Usage
from runner.records.run import JobConfig
from runner.sandbox.engine import Engine
from runner.store.transcript import read_transcript
from tests.builders import make_grading, make_run, make_ungraded
from tests.export.recorded_episode import EPISODE

pytestmark = pytest.mark.anyio
Run = Callable[..., CompletedProcess[str]]
JOBS = ("tests/old_jobs/schema_1", "tests/old_jobs/flagship", "docs/examples/ten-runs")
NEEDS_ROOT = self_check.test_exec_as_user
del test_exec_as_user  # noqa: F821


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def shared(engine: Engine, images: None, anyio_backend: str) -> AsyncIterator[SandboxEnvironment]:
    provider = registry_find_sandboxenv("runner")
    await provider.task_init("check", None)
    environments = await provider.sample_init("check", None, {})
    yield environments["default"]
    await provider.sample_cleanup("check", None, environments, False)


@pytest.fixture
def sandbox_env(shared: SandboxEnvironment) -> SandboxEnvironment:
    return shared


def test_all_checks_of_the_peer_are_tried() -> None:
    assert len(self_check.__all__) == 44
    assert set(self_check.__all__) - set(globals()) == {NEEDS_ROOT.__name__}


async def test_the_one_check_that_needs_root_is_refused_by_name(sandbox_env: SandboxEnvironment) -> None:
    with pytest.raises(SandboxUserUnsupportedError, match="no 'root'"):
        await NEEDS_ROOT(sandbox_env)


def of_inspect(engine: Engine) -> set[str]:
    """Sandboxes of this provider, whoever else plays episodes on this engine."""
    found = engine.client.api.containers(all=True, filters={"label": "runner.role=agent"})
    return {one["Id"] for one in found if one["Labels"]["runner.job"].startswith("inspect-")}


async def test_a_command_that_nobody_waits_for_is_ended_and_the_next_one_runs(sandbox_env: SandboxEnvironment) -> None:
    with anyio.move_on_after(2):
        await sandbox_env.exec(["sleep", "987"])
    with anyio.fail_after(30):
        left = await sandbox_env.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"])
    assert "sleep 987" not in left.stdout and left.success


async def test_a_sandbox_that_has_ended_is_said_to_be_unavailable_and_is_cleaned_up(
    engine: Engine, images: None, anyio_backend: str
) -> None:
    before, provider = of_inspect(engine), registry_find_sandboxenv("runner")
    environments = await provider.sample_init("check", provider.config_deserialize({"memory_mb": 1024}), {})
    (mine,) = of_inspect(engine) - before
    engine.client.api.kill(mine)
    with pytest.raises(SandboxUnavailableError, match="killed from outside"):
        await environments["default"].exec(["true"])
    await provider.sample_cleanup("check", None, environments, True)
    assert of_inspect(engine) <= before


# Our logs, as the peer reads them

HOSTILE = st.one_of(
    st.text(st.characters(), max_size=30),
    st.sampled_from(
        ["\x00", "\ud800", "\u2028", "]]>", "../../etc/passwd", "a/b\\c", "1e999", "NaN", "{" * 200, "\U0010ffff" * 300]
    ),
)


@given(HOSTILE, HOSTILE, HOSTILE)
@settings(max_examples=25, deadline=None)
def test_no_text_of_an_episode_makes_a_log_that_cannot_be_read(name: str, said: str, reason: str) -> None:
    call = {"id": name, "tool": name, "input": {said: [said]}}
    turn = {"event": "turn", "turn": 1, "at": said, "say": said, "calls": [call]}
    told = {"event": "answer", "at": said, "call": name, "text": said, "is_error": False}
    with tempfile.TemporaryDirectory() as folder:
        transcript = Path(folder) / "transcript.jsonl"
        transcript.write_text("".join(json.dumps(event) + "\n" for event in (turn, told)))
        config = JobConfig(name="j", task=name, agent=name, model=name, runs=1, started=said)
        path = Path(folder) / log_name(config)
        assert path.parent == Path(folder)
        run = make_run(1, make_grading("too_slow", reason=reason))
        path.write_bytes(log_bytes(config, [(run, read_transcript(transcript))], "0.1"))
        log, head = read_eval_log(str(path)), read_eval_log(str(path), header_only=True)
    assert head.results == log.results and log.samples and log.samples[0].scores
    assert log.samples[0].scores["runner"].value == 0


def read_log(path: Path) -> dict[str, Any]:
    """The log, its head and its summaries, as the peer's reader finds them."""
    log, head = read_eval_log(str(path)), read_eval_log(str(path), header_only=True)
    summaries = [one.model_dump(mode="json") for one in read_eval_log_sample_summaries(str(path))]
    return {"log": log.model_dump(mode="json"), "head": head.model_dump(mode="json"), "summaries": summaries}


@pytest.mark.parametrize("name", JOBS)
def test_inspects_own_reader_finds_every_run_with_its_score_and_messages(
    in_process: Run,
    project: Path,
    tmp_path: Path,
    name: str,
) -> None:
    done = in_process("export", name, "--format", "inspect", "--output", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    read = read_log(Path(json.loads(done.stdout)["path"]))
    recorded = json.loads((project / name / "results.json").read_text())
    log, head = read["log"], read["head"]
    assert (log["status"], log["version"], head["samples"]) == ("success", 2, None)
    assert head["eval"] == log["eval"] and log["eval"]["task"] == recorded["job"]["task"]
    assert head["results"]["scores"][0]["metrics"]["mean"]["value"] == recorded["totals"]["pass_rate"]
    assert head["eval"]["config"]["time_limit"] == recorded["job"]["limits"]["wall_s"]
    for run, sample, summary in zip(recorded["runs"], log["samples"], read["summaries"], strict=True):
        assert sample["epoch"] == summary["epoch"] == run["number"] and sample["error"] is None
        score = sample["scores"]["runner"]
        assert (score["value"], score["answer"], score["explanation"]) == (run["reward"], run["outcome"], run["reason"])
        assert sample["total_time"] == pytest.approx(run["episode"]["seconds"], abs=0.001)
        if not (project / name / f"run_{run['number']}" / "transcript.jsonl").exists():
            assert sample["messages"] == []
            continue
        calls = [call["id"] for message in sample["messages"] for call in message.get("tool_calls") or ()]
        answers = [m["tool_call_id"] for m in sample["messages"] if m["role"] == "tool"]
        said = [message for message in sample["messages"] if message["role"] == "assistant"]
        assert len(said) == run["episode"]["turns"] and answers == calls[: len(answers)]
        assert len(answers) == run["episode"]["calls"] and summary["message_count"] == len(sample["messages"])


def test_inspects_own_reader_tells_faults_limits_and_usage_apart(
    tmp_path: Path,
) -> None:
    usage = Usage(input=10, cache_write=20, cache_read=30, output=4)
    spent = [
        EpisodeSummary(turns=1, calls=0, seconds=2.0, ending=limit, dollars=0.5, usage=usage, working_s=1.5)
        for limit in Limit
    ]
    runs = [replace(make_ungraded(number), episode=episode) for number, episode in enumerate(spent, 1)]
    runs += [
        make_ungraded(21, "infrastructure", "the engine\udc80 \x00"),
        make_ungraded(22, "inconclusive"),
        make_run(23),
    ]
    limits = Limits(turns=3, tokens=1000, output_tokens=500, dollars=2.0, wall_s=9.5, working_s=8.0)
    config = JobConfig(
        name="j",
        task="t",
        agent="model",
        model="m/x",
        runs=12,
        limits=limits,
        dollars_max=9.0,
        started="2026-01-02T03:04:05+00:00",
    )
    path = tmp_path / log_name(config)
    path.write_bytes(log_bytes(config, [(run, None) for run in runs], "0.1"))
    read = read_log(path)
    log, samples = read["log"], {sample["epoch"]: sample for sample in read["log"]["samples"]}
    assert path.name.startswith("2026-01-02T03-04-05+00-00_t_") and log["status"] == "cancelled"
    assert samples[21]["scores"] is None and samples[21]["error"]["message"].startswith("the engine?")
    assert samples[22]["scores"] is None and samples[22]["error"] is None and samples[22]["metadata"]["reason"]
    assert samples[23]["scores"]["runner"]["metadata"]["speedup"] == pytest.approx(51.234)
    found = {limit: samples[number]["limit"] for number, limit in enumerate(Limit, 1)}
    assert {limit: (one["type"], one["limit"]) for limit, one in found.items() if one} == {
        Limit.TURNS: ("turn", 3), Limit.OUTPUT_TOKENS: ("token", 500), Limit.TOKENS: ("token", 1000),
        Limit.DOLLARS: ("cost", 2.0), Limit.WALL_CLOCK: ("time", 9.5), Limit.WORKING_TIME: ("working", 8.0),
        Limit.JOB_DOLLARS: ("cost", 9.0),
    }  # fmt: skip
    (used,) = samples[1]["model_usage"].values()
    assert (used["input_tokens"], used["output_tokens"], used["total_tokens"], used["total_cost"]) == (10, 4, 64, 0.5)
    assert (used["input_tokens_cache_write"], used["input_tokens_cache_read"]) == (20, 30)
    score = log["results"]["scores"][0]
    assert (score["scored_samples"], score["unscored_samples"]) == (9, 2)
    assert log["results"]["completed_samples"] == log["results"]["total_samples"] - 1


def test_a_models_conversation_is_kept_with_thoughts_broken_calls_and_errors_and_no_damage_breaks_the_log(
    tmp_path: Path,
) -> None:
    path = tmp_path / "transcript.jsonl"
    more: list[dict[str, object]] = [
        {"event": "answer", "at": "yesterday", "call": "nobody", "text": "late", "is_error": False},
        {"event": "later", "at": "yesterday"},
    ]
    path.write_bytes("".join(json.dumps(event) + "\n" for event in [*EPISODE[:-1], *more]).encode() + b'{"event": "e')
    config = JobConfig(name="j", task="t", agent="model", model="m-1", runs=1, started="yesterday")
    log_path = tmp_path / log_name(config)
    log_path.write_bytes(log_bytes(config, [(make_run(), read_transcript(path))], "0.1"))
    (sample,) = read_log(log_path)["log"]["samples"]
    system, user, said, *answers = sample["messages"]
    assert (system["role"], system["content"], user["content"]) == ("system", "Be fast.", "Do it.\n[left: 9]")
    assert [part["type"] for part in said["content"]] == ["reasoning", "text"]
    assert (said["content"][0]["reasoning"], said["content"][1]["text"]) == ("Hm.", "I look.?")
    assert [(call["id"], call["function"], call["parse_error"]) for call in said["tool_calls"]] == [
        ("a", "bash", None),
        ("b", "v", "{"),
    ]
    found = [(answer["tool_call_id"], answer["content"], answer["error"] is not None) for answer in answers]
    assert found == [("a", "\x1b[31mred", False), ("b", "no JSON", True)]
    assert sample["metadata"]["notes"] == ["outputs were cleared"] and sample["metadata"]["unreadable_lines"] == 1
    assert sample["input"] == user["content"] and sample["output"]["choices"][0]["stop_reason"] == "tool_calls"


def test_inspects_own_commands_list_and_dump_it(in_process: Run, tmp_path: Path) -> None:
    done = in_process("export", JOBS[0], "--format", "inspect", "--output", str(tmp_path), "--json")
    path = json.loads(done.stdout)["path"]

    def inspect(*arguments: str) -> str:
        command = [str(Path(sys.executable).parent / "inspect"), "log", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    (listed,) = json.loads(inspect("list", "--json", "--log-dir", str(tmp_path)))
    assert listed["task"] == "slow-nbody" and listed["name"].endswith(Path(path).name)
    assert len(json.loads(inspect("dump", path))["samples"]) == 4


def test_the_version_is_the_one_that_our_pages_name() -> None:
    import inspect_ai

    assert inspect_ai.__version__ == INSPECT_VERSION
