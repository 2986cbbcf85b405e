"""The commands of the documents run as they stand, one after the other, in a checkout of their own."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runner.sandbox.engine import Engine
from tests.documents import commands_in_blocks, documents
from tests.environment import clean_environment

# Those of a page may need what an earlier page made: the tutorial's job is the first one.
FIRST = "first-job.md"


def pages(project: Path) -> list[Path]:
    """Every page with commands to run, the tutorial first."""
    found = [page for page in documents(project) if any(map(is_ours, commands_in_blocks(page)))]
    return sorted(found, key=lambda page: page.name != FIRST)


def is_ours(command: str) -> bool:
    """Whether it is run here; a target of make is run by `make`, and only read by another test."""
    return command.startswith("python ")


@pytest.fixture
def checkout(project: Path, tmp_path: Path) -> Path:
    """A folder that looks like the project's, and takes what the commands write."""
    for name in ("runner", "problem_data", "images", "bench", "docs", "Makefile"):
        (tmp_path / name).symlink_to(project / name)
    return tmp_path


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
