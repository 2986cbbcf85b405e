"""What a task's figures say: the bar, the solution's room, noise, costs, and a target. On samples that are made up."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.grading.calibration.study import BASELINE_RUN, NOOP_RUN, ORACLE_RUN, study
from runner.grading.standing import Graded
from runner.job.setup import load_task
from runner.job.task_check import figures
from runner.job.task_check.check_task import of_graded, of_measured
from runner.job.task_check.figures import Measured
from runner.job.task_check.remark import Remark
from runner.records.grading import Ending, Grading, Sample
from runner.records.outcome import Outcome, OutcomeKind
from runner.sandbox.engine import EngineFacts
from runner.selftest.generic import FAMILIES, generic_cheats
from runner.settings import Settings
from runner.tasks.starter import write_starter
from runner.tasks.task import Task, read_task

NOTHING = {"all 0": 0.0, "all 1": 0.1}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Its target at the small scale is 3, its tolerance 0.001."""
    write_starter(tmp_path / "task", "python")
    return read_task(tmp_path / "task")


def measured(
    speedup: float = 20.0, noise: float = 0.02, quality: float = 1.0, base: float = 1.0, noop_s: float = 1e-4
) -> Measured:
    """Ten rounds of a baseline of a tenth of a second, and of a solution so many times as fast."""
    samples = []
    for number in range(1, 11):
        wobble = math.exp(noise * math.sin(number))
        for side, run, seconds, good in [
            ("baseline", 0, 0.1 * wobble, base),
            ("sentinel", 0, 0.1 / speedup, quality),
            ("candidate", ORACLE_RUN, 0.1 / speedup, quality),
            ("candidate", ORACLE_RUN, 0.1 / speedup / wobble, quality),
            ("candidate", BASELINE_RUN, 0.1 / wobble, base),
            ("candidate", NOOP_RUN, noop_s, 0.0),
        ]:
            samples.append(_sample(side, run, number, seconds, good))
    return Measured(tuple(samples), study(samples, 0.95), wall_s=60.0)


def _sample(side: Any, run: int, number: int, seconds: float, quality: float) -> Sample:
    return Sample(side=side, run=run, round=number, position=0, ending=Ending.ANSWERED, seconds=seconds, quality=quality,
                  memory_peak_bytes=50 * 2**20)  # fmt: skip


def said(task: Task, found: Measured, constants: dict[str, float] = NOTHING) -> dict[str, Remark]:
    return {remark.check: remark for remark in of_measured(task, "small", found, constants, 10.0)}


def test_a_sound_task_has_no_fault_and_says_its_figures(task: Task) -> None:
    remarks = said(task, measured())
    assert {remark.mark for remark in remarks.values()} == {"ok"}
    assert (
        "1.0000 on 10 data sets" in remarks["baseline's quality"].text
        and "0.9990" in remarks["baseline's quality"].text
    )
    assert "times the target of 3x" in remarks["solution"].text and "suggested 14x" in remarks["target"].text
    assert "50 MiB at the most" in remarks["a sample"].text
    assert "96 samples" in remarks["ten runs"].text and "in about 2 min" in remarks["ten runs"].text


@pytest.mark.parametrize(
    ("how", "constants", "check", "mark", "words"),
    [
        ({"base": 0.0, "quality": 0.0}, NOTHING, "baseline's quality", "fault", "scores nothing"),
        ({}, {"all 0": 0.9995}, "constant answer", "fault", "reaches the bar"),
        ({"quality": 0.9}, NOTHING, "solution", "fault", "under the bar"),
        ({"speedup": 2.0}, NOTHING, "solution", "fault", "does not reach the target of 3x"),
        ({"noise": 2.0}, NOTHING, "noise", "fault", "the baseline itself may reach the target"),
        ({"noop_s": 0.004}, NOTHING, "short samples", "warn", "are the call alone"),
        ({"speedup": 1.01}, NOTHING, "target", "warn", "smallest factor that can be told"),
    ],
)
def test_what_figures_give_away(
    task: Task, how: dict[str, float], constants: dict[str, float], check: str, mark: str, words: str
) -> None:
    remark = said(task, measured(**how), constants)[check]
    assert remark.mark == mark and words in remark.text and remark.fix


def test_without_a_solution_there_is_no_word_of_it(task: Task) -> None:
    found = measured()
    alone = Measured(tuple(s for s in found.samples if s.side == "baseline"), None, 10.0)
    assert set(said(task, alone)) == {"baseline's quality", "constant answer", "a sample", "ten runs"}


def test_limits_that_the_host_cannot_give_are_told(task: Task) -> None:
    given: dict[str, Any] = dict.fromkeys(EngineFacts.__slots__, "")
    small = EngineFacts(**{**given, "ncpu": 0, "memory_bytes": 2**20, "runtimes": (), "security": ()})
    assert [remark.text.split()[0] for remark in figures.host_remarks(task, small)] == ["limits.memory", "limits.cpus"]
    enough = EngineFacts(**{**given, "ncpu": 2, "memory_bytes": 2**33, "runtimes": (), "security": ()})
    assert list(figures.host_remarks(task, enough)) == []


