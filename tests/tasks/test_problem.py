"""A problem.py is resolved once: a misspelt check is an error that names the right one, never a check that is off."""

import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from runner.faults import TaskFault
from runner.settings import data_folder
from runner.tasks.problem import AGREEMENT_MIN_DEFAULT, CONSTANTS, PARAMETERS, Problem, load_problem
from runner.tasks.task import read_task

TASKS = data_folder("problem_data")

# What an ordinary author writes besides: none of it is taken for a misspelt name.
ORDINARY = """
import functools, math
import numpy as np
from collections.abc import Mapping
from dataclasses import dataclass
from math import dist
from numpy.random import default_rng
from typing import NamedTuple, NewType, TypeVar
from numpy.typing import NDArray
from runner.tasks import Answer, Case

Floats = NDArray[np.float64]
T = TypeVar("T")
Seconds = NewType("Seconds", float)
SCORES, CONTROLS, WITNESSES, MAKES = 3, 4, 5, 6
AGREEMENT_SLACK, MIN_DISTANCE = 0.1, 2.0
rng = default_rng(0)


@dataclass
class Score:
    value: float


class Control(NamedTuple):
    value: float


@functools.lru_cache
def _cached(count):
    return np.zeros(count)


_halve = functools.partial(math.pow, 0.5)
"""
FUNCTIONS = {
    name: f"def {name}({', '.join(parameters)}):\n    return None\n" for name, parameters in PARAMETERS.items()
}
WHOLE = ORDINARY + "".join(FUNCTIONS.values()) + "AGREEMENT_MIN = 0.9\n"


def problem_of(folder: Path, text: str) -> Problem:
    (folder / "problem.py").write_text(text)
    return load_problem(read_task(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TASKS / "slow_nbody", tmp_path / "task"))


def fault_of(folder: Path, text: str) -> str:
    with pytest.raises(TaskFault) as caught:
        problem_of(folder, text)
    assert "problem.py" in caught.value.cause
    return f"{caught.value.cause}\n{caught.value.hint}"


def test_every_field_of_a_problem_has_a_name_in_the_file() -> None:
    names = {field.name for field in fields(Problem)} - {"calls"}  # what task.toml says
    assert names == set(PARAMETERS) | {name.lower() for name in CONSTANTS}


@pytest.mark.parametrize(
    ("task", "missing"), [("slow_nbody", {"control", "judge_control", "witness", "degenerate"}),
                          ("slow_ml_training_complex", set())],
)  # fmt: skip
def test_a_shipped_problem_has_the_checks_that_its_file_defines(task: str, missing: set[str]) -> None:
    problem = load_problem(read_task(TASKS / task))
    assert {name for name in PARAMETERS if getattr(problem, name) is None} == missing


def test_a_file_with_everything_and_with_helpers_of_its_own_loads(folder: Path) -> None:
    problem = problem_of(folder, WHOLE)
    assert all(callable(getattr(problem, name)) for name in PARAMETERS)
    assert problem.agreement_min == 0.9


def test_a_file_with_make_and_score_alone_has_no_other_check(folder: Path) -> None:
    problem = problem_of(folder, FUNCTIONS["make"] + FUNCTIONS["score"])
    assert [name for name in PARAMETERS if getattr(problem, name) is not None] == ["make", "score"]
    assert problem.agreement_min == AGREEMENT_MIN_DEFAULT


@pytest.mark.parametrize(
    "alias",
    [
        "Score = dict[str, float]",
        "Score = NDArray[np.float64]",
        "Score = NewType('Score', float)",
        "Make = Judge = Callable[[int], float]",
        "Witness = Union[int, str]",
        "Control = Literal['shuffled']",
        "Agreement = Annotated[float, 'a share']",
        "Witness = int | str",
        "Score = float",
    ],
)
def test_an_alias_of_a_type_is_no_misspelt_function(folder: Path, alias: str) -> None:
    imports = "from collections.abc import Callable\nfrom typing import Annotated, Literal, NewType, Union\n"
    assert problem_of(folder, f"{WHOLE}{imports}{alias}\n").agreement_min == 0.9


