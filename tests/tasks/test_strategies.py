"""strategies.toml: what is wrong with one is said, and a task without one has no parts."""

import shutil
from pathlib import Path

import pytest

from runner.faults import TaskFault
from runner.tasks.strategies import load_strategies, rules_of
from runner.tasks.task import Task, find_task

GOOD = '[[part]]\nname = "p"\n[[part.strategy]]\nid = "a"\ntitle = "A"\npatterns = ["f($$$)"]\noutside = ["call"]\n'


@pytest.fixture
def task(project: Path, tmp_path: Path) -> Task:
    shutil.copytree(project / "problem_data" / "slow_nbody", tmp_path / "slow_nbody")
    return find_task("slow_nbody", tmp_path)


def test_a_task_without_the_file_has_no_parts(task: Task) -> None:
    assert load_strategies(task) == () and rules_of(()) == {}


def test_a_pattern_becomes_a_rule_that_minds_where_it_does_not_count(task: Task) -> None:
    (task.folder / "strategies.toml").write_text(GOOD)
    apart = {"not": {"inside": {"kind": "call", "stopBy": "end"}}}
    assert rules_of(load_strategies(task)) == {"p/a": {"all": [{"any": [{"pattern": "f($$$)"}]}, apart]}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[part]]\n", "part.0.name"),
        (GOOD.replace("patterns", "paterns"), "part.0.strategy.0.patterns"),
        (GOOD.replace('"a"', '"A b"'), "part.0.strategy.0.id"),
        ("part = ", "Invalid value"),
        ("", "part"),
    ],
)
def test_a_wrong_file_is_explained(task: Task, text: str, said: str) -> None:
    (task.folder / "strategies.toml").write_text(text)
    with pytest.raises(TaskFault) as caught:
        load_strategies(task)
    assert "strategies.toml" in caught.value.cause and said in caught.value.cause


def test_the_flagship_names_its_parts(project: Path) -> None:
    parts = load_strategies(find_task("slow_ml_training_complex", project / "problem_data"))
    assert [part.name for part in parts][:4] == ["normalisation", "gradients", "histograms", "activation"]
    assert all(part.seen for part in parts)


def test_a_rule_may_say_what_stands_around_a_pattern_and_a_part_whether_it_is_there_at_all(task: Task) -> None:
    rule = 'patterns = [{ pattern = "f($$$)", inside = { kind = "for_statement", stopBy = "end" } }]'
    text = GOOD.replace('patterns = ["f($$$)"]\noutside = ["call"]', rule).replace('"p"\n', '"p"\nseen = ["f"]\n')
    (task.folder / "strategies.toml").write_text(text)
    inside = {"pattern": "f($$$)", "inside": {"kind": "for_statement", "stopBy": "end"}}
    assert rules_of(load_strategies(task)) == {"p/a": {"any": [inside]}, "p/?": {"any": [{"pattern": "f"}]}}
