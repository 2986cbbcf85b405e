"""`analyze` on a real job: the summary, the files, and what happens without an engine."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.job.parse import build_parser_spec, parse_sources
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from runner.tasks.strategies import load_strategies, rules_of
from runner.tasks.task import find_task

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


@pytest.fixture(scope="module")
def parser_spec(engine: Engine) -> SandboxSpec:
    return build_parser_spec(engine, Settings(), print)


def test_a_source_that_ends_its_parser_costs_only_itself(fleet: Fleet, parser_spec: SandboxSpec) -> None:
    deep = b"x = " + b"-" * 3_000_000 + b"1\n"
    facts = parse_sources(fleet, parser_spec, {"a": b"x = 1\n", "deep": deep, "b": b"y = 1\n"})
    assert facts["a"].error == "" and facts["a"].shapes == facts["b"].shapes != {}
    assert facts["deep"].error != ""


# What the flagship's scripted submissions were written to do, apart from the patterns that recognise it.
INTENDED = {
    "pairwise_gram": ("pairwise-vectorised", "slices", "bincount", "where"),
    "pairwise_cdist": ("pairwise-vectorised", "slices", "scatter-add", "where"),
    "pairwise_partition": ("pairwise-vectorised", "slices", "bin-by-bin", "where"),
    "bare_tensors": ("pairwise-vectorised", "slices", "bincount", "where"),
    "zscore": ("z-score", "slices", "bincount", "library"),
    "functions_only": ("z-score", "slices", "bincount", "library"),
    "standard_scaler": ("standard-scaler", "diff", "bincount", "library"),
    "magnitude": ("magnitude", "pixel-by-pixel", "add-at", "rows"),
}


def test_the_flagships_scripted_submissions_are_recognised_as_what_they_were_written_to_be(
    fleet: Fleet, parser_spec: SandboxSpec, project: Path
) -> None:
    task = find_task("slow_ml_training_complex", project / "problem_data")
    parts = load_strategies(task)
    files = task.folder / "episodes" / "files"
    sources = {name: (files / f"{name}.py").read_bytes() for name in INTENDED}
    facts = parse_sources(fleet, parser_spec, {"starter": task.baseline, **sources}, rules_of(parts))
    found = {
        name: tuple(
            "+".join(s.id for s in part.strategy if f"{part.name}/{s.id}" in (facts[name].matches or {}))
            for part in parts
        )
        for name in facts
    }
    starter = found.pop("starter")
    assert starter == ("as-in-the-starter", "pixel-by-pixel", "as-in-the-starter", "as-in-the-starter")
    assert found == INTENDED