def misspellings(name: str) -> list[str]:
    """One letter less, one more in the middle, two swapped, one more at the end."""
    middle = len(name) // 2
    wrong = [
        name[:middle] + name[middle + 1 :],
        name[:middle] + name[middle] + name[middle:],
        name[: middle - 1] + name[middle] + name[middle - 1] + name[middle + 1 :],
        name + "s",
    ]
    return [other for other in wrong if other != name]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in PARAMETERS for wrong in misspellings(name)])
def test_a_misspelt_function_is_an_error_that_names_the_right_one(folder: Path, name: str, wrong: str) -> None:
    definition = FUNCTIONS[name].replace(f"def {name}(", f"def {wrong}(")
    text = fault_of(folder, WHOLE.replace(FUNCTIONS[name], definition))
    assert repr(wrong) in text and f"did you mean {name!r}?" in text


@pytest.mark.parametrize(
    "wrong", ["agreement_min", "AGREEMENT_MN", "AGREEMENTS_MIN", "AGREEMENT_MINIMUM", "AGREMENT_MIN"]
)
def test_a_misspelt_constant_is_an_error_that_names_the_right_one(folder: Path, wrong: str) -> None:
    text = fault_of(folder, WHOLE.replace("AGREEMENT_MIN", wrong))
    assert repr(wrong) in text and "did you mean 'AGREEMENT_MIN'?" in text


@pytest.mark.parametrize(
    "definition",
    [
        "def helper(x):\n    return x\n",
        "helper = lambda x: x\n",
        "@functools.lru_cache\ndef helper(x):\n    return x\n",
        "async def helper(x):\n    return x\n",
    ],
)
def test_another_public_function_is_an_error_that_says_how_a_helper_is_named(folder: Path, definition: str) -> None:
    text = fault_of(folder, WHOLE + definition)
    assert "'helper'" in text and "begins with an underscore: _helper" in text and "judge_control" in text


def test_a_misspelt_name_for_a_callable_object_is_an_error_too(folder: Path) -> None:
    text = fault_of(folder, WHOLE + "witnes = functools.partial(witness)\n")
    assert "did you mean 'witness'?" in text


@pytest.mark.parametrize(
    ("missing", "other"),
    [
        ("rearrange", "agreement"),
        ("agreement", "rearrange"),
        ("control", "judge_control"),
        ("judge_control", "control"),
    ],
)
def test_of_two_functions_that_need_each_other_both_must_be_there(folder: Path, missing: str, other: str) -> None:
    text = fault_of(folder, WHOLE.replace(FUNCTIONS[missing], ""))
    assert f"defines {other} without {missing}" in text


def test_a_bound_without_the_function_that_it_bounds_is_an_error(folder: Path) -> None:
    text = WHOLE.replace(FUNCTIONS["rearrange"], "").replace(FUNCTIONS["agreement"], "")
    assert "defines AGREEMENT_MIN without agreement" in fault_of(folder, text)


@pytest.mark.parametrize("name", ["make", "score"])
def test_a_file_without_what_every_problem_needs_is_an_error(folder: Path, name: str) -> None:
    assert f"has no function {name}" in fault_of(folder, WHOLE.replace(FUNCTIONS[name], ""))


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_function_with_other_parameters_is_an_error_that_shows_the_right_call(folder: Path, name: str) -> None:
    wrong = f"def {name}(one):\n    return None\n"
    text = fault_of(folder, WHOLE.replace(FUNCTIONS[name], wrong))
    assert f"{name}(one) cannot be called as {name}({', '.join(PARAMETERS[name])})" in text


def test_parameters_may_have_other_names_defaults_or_stars(folder: Path) -> None:
    text = WHOLE.replace("def score(case, answer)", "def score(data, /, reply, *, strict=True)")
    assert problem_of(folder, text.replace("def witness(case, answer)", "def witness(*arguments)")).witness is not None


@pytest.mark.parametrize(
    ("value", "words"), [("0", "share over 0"), ("1.5", "share over 0"), ("'0.9'", "share over 0")]
)
def test_a_bound_that_is_no_share_is_an_error(folder: Path, value: str, words: str) -> None:
    assert words in fault_of(folder, WHOLE.replace("AGREEMENT_MIN = 0.9", f"AGREEMENT_MIN = {value}"))


def test_a_known_name_for_something_that_is_not_a_function_is_an_error(folder: Path) -> None:
    assert "witness is not a function" in fault_of(folder, WHOLE.replace(FUNCTIONS["witness"], "witness = 3\n"))
