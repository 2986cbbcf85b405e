"""`compare` and `list`: what they say of real jobs, for a person and for a program."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import typer

from runner.cli.app import app

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def jobs(project: Path, tmp_path: Path) -> Path:
    """A folder with two jobs, a link to one of them, one that is cut off, and something else."""
    for name in ("schema_1", "flagship"):
        shutil.copytree(project / "tests" / "old_jobs" / name, tmp_path / name)
    (tmp_path / "latest").symlink_to("flagship")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "results.json").write_text('{"job"')
    (tmp_path / "notes").mkdir()
    return tmp_path


@pytest.mark.slow
def test_a_list_names_each_job_once_with_what_cannot_be_read(in_process: Run, jobs: Path) -> None:
    done = in_process("list", str(jobs))
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 5
    assert lines[0].split() == ["date", "job", "task", "agent", "runs", "pass", "rate", "cost"]
    assert lines[2].split() == [
        "2026-11-27", "01:40", "flagship", "slow_ml_training_complex", "full", "scripted",
        "10", "of", "10", "4/10", "40", "%", "$0.00",
    ]  # fmt: skip
    assert lines[4].startswith("Cannot be read: cut: ")
    rows = json.loads(in_process("list", str(jobs), "--json").stdout)
    assert [row["job"] for row in rows] == ["cut", "flagship", "schema_1"] and rows[1]["passed"] == 4


def test_a_folder_without_jobs_says_so(in_process: Run, tmp_path: Path) -> None:
    assert in_process("list", str(tmp_path)).stdout == f"{tmp_path} holds no job\n"


def test_a_job_is_compared_with_one_of_its_task_and_refused_figure_by_figure_with_another(
    in_process: Run, jobs: Path
) -> None:
    results = json.loads((jobs / "flagship" / "results.json").read_text())
    results["job"]["name"] = "later"
    for run in results["runs"]:
        run["outcome"] = "passed" if run["outcome"] == "missing_component" else run["outcome"]
    (jobs / "later").mkdir()
    (jobs / "later" / "results.json").write_text(json.dumps(results))
    done = in_process("compare", *(str(jobs / name) for name in ("flagship", "later", "schema_1")))
    assert done.returncode == 0, done.stderr
    assert "Pass rate: +30 points (95 %: -12 to +60): these runs cannot tell" in done.stdout
    assert "Speed-up (geometric mean over measured runs): 1.00 times" in done.stdout
    assert "Pass rate: not compared, different tasks" in done.stdout and "Cost of a run: the same" in done.stdout
    said: dict[str, Any] = json.loads(
        in_process("compare", str(jobs / "flagship"), str(jobs / "later"), "--json").stdout
    )
    assert [job["name"] for job in said["jobs"]] == ["before", "later"] and not said["against_first"][0]["rate"]["told"]


def test_one_job_alone_is_not_compared(in_process: Run, jobs: Path) -> None:
    done = in_process("compare", str(jobs / "flagship"))
    assert done.returncode == 2 and "nothing to be compared with" in done.stderr


SERVERS = {"mcp", "serve"}  # they print for no reader: another program's messages go over their output, or none do


def test_every_command_can_write_json() -> None:
    root: Any = typer.main.get_command(app)
    without = [
        name for name, command in root.commands.items() if "--json" not in [o for p in command.params for o in p.opts]
    ]
    assert len(root.commands) >= 10 and set(without) <= SERVERS