def test_a_baseline_near_its_time_limit_is_told(task: Task) -> None:
    slow = Measured((_sample("baseline", 0, 1, 11.0, 1.0),), None, 11.0)
    assert [remark.mark for remark in figures.time_remarks(task, slow)] == ["fault"]
    assert list(figures.time_remarks(task, measured())) == []


# Verdicts


def graded(run: int, kind: OutcomeKind) -> Graded:
    return Graded(run, Grading(outcome=Outcome(kind, "why")))


def test_every_family_is_accounted_for(task: Task) -> None:
    cheats = list(generic_cheats(task, "small", ["counts"]))
    verdicts = [graded(1, OutcomeKind.PASSED), *(graded(n, OutcomeKind.TOO_SLOW) for n in range(2, len(cheats) + 2))]
    remarks = list(of_graded(cheats, verdicts, has_oracle=True))
    assert {remark.mark for remark in remarks} == {"ok"}
    assert [r.check for r in remarks] == ["solution's verdict", *(f"cheats: {family}" for family in FAMILIES)]


@pytest.mark.parametrize(
    ("kind", "mark"), [(OutcomeKind.PASSED, "fault"), (OutcomeKind.INFRASTRUCTURE, "warn"), (OutcomeKind.CRASHED, "ok")]
)
def test_a_cheat_that_passes_is_a_fault_and_names_it(task: Task, kind: OutcomeKind, mark: str) -> None:
    cheats = [cheat for cheat in generic_cheats(task, "small") if cheat.id == "echo"]
    (found,) = [r for r in of_graded(cheats, [graded(2, kind)], has_oracle=False) if r.check == "cheats: answer"]
    assert found.mark == mark and "echo" in found.text


@pytest.mark.parametrize(
    ("kind", "mark"),
    [(OutcomeKind.PASSED, "ok"), (OutcomeKind.INCONCLUSIVE, "warn"), (OutcomeKind.INACCURATE, "fault")],
)
def test_the_solutions_verdict(kind: OutcomeKind, mark: str) -> None:
    first = next(of_graded([], [graded(1, kind)], has_oracle=True))
    assert (first.check, first.mark) == ("solution's verdict", mark)


def test_every_generic_cheat_is_python_with_the_tasks_entry(task: Task) -> None:
    cheats = list(generic_cheats(task, "small", ["counts"]))
    assert {cheat.kind for cheat in cheats} == set(FAMILIES) - {"component"} and len(
        {cheat.id for cheat in cheats}
    ) == len(cheats)
    for cheat in cheats:
        compile(cheat.content, cheat.id, "exec")
        assert cheat.id == "empty-file" or b"def count_neighbours(" in cheat.content


def test_without_a_speed_target_doing_the_baselines_work_is_no_cheat(tmp_path: Path) -> None:
    write_starter(tmp_path / "task", "python")
    toml = tmp_path / "task" / "task.toml"
    toml.write_text(
        toml.read_text()
        .replace("speedup = 10.0", "")
        .replace("target = 3.0", "")
        .replace("tolerance = 0.001", "minimum = 1")
    )
    kinds = {cheat.kind for cheat in generic_cheats(read_task(tmp_path / "task"), "small")}
    assert kinds == set(FAMILIES) - {"timing", "cache", "component"}


def test_the_flagship_has_labels_to_look_up_and_components_to_hide() -> None:
    flagship = load_task(Settings(), "slow_ml_training_complex")
    cheats = {cheat.id: cheat for cheat in generic_cheats(flagship, "small", ["labels"])}
    assert {cheat.kind for cheat in cheats.values()} == set(FAMILIES)
    looking = cheats["look-up"].content.decode()
    names: dict[str, Any] = {}
    exec(compile(looking, "look-up", "exec"), names)
    rows = np.arange(12.0, dtype=np.float32).reshape(3, 2, 2)
    given = {
        "train_images": rows,
        "train_labels": np.array([5, 6, 7]),
        "test_images": np.concatenate([rows[::-1], rows + 99]),
    }
    entry = names[flagship.file.call.entry]
    with pytest.raises(
        ValueError, match="broadcast"
    ):  # the form of the scale is written into it: a hundred test images
        entry(**given)
    hundred = np.concatenate([rows[::-1], np.zeros((97, 2, 2), np.float32) - 1])
    assert entry(**{**given, "test_images": hundred})["labels"][:4].tolist() == [7, 6, 5, 0]


def test_hidden_components_do_the_baselines_work_and_are_not_to_be_found(tmp_path: Path) -> None:
    write_starter(tmp_path / "task", "python")
    toml, baseline = (tmp_path / "task" / name for name in ("task.toml", "baseline.py"))
    toml.write_text(toml.read_text() + '\n[components.Counter]\nmethods = ["count"]\n')
    baseline.write_text("class Counter:\n    pass\n\n\ndef count_neighbours(points):\n    return Counter()\n")
    (cheat,) = [c for c in generic_cheats(read_task(tmp_path / "task"), "small") if c.kind == "component"]
    names: dict[str, Any] = {}
    exec(compile(cheat.content, "hidden", "exec"), names)
    assert "Counter" not in names
    assert type(names["count_neighbours"](points=1)).__name__ == "Counter" and "Counter" not in names
