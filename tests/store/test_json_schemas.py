"""The JSON Schemas of docs/reference hold for real files, and not for others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.records.run import Run, Totals
from runner.report.analysis.analysis import analyze_job
from runner.store.jobs import read_job
from runner.store.results import results_json
from tests.builders import make_run, make_ungraded

Check = Callable[[Any], list[str]]


@pytest.fixture(scope="module")
def checks(project: Path) -> dict[str, Check]:
    """By name, what a schema says against a value."""
    from jsonschema import Draft202012Validator

    made: dict[str, Check] = {}
    for name in ("results", "analysis"):
        schema = json.loads((project / "docs" / "reference" / f"{name}.schema.json").read_text())
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema)
        made[name] = lambda value, found=validator: [error.message for error in found.iter_errors(value)]  # type: ignore[misc]
    return made


def written_again(folder: Path) -> Any:
    """A job's results in the form that is written today."""
    job = read_job(folder)
    assert job.config is not None and job.totals is not None
    return as_json(results_json(job.config, list(job.runs.values()), job.totals, job.lock))


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["schema_1", "flagship"])
def test_a_job_of_an_earlier_form_is_read_and_written_in_the_form_of_the_schema(
    checks: dict[str, Check], project: Path, name: str
) -> None:
    folder = project / "tests" / "old_jobs" / name
    assert checks["results"](written_again(folder)) == []
    assert checks["results"](json.loads((folder / "results.json").read_text())) != []


@pytest.mark.slow
def test_runs_without_a_grading_or_an_episode_have_the_form_too(checks: dict[str, Check], project: Path) -> None:
    job = read_job(project / "tests" / "old_jobs" / "flagship")
    assert job.config is not None
    runs: list[Run] = [make_run(1), make_ungraded(2), make_ungraded(3, "infrastructure")]
    assert checks["results"](as_json(results_json(job.config, runs, Totals(runs=3), {}))) == []


@pytest.mark.parametrize("name", ["schema_1", "flagship"])
def test_an_analysis_has_the_form_of_its_schema(
    checks: dict[str, Check],
    project: Path,
    tmp_path: Path,
    in_process: Callable[..., CompletedProcess[str]],
    name: str,
) -> None:
    shutil.copytree(project / "tests" / "old_jobs" / name, tmp_path / "job")
    assert in_process("analyze", str(tmp_path / "job")).returncode == 0
    assert checks["analysis"](json.loads((tmp_path / "job" / "analysis.json").read_text())) == []


def test_an_empty_analysis_has_the_form_too(checks: dict[str, Check], project: Path) -> None:
    from dataclasses import asdict

    job = read_job(project / "tests" / "old_jobs" / "flagship")
    assert job.config is not None
    assert checks["analysis"](as_json(asdict(analyze_job(job.config, [], {})))) == []


@pytest.mark.slow
def test_a_key_that_is_missing_or_unknown_is_found(checks: dict[str, Check], project: Path) -> None:
    good = written_again(project / "tests" / "old_jobs" / "flagship")
    for spoil in ("pop", "add", "change"):
        bad = as_json(good)
        if spoil == "pop":
            del bad["runs"][0]["samples"][0]["seconds"]
        elif spoil == "add":
            bad["runs"][0]["surprise"] = 1
        else:
            bad["runs"][0]["outcome"] = "splendid"
        assert len(checks["results"](bad)) == 1


def test_the_example_of_the_documents_has_the_form(checks: dict[str, Check], project: Path) -> None:
    folder = project / "docs" / "examples" / "ten-runs"
    for name, check in checks.items():
        assert check(json.loads((folder / f"{name}.json").read_text())) == []
