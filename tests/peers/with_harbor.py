"""Harbor: its linter on what we export, and its own program with our environment and our verifier."""

# /// script
# requires-python = ">=3.12"
# dependencies = ["harbor==0.26.0"]
# ///

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.bridges.harbor_export import ENVIRONMENT, VERIFIER, export_task
from runner.bridges.harbor_task import HARBOR_VERSION, read_harbor_task
from runner.job.api import grade
from runner.job.setup import load_task
from runner.sandbox.engine import Engine
from runner.settings import Settings
from tests.bridges.harbor_examples import EXAMPLES, write

TASK, SCALE = "slow_nbody", "small"
OFFLINE = {"HARBOR_TELEMETRY": "0", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
# It returns what it was given: fast, and wrong.
CHEAT = "def simulate(*arguments, **named):\n    return {}\n"
COMMAND = f"cat > /workspace/optimized_nbody.py <<'END'\n{CHEAT}END"
AGENT = f"""
from harbor.agents.nop import NopAgent

class Cheat(NopAgent):
    @staticmethod
    def name():
        return "cheat"

    async def run(self, instruction, environment, context):
        await environment.exec({COMMAND!r})
"""


def harbor(*arguments: str, where: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).parent / "harbor"), *arguments]
    environment = {**os.environ, **OFFLINE, **more}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=where, env=environment, timeout=900)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / TASK
    export_task(load_task(Settings(), TASK), SCALE, folder)
    return folder


@pytest.mark.parametrize(
    "name", ["slow_nbody", "slow_ml_training_complex", "slow_pairs", "hidden_expressions", "held_out_labels"]
)
def test_its_linter_finds_nothing_in_a_task_of_ours(tmp_path: Path, name: str) -> None:
    task = load_task(Settings(), name)
    export_task(task, next(iter(task.file.scales)), tmp_path / name)
    done = harbor("lint", str(tmp_path / name), "--json", where=tmp_path)
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stdout + done.stderr


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_own_reader_takes_the_tasks_that_our_importer_is_tested_with(tmp_path: Path, name: str) -> None:
    from harbor.models.task.task import Task

    folder = write(tmp_path / name, EXAMPLES[name])
    theirs, ours = Task(folder), read_harbor_task(folder)
    assert [step.name for step in theirs.config.steps or []] in ([], [step.name for step in ours.steps])
    assert theirs.config.schema_version == ours.schema


def trial(exported: Path, where: Path, engine: Engine, *agent: str) -> dict[str, Any]:
    """One trial's result, with what our verifier said of it."""
    flags = ("--env", ENVIRONMENT, "--verifier", VERIFIER, "--jobs-dir", str(where / "jobs"), "--n-concurrent", "1")
    done = harbor(
        "run", "-p", str(exported), *agent, *flags, where=where, DOCKER_HOST=engine.url, PYTHONPATH=str(where)
    )
    (path,) = (where / "jobs").glob("*/*/result.json")
    said = path.parent / "verifier" / "runner.json"
    assert said.is_file(), done.stdout[-3000:] + done.stderr[-3000:] + path.read_text()[-3000:]
    return {**json.loads(path.read_text()), "runner": json.loads(said.read_text())}


@pytest.mark.parametrize("agent", ["oracle", "nop", "cheat"])
def test_its_own_program_comes_to_the_outcome_that_runner_comes_to(
    exported: Path, tmp_path: Path, engine: Engine, images: None, measuring_cpu: str, agent: str
) -> None:
    task = load_task(Settings(), TASK)
    (tmp_path / "cheating.py").write_text(AGENT)
    content = {"oracle": task.oracle, "nop": task.baseline, "cheat": CHEAT.encode()}[agent]
    (ours,) = grade([content or b""], TASK, scale=SCALE)
    chosen = ("--agent", "cheating:Cheat" if agent == "cheat" else agent, "--yes")
    theirs = trial(exported, tmp_path, engine, *chosen)
    assert theirs["runner"]["outcome"] == ours.outcome.kind, theirs["runner"]
    assert theirs["verifier_result"]["rewards"]["reward"] == ours.reward
    assert theirs["runner"]["submitted"] is (agent != "nop") and theirs["exception_info"] is None


def test_the_version_is_the_one_that_our_pages_name() -> None:
    assert importlib.metadata.version("harbor") == HARBOR_VERSION
