"""A task whose submission is the answer: a job of it, graded without a measurement."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
TASK = "held_out_labels"


@pytest.fixture(scope="module")
def job(shared_cli: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    output = tmp_path_factory.mktemp("answers")
    done = shared_cli("--task", TASK, "--runs", "3", "--agent", "scripted", "--name", "three", "--output", str(output))
    assert done.returncode == 0, done.stderr
    return output / "three", done


@pytest.fixture(scope="module")
def runs(job: tuple[Path, Any]) -> list[dict[str, Any]]:
    return json.loads((job[0] / "results.json").read_text())["runs"]


def test_each_file_is_scored_on_the_host(runs: list[dict[str, Any]]) -> None:
    assert [run["outcome"] for run in runs] == ["passed", "inaccurate", "bad_answer"]
    assert runs[0]["quality"]["candidate"] > 0.8 > runs[1]["quality"]["candidate"]
    assert "asked for were the names label" in runs[2]["reason"]


def test_a_number_that_nobody_measured_is_in_no_record_and_on_no_page(
    job: tuple[Path, subprocess.CompletedProcess[str]], runs: list[dict[str, Any]]
) -> None:
    for run in runs:
        assert run["speedup"] is None and run["samples"] == [] and set(run["seconds"].values()) == {None}
    folder, done = job
    assert "Speedup" not in done.stdout and "PERFORMANCE" not in done.stdout and "Time -" not in done.stdout
    assert "  Accuracy: 0." in done.stdout and "Pass Rate: 33.3%" in done.stdout
    assert (folder / "report.html").is_file() and "nan" not in (folder / "analysis.md").read_text().lower()


def test_the_verdicts_follow_from_the_record_alone(job: tuple[Path, Any], cli: Run) -> None:
    done = cli("regrade", str(job[0]), "--offline")
    assert done.returncode == 0, done.stderr


def test_the_solution_passes_and_a_file_that_is_too_large_is_refused(cli: Run, project: Path, tmp_path: Path) -> None:
    solution = project / "problem_data" / TASK / "solution" / "predictions.csv"
    assert cli("grade", "--task", TASK, str(solution)).returncode == 0
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(1024**3)
    done = cli("grade", "--task", TASK, str(large))
    assert done.returncode == 2 and "has 1073741824 bytes, the task allows 16384" in done.stderr
