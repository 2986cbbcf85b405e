"""Grading again: from the record, byte for byte; or measured anew, with a part of the error."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
FEW = ("--max-rounds", "1")
SMALL = ("--task", "slow_nbody", "--scale", "small", "--quiet")


@pytest.fixture(scope="module")
def played(shared_cli: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job of three runs: what it measured is here only to be read."""
    output = tmp_path_factory.mktemp("played")
    done = shared_cli("--runs", "3", *SMALL, "--name", "j", "--output", str(output))
    assert done.returncode == 0, done.stderr
    return output / "j"


@pytest.fixture
def job(played: Path, tmp_path: Path) -> Path:
    """A copy of that job, to be changed and regraded."""
    return shutil.copytree(played, tmp_path / "j")


def change(job: Path, edit: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    results = json.loads((job / "results.json").read_text())
    edit(results)
    (job / "results.json").write_text(json.dumps(results))


def test_every_verdict_follows_from_its_record_and_no_claim_of_a_container_changes_it(cli: Run, job: Path) -> None:
    done = cli("regrade", str(job), "--offline", env={"DOCKER_HOST": "unix:///nowhere"})
    assert done.returncode == 0 and "3 runs: every verdict follows from its record, byte for byte" in done.stdout

    def claim(results: dict) -> None:  # type: ignore[type-arg]
        for run in results["runs"]:
            for sample in run["samples"]:
                sample["detail"] = "PASSED 1000x"

    change(job, claim)
    assert cli("regrade", str(job), "--offline").returncode == 0


@pytest.mark.parametrize("what", ["seconds", "outcome", "quality"])
def test_a_record_that_was_changed_is_told(cli: Run, job: Path, what: str) -> None:
    def forge(results: dict) -> None:  # type: ignore[type-arg]
        run = results["runs"][1]
        if what == "outcome":
            run["outcome"], run["reward"] = "passed", 1.0
        elif what == "quality":
            run["quality"]["rounds"][0]["difference"] = -0.5
        else:
            for sample in run["samples"]:
                sample["seconds"] *= 0.01 if sample["side"] == "candidate" else 1.0

    change(job, forge)
    done = cli("regrade", str(job), "--offline")
    assert done.returncode == 1 and "run 2" in done.stdout


def test_submissions_are_measured_anew_beside_the_old_verdicts_a_limited_number_of_times(cli: Run, job: Path) -> None:
    (job / "run_2" / "optimized_nbody.py").unlink()
    for attempt, flags, outcome in ((1, (), "passed"), (2, FEW, "inconclusive"), (3, FEW, "inconclusive")):
        done = cli("regrade", str(job), "--json", *flags)
        said = json.loads(done.stdout)
        assert (said["attempt"], [run["outcome"] for run in said["runs"]]) == (attempt, [outcome]), done.stderr
        assert said["runs"][0]["rules"]["attempts"] == 3 and said["runs"][0]["rules"]["attempt"] == attempt
        assert said["runs"][0]["speedup"]["confidence"] > 0.98
        assert "run 2: " in done.stderr and "run 3: it has no submission" in done.stderr
    refused = cli("regrade", str(job))
    assert refused.returncode == 2 and "was regraded 3 times" in refused.stderr


def test_an_interrupted_regrade_goes_on_where_it_stopped(cli: Run, job: Path) -> None:
    before = json.loads((job / "results.json").read_text())["runs"]
    kept = {"attempt": 1, "of": 3, "complete": False, "runs": [{**before[0], "reason": "kept"}]}
    (job / "regrade_1.json").write_text(json.dumps(kept))
    said = json.loads(cli("regrade", str(job), "--json", "--quiet").stdout)
    assert [(run["number"], run["outcome"]) for run in said["runs"]] == [(1, "passed"), (2, "too_slow")]
    assert said["runs"][0]["reason"] == "kept"


def test_a_job_that_cannot_be_read_is_explained(cli: Run, job: Path, tmp_path: Path) -> None:
    assert cli("regrade", str(tmp_path / "none")).returncode == 2
    shutil.copytree(job, tmp_path / "cut")
    text = (job / "results.json").read_text()
    (tmp_path / "cut" / "results.json").write_text(text[: len(text) // 2])
    done = cli("regrade", str(tmp_path / "cut"), "--offline")
    assert done.returncode == 2 and "cannot be read" in done.stderr
