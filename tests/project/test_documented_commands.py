"""The commands of the documents run as they stand, one after the other, in a checkout of their own."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runner.sandbox.engine import Engine
from tests.documents import commands_in_blocks, documents, steps_in
from tests.environment import clean_environment

# Those of a page may need what an earlier page made: the tutorial's job is the first one, and is what is read next.
FIRST = ("read-a-job.md", "first-job.md")
# Has files to write between its commands: a test of its own goes through it.
OWN_TASK = "your-own-task.md"


def pages(project: Path) -> list[Path]:
    """Every page with commands to run, the tutorial first, and then how its job is read."""
    found = [p for p in documents(project) if p.name != OWN_TASK and any(map(is_ours, commands_in_blocks(p)))]
    return sorted(found, key=lambda page: FIRST.index(page.name) if page.name in FIRST else -1, reverse=True)


def is_ours(command: str) -> bool:
    """Whether it is run here; a target of make is run by `make`, and only read by another test."""
    return command.startswith("python ")


@pytest.fixture
def checkout(project: Path, tmp_path: Path) -> Path:
    """A folder that looks like the project's, and takes what the commands write."""
    for name in ("runner", "problem_data", "images", "bench", "docs", "Makefile"):
        (tmp_path / name).symlink_to(project / name)
    return tmp_path


@pytest.mark.usefixtures("measuring_cpu")
def test_every_command_in_a_block_ends_well(project: Path, checkout: Path, engine: Engine, home: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = clean_environment(home, PATH=path, DOCKER_HOST=engine.url, ANTHROPIC_API_KEY="sk-ant-not-a-key")
    commands = dict.fromkeys(c for page in pages(project) for c in commands_in_blocks(page) if is_ours(c))
    failed = {}
    for command in commands:
        done = subprocess.run(
            shlex.split(command),
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode != 0:
            failed[command] = (done.returncode, done.stderr[-600:])
    assert len(commands) >= 12 and failed == {}


@pytest.mark.usefixtures("measuring_cpu", "nbody_spec")
def test_a_newcomer_goes_from_nothing_to_ten_graded_runs_of_his_own_task(
    project: Path, checkout: Path, engine: Engine, home: str
) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = clean_environment(home, PATH=path, DOCKER_HOST=engine.url)
    steps = list(steps_in(project / "docs" / "tutorial" / OWN_TASK))
    assert len([name for name, _ in steps if name]) == 3 and len(steps) >= 8
    for name, text in steps:
        if name:
            assert (checkout / name).is_file()  # each replaces what `init` wrote
            (checkout / name).write_text(text)
            continue
        done = subprocess.run(
            shlex.split(text), cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        # a loaded host may leave a run inconclusive
        assert done.returncode in ((0, 5) if "--runs" in text else (0,)), (
            text,
            done.stdout[-2000:],
            done.stderr[-600:],
        )
    runs = json.loads((checkout / "output" / "mine" / "results.json").read_text())["runs"]
    graded = [run["outcome"] for run in runs]
    assert len(graded) == 10 and graded[2::3] == ["no_submission"] * 3 and set(graded[1::3]) == {"inaccurate"}
    assert set(graded[0::3]) <= {"passed", "inconclusive"}
