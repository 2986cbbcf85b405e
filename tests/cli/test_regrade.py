"""Grading again: from the record, figure for figure; or measured again, with a part of the error."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from xml.etree import ElementTree

import pytest

from runner.cli import regrade as regrading
from runner.cli.option_groups import OutputOptions
from runner.cli.options import RegradeOptions
from runner.cli.regrade import _attempt, _candidates, agree, recomputed
from runner.faults import UsageFault
from runner.grading.context import Candidate
from runner.grading.standing import Graded
from runner.records import run as records
from runner.records.grading import Grading
from runner.records.outcome import Outcome, OutcomeKind
from runner.settings import Settings
from runner.store.results import read_run, run_json

Run = Callable[..., CompletedProcess[str]]
FEW = ("--max-rounds", "1")


@pytest.fixture
def job(played_job: tuple[Path, CompletedProcess[str]], tmp_path: Path) -> Path:
    """A copy of a job of four runs (passed, too slow, without a submission, passed), to be changed and regraded."""
    return shutil.copytree(played_job[0], tmp_path / "j")


def change(job: Path, edit: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    results = json.loads((job / "results.json").read_text())
    edit(results)
    (job / "results.json").write_text(json.dumps(results))


def test_every_verdict_follows_from_its_record_and_no_claim_of_a_container_changes_it(cli: Run, job: Path) -> None:
    done = cli("regrade", str(job), "--offline", env={"DOCKER_HOST": "unix:///nowhere"})
    assert done.returncode == 0 and "4 runs: every verdict follows from its record, figure for figure" in done.stdout

    def claim(results: dict) -> None:  # type: ignore[type-arg]
        for run in results["runs"]:
            for sample in run["samples"]:
                sample["detail"] = "PASSED 1000x"

    change(job, claim)
    assert cli("regrade", str(job), "--offline").returncode == 0


@pytest.mark.parametrize(
    ("derived", "recorded", "alike"),
    [
        ({"low": 0.1 + 0.2, "seeds": ("0x1",)}, {"low": 0.3, "seeds": ["0x1"]}, True),
        ({"low": 0.3 + 1e-9}, {"low": 0.3}, False),
        ({"low": 1e-17}, {"low": 0.0}, True),
        ({"low": 0.3}, {"low": 0.3, "high": 0.4}, False),
        ([0.3, 0.4], [0.3], False),
        (1.0, True, False),
        (None, 0.0, False),
        ("0.3", "0.30", False),
        (float("inf"), float("inf"), True),
    ],
)
def test_figures_agree_but_for_the_last_bits_that_another_python_adds_up_otherwise(
    derived: object, recorded: object, alike: bool
) -> None:
    assert agree(derived, recorded) is alike


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
    for number in (2, 4):
        (job / f"run_{number}" / "optimized_nbody.py").unlink()
    junit, summary = job.parent / "junit.xml", job.parent / "summary.md"
    for attempt in (1, 2, 3):
        env = {"GITHUB_STEP_SUMMARY": str(summary)}
        done = cli("regrade", str(job), "--json", "--junit", str(junit), *FEW, env=env)
        said = json.loads(done.stdout)
        assert (said["attempt"], [run["outcome"] for run in said["runs"]]) == (attempt, ["inconclusive"]), done.stderr
        assert said["runs"][0]["rules"]["attempts"] == 3 and said["runs"][0]["rules"]["attempt"] == attempt
        assert said["runs"][0]["speedup"]["confidence"] > 0.98
        assert "run 2: " in done.stderr and "run 3: it has no submission" in done.stderr
    (case,) = ElementTree.parse(junit).getroot().iter("testcase")
    assert [element.tag for element in case] == ["skipped", "system-out"] and case.get("name") == "run 1"
    assert summary.read_text().count("### regrade") == 3
    refused = cli("regrade", str(job))
    assert refused.returncode == 2 and "was regraded 3 times" in refused.stderr


def test_an_interrupted_regrade_goes_on_where_it_stopped(cli: Run, job: Path) -> None:
    before = json.loads((job / "results.json").read_text())["runs"]
    kept = {
        "attempt": 1,
        "of": 3,
        "complete": False,
        "runs": [{**run, "reason": "kept"} for run in (before[0], before[3])],
    }
    (job / "regrade_1.json").write_text(json.dumps(kept))
    said = json.loads(cli("regrade", str(job), "--json", "--quiet", *FEW).stdout)
    runs = {run["number"]: run for run in said["runs"]}
    outcomes = {number: run["outcome"] for number, run in runs.items()}
    assert outcomes == {1: before[0]["outcome"], 2: "inconclusive", 4: before[3]["outcome"]}
    assert runs[1]["reason"] == runs[4]["reason"] == "kept" and runs[2]["samples"] != before[1]["samples"]
    again = recomputed(read_run(runs[2]))
    assert run_json(again)["speedup"] == runs[2]["speedup"] and again.outcome.kind == "inconclusive"


@dataclass
class Grader:
    """Grades without an engine.

    Attributes:
        job: a copy of the example's.
        spoiled: numbers of the runs that a fault of the host keeps from a verdict.
        asked: numbers of the runs that it was given.
    """

    job: Path
    spoiled: set[int] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)

    def grade(self, context: object, candidates: Sequence[Candidate]) -> Iterator[Graded]:
        for candidate in candidates:
            self.asked.append(candidate.run)
            kind = OutcomeKind.INFRASTRUCTURE if candidate.run in self.spoiled else OutcomeKind.CRASHED
            yield Graded(candidate.run, Grading(outcome=Outcome(kind, "it was said")))


@pytest.fixture
def grader(monkeypatch: pytest.MonkeyPatch, project: Path, tmp_path: Path) -> Grader:
    made = Grader(shutil.copytree(project / "docs" / "examples" / "ten-runs", tmp_path / "j"))
    monkeypatch.setattr(regrading, "_context", lambda *parts: (None, None))
    monkeypatch.setattr(regrading, "grade_all", made.grade)
    return made


def regraded(job: Path) -> tuple[int, dict[str, Any]]:
    options = RegradeOptions(job=job, show=OutputOptions(quiet=True, json=True))
    status = regrading.regrade(Settings(), options)
    return status, json.loads((job / "regrade_1.json").read_text())


def test_a_host_that_measures_nothing_uses_up_no_attempt(grader: Grader) -> None:
    grader.spoiled = set(range(1, 11))
    for _ in range(4):
        status, kept = regraded(grader.job)
        assert (status, kept["complete"], kept["runs"]) == (3, False, [])
    grader.spoiled = set()
    status, kept = regraded(grader.job)
    assert (status, kept["complete"]) == (0, True) and kept["runs"]
    assert [path.name for path in grader.job.glob("regrade_*")] == ["regrade_1.json"]


def test_a_run_that_the_host_spoiled_is_graded_again_in_the_same_attempt(grader: Grader) -> None:
    grader.spoiled = {1}
    status, kept = regraded(grader.job)
    assert status == 3 and not kept["complete"] and 1 not in [run["number"] for run in kept["runs"]]
    grader.spoiled, grader.asked = set(), []
    status, kept = regraded(grader.job)
    assert (status, kept["complete"], grader.asked) == (0, True, [1])


def test_what_an_older_attempt_wrote_of_a_host_fault_is_graded_again(tmp_path: Path) -> None:
    runs = [run_json(records.Run(number=n, outcome=Outcome(kind, ""))) for n, kind in enumerate(OutcomeKind, 1)]
    (tmp_path / "regrade_1.json").write_text(json.dumps({"attempt": 1, "of": 3, "complete": False, "runs": runs}))
    _, done = _attempt(tmp_path)
    assert {run.outcome.kind for run in done.values()} == set(OutcomeKind) - {OutcomeKind.INFRASTRUCTURE}


def test_an_attempt_that_was_stopped_after_its_last_verdict_comes_to_its_end(
    grader: Grader, capsys: pytest.CaptureFixture[str]
) -> None:
    _, kept = regraded(grader.job)
    (grader.job / "regrade_1.json").write_text(json.dumps({**kept, "complete": False}))
    grader.asked = []
    capsys.readouterr()
    assert regraded(grader.job) == (0, kept) and grader.asked == []
    assert json.loads(capsys.readouterr().out)["runs"] == kept["runs"]


def test_what_is_graded_again_keeps_the_number_by_which_its_samples_are_found() -> None:
    runs = [records.Run(number=number, outcome=Outcome(OutcomeKind.PASSED, "")) for number in (2, 4)]
    candidates = _candidates([(run, b"") for run in runs], attempt=3)
    assert [(candidate.run, candidate.attempt) for candidate in candidates] == [(2, 3), (4, 3)]


def test_a_job_that_cannot_be_read_is_explained(cli: Run, job: Path, tmp_path: Path) -> None:
    assert cli("regrade", str(tmp_path / "none")).returncode == 2
    shutil.copytree(job, tmp_path / "cut")
    text = (job / "results.json").read_text()
    (tmp_path / "cut" / "results.json").write_text(text[: len(text) // 2])
    done = cli("regrade", str(tmp_path / "cut"), "--offline")
    assert done.returncode == 2 and "cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        *((text, 2, "has no runs") for text in ("{}", "[]", "5", "null", '{"runs": 5}', '{"runs": {}}')),
        ('{"runs": [5]}', 1, "run 1: cannot be read: a run is int"),
        ('{"runs": [null]}', 1, "run 1: cannot be read: a run is NoneType"),
    ],
)
def test_a_record_of_another_form_is_named_and_no_mistake_of_ours(
    in_process: Run, tmp_path: Path, content: str, status: int, said: str
) -> None:
    (tmp_path / "results.json").write_text(content)
    done = in_process("regrade", str(tmp_path), "--offline")
    assert done.returncode == status and said in done.stdout + done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", ["[]", "5", '{"runs": 5}', '{"runs": [5]}'])
def test_an_interrupted_regrade_of_another_form_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "regrade_1.json").write_text(content)
    with pytest.raises(UsageFault, match=r"regrade_1.json cannot be read") as fault:
        _attempt(tmp_path)
    assert "move it away" in fault.value.hint
