"""`analyze` on a real job: the summary, the files, and what happens without an engine."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.cli import analyze as command
from runner.job.material import analysis_of
from runner.job.parse import build_parser_spec, parse_sources
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def old_job(project: Path, tmp_path: Path) -> Path:
    shutil.copytree(project / "tests" / "old_jobs" / "schema_1", tmp_path / "job")
    return tmp_path / "job"


def test_a_job_is_analysed_with_its_submissions_parsed_in_a_sandbox(cli_ungraded: Run, old_job: Path) -> None:
    done = cli_ungraded("analyze", str(old_job))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) <= 41 and "Convergence: " in done.stdout and "Best: run " in done.stdout
    written = json.loads((old_job / "analysis.json").read_text())
    assert written["of_counted"]["counted"] == 4 and written["convergence"]["runs"] == [1, 2, 4]
    assert (old_job / "analysis.md").read_text().startswith("# What the runs of ")
    assert "how each part was solved: the task slow_nbody has no strategies.toml" in written["missing"]


def test_a_submission_that_does_not_parse_is_kept_and_named(cli_ungraded: Run, old_job: Path) -> None:
    (old_job / "run_2" / "optimized_nbody.py").write_text("def simulate(:\n")
    done = cli_ungraded("analyze", str(old_job))
    assert done.returncode == 0 and "  Run 2 does not parse: SyntaxError" in done.stdout
    written = json.loads((old_job / "analysis.json").read_text())
    assert written["convergence"]["runs"] == [1, 4] and written["of_counted"]["counted"] == 4


def test_without_an_engine_everything_but_the_similarity_is_said(in_process: Run, old_job: Path) -> None:
    done = in_process("analyze", str(old_job), "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 0 and any("the submissions are not compared" in line for line in said["missing"])
    assert said["convergence"] is None and said["curve"]["runs"] == 4 and said["no_convergence"]


def test_the_analysis_goes_to_the_job_that_a_link_named_where_it_names_another_by_the_end(
    in_process: Run, old_job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest, newer = old_job.with_name("latest"), old_job.with_name("newer")
    newer.mkdir()
    latest.symlink_to(old_job.name)

    def while_another_job_begins(*given: Any, **named: Any) -> Any:
        latest.unlink()
        latest.symlink_to(newer.name)
        return analysis_of(*given, **named)

    monkeypatch.setattr(command, "analysis_of", while_another_job_begins)
    assert in_process("analyze", str(latest)).returncode == 0
    assert (old_job / "analysis.json").is_file() and list(newer.iterdir()) == []


@pytest.fixture
def example(project: Path, tmp_path: Path) -> Path:
    """A job with its analysis."""
    shutil.copytree(project / "docs" / "examples" / "ten-runs", tmp_path / "example")
    return tmp_path / "example"


@pytest.mark.slow
def test_without_an_engine_what_was_kept_of_how_submissions_compare_is_not_lost(in_process: Run, example: Path) -> None:
    before = json.loads((example / "analysis.json").read_text())
    for _ in range(2):
        done = in_process("analyze", str(example))
        after = json.loads((example / "analysis.json").read_text())
        assert done.returncode == 0 and "Convergence: 27 %" in done.stdout
        assert {key: after[key] for key in ("convergence", "parts", "notable")} == {
            key: before[key] for key in ("convergence", "parts", "notable")
        }
        assert any("what analysis.json said of them is kept" in line for line in after["missing"])
    beside = in_process("compare", str(example), str(example))
    assert "Ways: the same ones in both" in beside.stdout


def test_what_was_kept_of_other_verdicts_is_not_taken_for_these(in_process: Run, example: Path) -> None:
    results = json.loads((example / "results.json").read_text())
    results["runs"][0]["outcome"] = "inaccurate"
    (example / "results.json").write_text(json.dumps(results))
    assert "Convergence: not known" in in_process("analyze", str(example)).stdout


@pytest.mark.parametrize("want", ["40..10%", "a..b", "10", "-1..5", "50..200"])
def test_a_wrong_range_is_explained(in_process: Run, old_job: Path, want: str) -> None:
    done = in_process("analyze", str(old_job), "--want", want)
    assert done.returncode == 2 and f"--want {want}" in done.stderr and "hint: " in done.stderr


# Several jobs


@pytest.fixture
def three_jobs(project: Path, tmp_path: Path, old_job: Path) -> tuple[str, str, str]:
    """Two of one task, the second without its files, and one of another task."""
    second = edited(old_job, tmp_path / "second", lambda results: results["job"].update(name="second"))
    return str(old_job), str(second), str(project / "tests" / "old_jobs" / "flagship")


def edited(job: Path, folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """A job that has only its results, changed."""
    results = json.loads((job / "results.json").read_text())
    edit(results)
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_jobs_of_one_task_are_counted_together_and_say_whose_runs_are_which(
    in_process: Run, three_jobs: tuple[str, str, str], tmp_path: Path
) -> None:
    done = in_process("analyze", *three_jobs[:2], three_jobs[0], "--output", str(tmp_path / "both"))
    assert done.returncode == 0 and len(done.stdout.splitlines()) <= 41
    assert "  Runs 1 to 4 are those of old_job, 4 with an outcome\n  Runs 5 to 8 are those of second" in done.stdout
    assert "Pass rate: 4 of 8 (50 %" in done.stdout
    written = json.loads((tmp_path / "both" / "analysis.json").read_text())
    assert written["jobs"][1] == {"name": "second", "first": 5, "last": 8, "runs": 4}
    assert any(line.startswith("second: the submission of runs 1, 2, 4") for line in written["missing"])
    assert "Runs 5 to 8 are those of second" in (tmp_path / "both" / "analysis.md").read_text()
    assert not (Path(three_jobs[1]) / "analysis.json").exists()


def test_jobs_of_different_tasks_are_analysed_each_for_itself(
    in_process: Run, three_jobs: tuple[str, str, str], tmp_path: Path
) -> None:
    done = in_process("analyze", *three_jobs, "--output", str(tmp_path / "all"))
    assert done.returncode == 0 and len(done.stdout.splitlines()) <= 40
    assert "Not counted together: the jobs differ in task and scale and target" in done.stdout
    assert "Pass rate: 4 of 8 (50 %" in done.stdout and "Pass rate: 4 of 10 (40 %" in done.stdout
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        "slow_ml_training_complex-full",
        "slow_nbody-small",
    ]
    said = json.loads(in_process("analyze", *three_jobs, "--json").stdout)
    assert [entry["task"] for entry in said["analyses"]] == ["slow_nbody", "slow_ml_training_complex"]
    assert "differ in task" in said["not_pooled"]


def test_one_of_several_jobs_that_cannot_be_read_is_said_and_the_others_are_analysed(
    in_process: Run, old_job: Path, tmp_path: Path
) -> None:
    done = in_process("analyze", str(old_job), str(tmp_path / "nowhere"))
    assert done.returncode == 0 and "not read: " in done.stderr and "Pass rate: 2 of 4" in done.stdout
    assert in_process("analyze", str(tmp_path / "a"), str(tmp_path / "b")).returncode == 2


# Jobs with little in them


def nothing(results: dict[str, Any]) -> None:
    results["runs"] = []


def one_run(results: dict[str, Any]) -> None:
    results["runs"] = results["runs"][:1]


def nobody_passed(results: dict[str, Any]) -> None:
    for run in results["runs"]:
        run["outcome"] = "too_slow" if run["outcome"] == "passed" else run["outcome"]


def no_submission(results: dict[str, Any]) -> None:
    results["runs"] = [run for run in results["runs"] if run["outcome"] == "no_submission"]


def a_spoiled_run(results: dict[str, Any]) -> None:
    results["runs"][0]["outcome"] = "splendid"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (nothing, "Missing: no run has an outcome"),
        (one_run, "Pass rate: 1 of 1"),
        (nobody_passed, "Pass rate: 0 of 4"),
        (no_submission, "Convergence: not known, no run submitted a file that is kept"),
        (a_spoiled_run, "Missing: run 1 cannot be read"),
    ],
)
def test_a_job_with_little_in_it_says_what_is_missing_and_shows_the_rest(
    in_process: Run, old_job: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], None], said: str
) -> None:
    folder = str(edited(old_job, tmp_path / "edited", edit))
    done = in_process("analyze", folder)
    assert done.returncode == 0 and said in done.stdout and len(done.stdout.splitlines()) <= 41
    assert (tmp_path / "edited" / "analysis.md").is_file()
    assert in_process("list", str(tmp_path)).returncode == 0
    beside = in_process("compare", folder, str(old_job))
    assert beside.returncode == 0 and "old_job against" in beside.stdout


def test_a_job_whose_results_are_missing_still_says_what_was_asked_for_and_where_the_time_went(
    in_process: Run, old_job: Path
) -> None:
    (old_job / "results.json").unlink()
    done = in_process("analyze", str(old_job), "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["task"] == "slow_nbody" and "no run has an outcome" in said["missing"]
    assert said["effort"].keys() == {"1", "2", "3", "4"}


def test_results_that_are_cut_off_cost_the_outcomes_alone(in_process: Run, old_job: Path) -> None:
    (old_job / "results.json").write_text('{"job": {')
    said = json.loads(in_process("analyze", str(old_job), "--json").stdout)
    assert said["task"] == "slow_nbody" and said["missing"][0].startswith("outcomes: ") and len(said["effort"]) == 4
    (row,) = json.loads(in_process("list", str(old_job.parent), "--json").stdout)
    assert (row["task"], row["runs"], row["unread"][:10]) == ("slow_nbody", 0, "outcomes: ")


def test_a_folder_in_which_nothing_can_be_read_ends_with_2(in_process: Run, tmp_path: Path) -> None:
    job = tmp_path / "bare"
    job.mkdir()
    (job / "results.json").write_text('{"job": {')
    for arguments in (("analyze", str(job)), ("compare", str(job), str(job)), ("list", str(tmp_path / "x"))):
        done = in_process(*arguments)
        assert done.returncode == 2 and "hint: " in done.stderr, arguments


@pytest.fixture(scope="module")
def parser_spec(engine: Engine) -> SandboxSpec:
    return build_parser_spec(engine, Settings(), print)


def test_a_source_that_ends_its_parser_costs_only_itself(fleet: Fleet, parser_spec: SandboxSpec) -> None:
    deep = b"x = " + b"-" * 3_000_000 + b"1\n"
    facts = parse_sources(fleet, parser_spec, {"a": b"x = 1\n", "deep": deep, "b": b"y = 1\n"})
    assert facts["a"].error == "" and facts["a"].shapes == facts["b"].shapes != {}
    assert facts["deep"].error != ""


def test_a_rule_that_ast_grep_refuses_costs_itself_alone(fleet: Fleet, parser_spec: SandboxSpec) -> None:
    wrong = {"p/kind": {"kind": "no_such"}, "p/key": {"patern": "x"}, "p/pattern": {"pattern": "a; b"}}
    facts = parse_sources(fleet, parser_spec, {"a": b"f(1)\n"}, {**wrong, "p/right": {"pattern": "f($A)"}})["a"]
    assert facts.matches == {"p/right": "f(1)"} and facts.refused.keys() == wrong.keys()
    assert "Kind `no_such` is invalid." in facts.refused["p/kind"] and "`patern`" in facts.refused["p/key"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--of", "best"), "--of says what to measure"),
        (("--only", "missed", "--rounds", "3"), "--only, --rounds says what to measure"),
        (("--dry-run",), "--dry-run says what to measure"),
        (("--measure", "--of", "worst"), "--of worst: is neither best"),
        (("--measure", "--of", "99"), "--of 99: is neither best"),
        (("--measure", "--only", "everything"), "everything"),
        (("--measure", "--rounds", "1"), "--rounds"),
    ],
)
def test_what_cannot_be_measured_is_explained(
    in_process: Run, old_job: Path, flags: tuple[str, ...], said: str
) -> None:
    done = in_process("analyze", str(old_job), *flags)
    assert done.returncode == 2 and said in done.stderr and "hint: " in done.stderr
    assert not (old_job / "measured").exists() and not (old_job / "analysis.json").exists()


def test_one_job_is_measured_at_a_time(in_process: Run, old_job: Path, tmp_path: Path) -> None:
    shutil.copytree(old_job, tmp_path / "other")
    done = in_process("analyze", "--measure", str(old_job), str(tmp_path / "other"))
    assert done.returncode == 2 and "one job at a time" in done.stderr
