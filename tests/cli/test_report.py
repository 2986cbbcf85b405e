"""`report` writes a page for each job, without an engine, and says which could not be read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.report.html.pages import read_page
from tests.report.synthetic_jobs import make_analysis, make_config, make_runs, write_job

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def old_job(project: Path, tmp_path: Path) -> Path:
    shutil.copytree(project / "tests" / "old_jobs" / "schema_1", tmp_path / "old job")
    return tmp_path / "old job"


@pytest.mark.slow
def test_the_page_is_written_beside_the_job_and_named(in_process: Run, old_job: Path) -> None:
    done = in_process("report", str(old_job))
    assert done.returncode == 0 and done.stdout == f"Report: {old_job / 'report.html'}\n"
    words = read_page((old_job / "report.html").read_text()).words
    assert "4 runs of slow_nbody at scale small" in words and "Changes against the starter" in words
    assert f"python -m runner regrade '{old_job}' --offline" in words


def test_a_job_whose_task_has_changed_since_says_so(in_process: Run, old_job: Path) -> None:
    results = json.loads((old_job / "results.json").read_text())
    results["job"]["task_digest"] = "0" * 64
    (old_job / "results.json").write_text(json.dumps(results))
    in_process("report", str(old_job))
    assert "changes are shown against today's" in (old_job / "report.html").read_text().replace("&#39;", "'")


def test_a_job_whose_task_is_gone_shows_its_submissions_whole(in_process: Run, old_job: Path) -> None:
    results = json.loads((old_job / "results.json").read_text())
    results["job"]["task"] = "no_such_task"
    (old_job / "results.json").write_text(json.dumps(results))
    in_process("report", str(old_job))
    page = (old_job / "report.html").read_text()
    assert "submissions are shown whole" in page and "<h4>Submission</h4>" in page


@pytest.mark.slow
def test_of_several_jobs_those_that_cannot_be_read_are_said(in_process: Run, old_job: Path, tmp_path: Path) -> None:
    other = write_job(tmp_path / "other", runs=make_runs(count=2))
    done = in_process("report", str(old_job), str(tmp_path / "nowhere"), str(other), "--json")
    assert done.returncode == 0 and "not read: " in done.stderr and "nowhere is not the folder of a job" in done.stderr
    assert json.loads(done.stdout) == [str(old_job / "report.html"), str(other / "report.html")]


def test_where_nothing_can_be_read_the_status_says_so(in_process: Run, tmp_path: Path) -> None:
    done = in_process("report", str(tmp_path), str(tmp_path / "nowhere"))
    assert done.returncode == 2 and "has neither results.json nor a run" in done.stderr


def test_results_that_are_spoiled_still_give_a_page(in_process: Run, old_job: Path) -> None:
    (old_job / "results.json").write_text("{")
    assert in_process("report", str(old_job)).returncode == 0
    words = read_page((old_job / "report.html").read_text()).words
    assert "outcomes: " in words and "no verdict yet" in words and "Transcript" in words


def test_a_file_can_be_named_for_one_job_alone(in_process: Run, old_job: Path, tmp_path: Path) -> None:
    done = in_process("report", str(old_job), "--output", str(tmp_path / "page.html"))
    assert done.returncode == 0 and (tmp_path / "page.html").is_file() and not (old_job / "report.html").exists()
    done = in_process("report", str(old_job), str(old_job), "--output", str(tmp_path / "page.html"))
    assert done.returncode == 2 and "for several jobs" in done.stderr


def test_a_page_that_cannot_be_written_is_explained(in_process: Run, old_job: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = in_process("report", str(old_job), "--output", str(tmp_path / "file" / "page.html"))
    assert done.returncode == 3 and "cannot be written" in done.stderr and "hint: " in done.stderr


@pytest.mark.slow
def test_two_hundred_runs_take_seconds_and_megabytes_that_a_mail_can_hold(plain_cli: Run, tmp_path: Path) -> None:
    """The time is that of ten runs, grown with their number and no faster: a ratio holds on any machine."""
    for count in (20, 200):
        config, runs = make_config(runs=count), make_runs(count=count)
        write_job(tmp_path / str(count), runs=runs, config=config, analysis=make_analysis(config, runs))
    few, many = (_seconds(plain_cli, tmp_path / str(count)) for count in (20, 200))
    assert many < 20 * few
    assert (tmp_path / "200" / "report.html").stat().st_size < 10 * 1024 * 1024


def _seconds(cli: Run, folder: Path) -> float:
    import time

    start = time.perf_counter()
    assert cli("report", str(folder)).returncode == 0
    return time.perf_counter() - start


def test_a_job_ends_with_its_page_unless_that_is_left_out(
    cli_ungraded: Run, make_task: Callable[..., Path], tmp_path: Path
) -> None:
    flags = ("--task", str(make_task("echo hello")), "--scale", "small", "--agent", "scripted", "--runs", "2")
    for name, more in (("with", ()), ("without", ("--no-report",))):
        done = cli_ungraded(*flags, "--output", str(tmp_path), "--name", name, *more)
        assert done.returncode == 0, done.stderr
        page = tmp_path / name / "report.html"
        assert page.is_file() is (name == "with") and (f"Report: {page}" in done.stdout) is (name == "with")
    words = read_page((tmp_path / "with" / "report.html").read_text()).words
    assert "2 runs of slow_nbody" in words and "$ echo hello" in words and "no submission" in words
