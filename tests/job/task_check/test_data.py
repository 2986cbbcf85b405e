"""What a task's data give away is found before anything runs on them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runner.job.task_check import data
from runner.job.task_check.check_task import check_folder
from runner.job.task_check.remark import Remark
from runner.tasks.authoring import Case
from runner.tasks.starter import write_starter
from runner.tasks.task import Array, read_task

DRAW = np.random.default_rng(1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_starter(tmp_path / "my task", "python")
    return tmp_path / "my task"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def faults(folder: Path) -> dict[str, Remark]:
    return {remark.check: remark for remark in check_folder(folder, "small", 3)[1] if remark.mark == "fault"}


def test_a_sound_folder_gives_what_the_containers_are_tried_with(folder: Path) -> None:
    sound, remarks = check_folder(folder, "small", 4)
    assert sound is not None and len(sound.cases) == 4 and sound.constants["all 0"] < 0.1
    assert {remark.mark for remark in remarks} == {"ok"} and {"same seed", "other seeds", "score"} <= {
        r.check for r in remarks
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "check", "words"),
    [
        ("task.toml", "confidence", "confidence", "", ""),
        ("task.toml", "speedup =", "speedupp =", "task.toml", "line 55: unknown key target.speedupp"),
        ("task.toml", 'dtype = "float64"', 'dtype = "float46"', "task.toml", "line 31: inputs.points.dtype"),
        ("problem.py", "def score", "def scores", "problem.py", "'scores'"),
        ("problem.py", "def make", "raise ValueError(1)\ndef make", "problem.py", "cannot be run: ValueError(1)"),
        ("problem.py", "generators(seed, 1)", "generators(0, 1)", "other seeds", "the same for every seed: counts"),
        ("problem.py", "draw.random((", "np.random.default_rng().random((", "same seed", "points, counts"),
        ("problem.py", "{\"points\": points,", "{\"point\": points,", "data", "[inputs] declares"),
        ("problem.py", "return items_equal(answer", "return None and (answer", "score", "gives object[]"),
        ("problem.py", "return items_equal(answer[\"counts\"]", "return items_equal(answer[\"count\"]", "score", "KeyError"),
        ("problem.py", "return items_equal(answer", "return [\"a\"] and list(\"ab\") or (answer", "score", "gives <U1[2]"),
        ("problem.py", "return items_equal(answer", "raise SystemExit(0) or (answer", "score", "SystemExit(0)"),
        ("problem.py", "return Case(inputs, {\"counts\": case", "return ({}, {\"counts\": case", "data", "rearrange of"),
        ("problem.py", "case.inputs[\"points\"][order]}", "case.inputs[\"point\"][order]}", "data", "KeyError"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(folder: Path, name: str, old: str, new: str, check: str, words: str) -> None:
    if old == new:
        assert faults(folder) == {}
        return
    edit(folder / name, old, new)
    found = faults(folder)
    assert check in found and words in found[check].text and found[check].fix, found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "check"),
    [("episodes/01.toml", "episodes"), ("cases/cases.toml", "cases"), ("strategies.toml", "strategies.toml")],
)
@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"a = ", b"a = " + b"[" * 10_000, b"a = " + b"9" * 5_000, b"unknown = 1", "a folder", "a pipe"],
    ids=["no text", "no TOML", "too deep", "too long a number", "no such key", "folder", "pipe"],
)
def test_every_other_file_of_a_task_is_read_before_a_command_needs_it(
    folder: Path, name: str, check: str, content: bytes | str
) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if content == "a folder":
        path.mkdir()
    elif content == "a pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(bytes(content))  # type: ignore[arg-type]
    assert str(path) in faults(folder)[check].text


def test_a_file_that_an_episode_names_is_one_of_the_task_that_can_be_read(folder: Path) -> None:
    for path in (folder / "episodes" / "files").iterdir():
        path.write_bytes(b"\xff")
    assert "is not a scripted episode" in faults(folder)["episodes"].text


@pytest.mark.parametrize(
    ("kind", "old", "new", "words"),
    [
        ("program", 'file = "cases"', 'file = "solve.py"', "solve.py would be a file and a folder"),
        ("program", 'workspace = "16MiB"', 'workspace = "100B"', "limits.workspace is 100"),
        ("answer", "[call]", '[limits]\nworkspace = "4KiB"\n\n[call]', "limits.workspace is 4096"),
        ("answer", 'starter = "sample_answer.csv"', 'starter = "asked.csv"', "asked.csv is put there twice"),
        ("python", 'file = "sample_data.npz"', 'file = "slow.py"', "slow.py is put there twice"),
    ],
)
def test_files_that_no_workspace_can_hold_are_named(tmp_path: Path, kind: str, old: str, new: str, words: str) -> None:
    write_starter(tmp_path / "task", kind)
    edit(tmp_path / "task" / "task.toml", old, new)
    remarks = check_folder(tmp_path / "task", "full", 3)[1]
    assert any(remark.check == "workspace" and words in remark.text for remark in remarks)


def test_a_missing_file_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "workspace")
    (folder / "baseline.py").unlink()
    assert "baseline.py is missing" in faults(folder)["task.toml"].text


def test_every_broken_key_is_told_and_not_the_first_alone(folder: Path) -> None:
    edit(folder / "task.toml", "low = 0", 'low = "a"')
    edit(folder / "task.toml", "tolerance = 0.001", "tolerance = -1")
    remarks = check_folder(folder, "small", 3)[1]
    assert [r.check for r in remarks] == ["task.toml", "task.toml"]
    assert "answer.counts.low" in remarks[0].text and "quality.tolerance" in remarks[1].text


# Leaks


def case(**arrays: np.ndarray) -> Case:
    hidden = {"labels": np.arange(30) % 7, **{k[7:]: v for k, v in arrays.items() if k.startswith("hidden_")}}
    return Case({k: v for k, v in arrays.items() if not k.startswith("hidden_")}, hidden)


def rows(count: int) -> np.ndarray:
    return DRAW.random((count, 4))


def marks(first: Case, second: Case) -> dict[str, str]:
    return {remark.check: remark.mark for remark in data.leaks([first, second])}


def test_data_that_are_drawn_anew_leak_nothing() -> None:
    made = [case(train=rows(50), test=rows(30)) for _ in range(2)]
    assert set(marks(*made).values()) == {"ok"}


def test_hidden_values_among_the_inputs_are_seen() -> None:
    made = [case(test=rows(30), given=np.arange(30) % 7) for _ in range(2)]
    assert marks(*made)["hidden values"] == "fault"


def test_each_of_many_cases_is_looked_at_a_few_times_and_not_beside_every_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count, looks = 300, []
    digest = data.digest
    monkeypatch.setattr(data, "digest", lambda array: looks.append(array) or digest(array))
    made = [case(**{f"in{n}": np.full(2, n) for n in range(count)}) for _ in range(2)]
    hidden = {f"out{n}": np.full(2, -n) for n in range(count)}
    list(data.leaks([one._replace(hidden=hidden) for one in made]))
    assert len(looks) <= 4 * count


def test_test_rows_among_the_training_rows_are_seen() -> None:
    def draw() -> Case:
        train = rows(50)
        return case(train=train, test=np.concatenate([train[:3], rows(27)]))

    assert marks(draw(), draw())["test rows"] == "fault"


def test_names_that_change_with_the_seed_are_no_values_that_stay() -> None:
    cases = [Case({f"in{n}": np.full((3, 2), n)}, {f"out{n}": np.zeros(2)}) for n in range(3)]
    assert {remark.mark for remark in (*data.different(cases), *data.leaks(cases))} == {"ok"}


def test_rows_from_a_fixed_pool_are_seen_and_a_fixed_array_is_none() -> None:
    pool, weights = rows(1000), rows(10)

    def draw(picked: np.ndarray) -> Case:
        return case(test=pool[picked], weights=weights)

    assert (
        marks(draw(DRAW.permutation(1000)[:500]), draw(DRAW.permutation(1000)[:500]))["rows of other seeds"] == "fault"
    )
    assert marks(case(test=rows(9), w=weights), case(test=rows(9), w=weights))["rows of other seeds"] == "ok"


@pytest.mark.parametrize(("share", "shared"), [(0, 0.0), (5, 0.5), (10, 1.0)])
def test_the_share_of_rows(share: int, shared: float) -> None:
    known, fresh = rows(20), rows(10)
    assert data.shared_share(np.concatenate([known[:share], fresh[share:]]), known) == shared


# Constants, sizes


def test_a_constant_answer_lies_in_the_range() -> None:
    declared = (Array("a", "int64", (3,), 2, 9), Array("b", "float32", (), None, -1.0))
    answers: dict[str, Callable[..., object]] = dict(data.constant_answers(declared))  # type: ignore[arg-type]
    assert {name: (a["a"].tolist(), float(a["b"])) for name, a in answers.items()} == {  # type: ignore[index]
        "all 0": ([2, 2, 2], -1.0),
        "all 1": ([2, 2, 2], -1.0),
    }


def test_data_that_do_not_fit_are_told(folder: Path) -> None:
    edit(folder / "task.toml", "points = 500", "points = 3_000_000")
    task = read_task(folder)
    assert [r.mark for r in data.fits(task, "full", 1)] == ["fault"] and list(data.fits(task, "small", 1)) == []
    assert [r.text for r in data.fits(task, "small", 10**9)] != []
