"""What the gradings of a program's, or an answer's, task say of it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.faults import TaskFault
from runner.grading.checks.catalogue import CATALOGUE
from runner.job.task_check.check_task import check_folder
from runner.job.task_check.other_kinds import Tried, judged, of_constants
from runner.records.grading import Finding, Grading
from runner.records.outcome import Outcome, OutcomeKind
from runner.selftest.corpus import own_cases
from runner.settings import data_folder
from runner.tasks.starter import kinds, write_starter
from runner.tasks.task import read_task

TASKS = data_folder("problem_data")
OTHERS = [kind for kind in kinds() if kind != "python"]
Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize("kind", OTHERS)
def test_a_new_task_has_sound_data(kind: str, tmp_path: Path) -> None:
    write_starter(tmp_path / "my task", kind)
    sound, remarks = check_folder(tmp_path / "my task", "full", 3)
    assert sound is not None and {remark.mark for remark in remarks} == {"ok"}, remarks
    assert of_constants(sound.task, sound.constants).mark == "ok"


@pytest.mark.parametrize(
    ("expected", "kind", "mark"),
    [
        (("passed",), OutcomeKind.PASSED, "ok"),
        (("passed",), OutcomeKind.INACCURATE, "fault"),
        (("passed",), OutcomeKind.INCONCLUSIVE, "warn"),
        ((), OutcomeKind.INACCURATE, "ok"),
        ((), OutcomeKind.PASSED, "fault"),
        ((), OutcomeKind.INFRASTRUCTURE, "warn"),
        (("bad_answer",), OutcomeKind.BAD_ANSWER, "ok"),
        (("bad_answer",), OutcomeKind.CRASHED, "fault"),
        (("inconclusive",), OutcomeKind.INCONCLUSIVE, "ok"),
        (("bad_answer:answer-form",), OutcomeKind.BAD_ANSWER, "ok"),
        (("bad_answer:builds",), OutcomeKind.BAD_ANSWER, "fault"),
        (("crashed:answer-form",), OutcomeKind.BAD_ANSWER, "fault"),
        (("inconclusive:answer-form",), OutcomeKind.INCONCLUSIVE, "ok"),
        (("inconclusive:builds",), OutcomeKind.INCONCLUSIVE, "warn"),
        (("crashed", "bad_answer:answer-form"), OutcomeKind.BAD_ANSWER, "ok"),
    ],
)
def test_a_verdict_that_is_not_the_expected_one_is_a_fault(
    expected: tuple[str, ...], kind: OutcomeKind, mark: str
) -> None:
    failed = Finding(check="answer-form", subject="answer", mark="fail", text="t")
    passed = Finding(check="builds", subject="build", mark="pass", text="t")
    grading = Grading(outcome=Outcome(kind, "why"), findings=(failed, passed))
    remark = judged(Tried("case", "it", b"", expected), grading)
    assert remark.mark == mark and "why" in remark.text and bool(remark.fix) == (mark != "ok")


def test_an_answer_without_work_that_reaches_the_bar_is_a_fault(tmp_path: Path) -> None:
    write_starter(tmp_path / "x", "answer")
    remark = of_constants(read_task(tmp_path / "x"), {"all 0": 0.2, "all 1": 0.9})
    assert remark.mark == "fault" and "all 1 has 0.9000 and reaches the bar of 0.8500" in remark.text


def test_what_shipped_cases_expect_are_outcomes_and_checks_that_there_are() -> None:
    tasks = [read_task(path.parent) for path in sorted(TASKS.glob("*/task.toml"))]
    expected = {one for task in tasks for case in own_cases(task) for one in case.expected}
    pairs = {(kind, check) for kind, _, check in (one.partition(":") for one in expected)}
    assert pairs and {kind for kind, _ in pairs} <= set(OutcomeKind)
    assert {check for _, check in pairs if check} <= set(CATALOGUE)


def test_the_shipped_task_of_kind_answer_passes_its_own_check(cli_ungraded: Run) -> None:
    checked = cli_ungraded("check", str(TASKS / "held_out_labels"), "--quiet")
    assert checked.returncode == 0 and "0 faults, 0 warnings" in checked.stdout, checked.stdout


def test_a_case_that_is_not_beside_its_list_is_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TASKS / "held_out_labels", tmp_path / "task"))
    assert len(own_cases(read_task(folder))) == 8
    (folder / "cases" / "nan.csv").unlink()
    with pytest.raises(TaskFault, match=r"labels-not-a-number names nan\.csv, which is not beside it"):
        own_cases(read_task(folder))


@pytest.mark.parametrize("kind", OTHERS)
def test_a_new_task_passes_its_check_and_is_played(kind: str, cli: Run, tmp_path: Path) -> None:
    folder, output = tmp_path / "my task", tmp_path / "output"
    assert cli("init", str(folder), "--kind", kind).returncode == 0
    checked = cli("check", str(folder), "--seeds", "3")
    assert checked.returncode == 0 and "0 faults, 0 warnings" in checked.stdout, checked.stdout
    played = cli("--task", str(folder), "--runs", "2", "--agent", "scripted", "--output", str(output))
    assert played.returncode == 0 and "Pass Rate: 50.0%" in played.stdout, played.stdout + played.stderr
