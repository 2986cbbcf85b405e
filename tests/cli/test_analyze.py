"""`analyze` on a real job: the summary, the files, and what happens without an engine."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.job.parse import parse_sources
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def old_job(project: Path, tmp_path: Path) -> Path:
    shutil.copytree(project / "tests" / "old_jobs" / "schema_1", tmp_path / "job")
    return tmp_path / "job"


def test_a_job_is_analysed_with_its_submissions_parsed_in_a_sandbox(cli: Run, old_job: Path) -> None:
    done = cli("analyze", str(old_job))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) <= 41 and "Convergence: " in done.stdout and "Best: run " in done.stdout
    written = json.loads((old_job / "analysis.json").read_text())
    assert written["of_counted"]["counted"] == 4 and written["convergence"]["runs"] == [1, 2, 4]
    assert (old_job / "analysis.md").read_text().startswith("# What the runs of ")


def test_without_an_engine_everything_but_the_similarity_is_said(plain_cli: Run, old_job: Path) -> None:
    done = plain_cli("analyze", str(old_job), "--json")
    assert done.returncode == 0 and "the submissions are not compared" in done.stderr
    said = json.loads(done.stdout)
    assert said["convergence"] is None and said["curve"]["runs"] == 4 and said["no_convergence"]


@pytest.mark.parametrize("want", ["40..10%", "a..b", "10", "-1..5", "50..200"])
def test_a_wrong_range_is_explained(plain_cli: Run, old_job: Path, want: str) -> None:
    done = plain_cli("analyze", str(old_job), "--want", want)
    assert done.returncode == 2 and f"--want {want}" in done.stderr and "hint: " in done.stderr


def test_a_job_without_runs_is_explained(plain_cli: Run, tmp_path: Path) -> None:
    results = {"job": {}, "totals": {}, "lock": {}, "runs": []}
    (tmp_path / "results.json").write_text(json.dumps(results))
    done = plain_cli("analyze", str(tmp_path))
    assert done.returncode == 2 and "no run with an outcome" in done.stderr


def test_a_source_that_ends_its_parser_costs_only_itself(fleet: Fleet, nbody_spec: SandboxSpec) -> None:
    deep = b"x = " + b"-" * 3_000_000 + b"1\n"
    facts = parse_sources(fleet, nbody_spec, {"a": b"x = 1\n", "deep": deep, "b": b"y = 1\n"})
    assert facts["a"].error == "" and facts["a"].shapes == facts["b"].shapes != {}
    assert facts["deep"].error != ""
