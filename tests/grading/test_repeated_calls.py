"""Short functions: a sample calls them several times, each on data of its own, and takes the time of all of them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runner.faults import TaskFault
from runner.grading.data import generate_round
from runner.grading.guarded_problem import NotJudged, guarded
from runner.grading.sample import SampleResult, SampleSpec, run_sample, warm_sandbox
from runner.grading.scoring import ScoreBook, ScoredAnswer
from runner.job.setup import build_spec, sample_of
from runner.records.grading import Ending, Rules
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings
from runner.tasks.kinds import seed_of_call
from runner.tasks.problem import generate, load_problem
from runner.tasks.task import Task, read_task

CALLS = 5
TOML = """
[task]
name = "sums"
[workspace]
starter = "sums.py"
sample = { file = "sample.npz", seed = 3, scale = "full" }
[submission]
file = "fast_sums.py"
[call]
entry = "sums"
repeat = 5
[inputs]
values = { dtype = "float64", shape = ["count"] }
times = { dtype = "int64", shape = [] }
[answer]
total = { dtype = "float64", shape = [] }
parts = { dtype = "float64", shape = ["count"] }
[scales.full]
sizes = { count = 8 }
[target]
speedup = 2.0
[quality]
tolerance = 0.01
[imports]
modules = ["numpy"]
"""
PROBLEM = """
import numpy as np
from runner.tasks import Case, generators

def make(seed, sizes):
    (rng,) = generators(seed, 1)
    values, times = rng.random(sizes["count"]), int(rng.integers(2, 50))
    parts = times * values
    return Case({"values": values, "times": np.int64(times)}, {"total": np.float64(parts.sum()), "parts": parts})

def score(case, answer):
    right = np.isclose(answer["parts"], case.hidden["parts"])
    return right * np.isclose(answer["total"], case.hidden["total"])
"""
HONEST = "def sums(values, times):\n    parts = values * times\n    return {'total': parts.sum(), 'parts': parts}\n"
REUSES_MEMORY = """
import numpy as np
out = np.empty(8)
def sums(values, times):
    np.multiply(values, times, out=out)
    return {"total": out.sum(), "parts": out}
"""
MEMOISES = """
known = []
def sums(values, times):
    if not known:
        parts = values * times
        known.append({"total": parts.sum(), "parts": parts})
    return known[0]
"""
MADE_BY = """
[answer.more]
dtype = "float64"
shape = []
made_by = { component = "Sum", method = "add", inputs = ["values"] }
[components.Sum]
methods = ["add"]
"""
ORDERED = """
def rearrange(case, order):
    moved = {**case.inputs, "values": case.inputs["values"][order]}
    return Case(moved, {**case.hidden, "parts": case.hidden["parts"][order]})

def agreement(answer, rearranged, order):
    return float((answer["parts"][order] == rearranged["parts"]).mean())
"""
CHANGES_ITS_INPUT = """
def sums(values, times):
    values *= times
    return {"total": values.sum(), "parts": values}
"""
SHARES_MEMORY = """
import numpy as np
seen = []
def sums(values, times):
    seen.append(values)
    assert values.base is None and type(times) is int, (type(values.base), type(times))
    assert not any(np.shares_memory(values, other) for other in seen[:-1])
    parts = values * times
    return {"total": parts.sum(), "parts": parts}
"""
RULES = Rules(target=2.0, confidence=0.95, quality="Q", tolerance=0.01, minimum=None, rounds_max=3, seconds_max=60.0)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Task]:
    def make(toml: str = TOML, problem: str = PROBLEM) -> Task:
        folder = tmp_path / "sums"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, text in {
            "task.toml": toml, "problem.py": problem, "baseline.py": HONEST, "instruction.md": "{repeat} calls of `sums`",
        }.items():  # fmt: skip
            (folder / name).write_text(text)
        return read_task(folder)

    return make


def test_the_data_of_a_sample_are_those_of_all_calls_and_each_call_has_its_own(make: Callable[..., Task]) -> None:
    task = make()
    case = generate(load_problem(task), task, "full", 7)
    assert {name: array.shape for name, array in case.inputs.items()} == {"values": (CALLS, 8), "times": (CALLS,)}
    assert len({row.tobytes() for row in case.inputs["values"]}) == CALLS
    assert len({seed_of_call(7, number) for number in range(CALLS)} | {seed_of_call(8, 0), 7}) == CALLS + 2
    again = generate(load_problem(task), task, "full", 7)
    assert all(np.array_equal(case.inputs[name], again.inputs[name]) for name in case.inputs)


def test_the_agent_sees_one_calls_data_and_how_many_there_are(make: Callable[..., Task]) -> None:
    task = make()
    sample = sample_of(load_problem(task), task)
    assert sample is not None and sample["values"].shape == (8,) and sample["hidden_total"].shape == ()
    assert task.instruction("full") == "5 calls of `sums`"


def answers(task: Task, *, same: bool = False) -> tuple[Any, ScoredAnswer, ScoredAnswer]:
    """(data, the baseline's answer, a candidate's), right but for what is asked for."""
    data = generate_round(load_problem(task), task, "full", 11, count=3)
    right = {name: np.array(array) for name, array in data.identity.case.hidden.items()}
    mine = {name: np.array([array[0]] * CALLS) for name, array in right.items()} if same else right
    return (
        data,
        ScoredAnswer(side="baseline", run=0, data=data.identity, permutation=0, arrays=right),
        ScoredAnswer(side="candidate", run=1, data=data.identity, permutation=0, arrays=mine),
    )


def test_each_call_is_an_item_of_the_quality(make: Callable[..., Task]) -> None:
    task = make()
    book = ScoreBook(load_problem(task), RULES)
    data, baseline, candidate = answers(task, same=True)
    book.add(1, data, [baseline, candidate])
    (found,) = book.rounds(1)
    assert (found.baseline, found.candidate) == (1.0, pytest.approx(1 / CALLS))


@pytest.mark.parametrize("same", [False, True])
def test_one_answer_to_all_calls_is_named(make: Callable[..., Task], same: bool) -> None:
    task = make()
    book = ScoreBook(load_problem(task), RULES)
    data, *both = answers(task, same=same)
    book.add(1, data, both)
    named = [finding.mark for finding in book.findings(1, []) if finding.check == "answers-change"]
    assert named == (["fail"] if same else [])


@pytest.mark.parametrize(
    ("toml", "problem", "words"),
    [
        (TOML + MADE_BY, PROBLEM, "call.repeat is 5"),
        (TOML.replace("repeat = 5", "repeat = 0"), PROBLEM, "call.repeat"),
        (TOML.replace("repeat = 5", "repeat = 1001"), PROBLEM, "call.repeat"),
        (TOML.replace('entry = "sums"', 'kind = "program"\nrun = ["x"]'), PROBLEM, "call.repeat means nothing"),
    ],
)
def test_what_cannot_be_repeated_is_refused(make: Callable[..., Task], toml: str, problem: str, words: str) -> None:
    with pytest.raises(TaskFault) as refused:
        load_problem(make(toml, problem))
    assert words in refused.value.cause


def test_items_keep_their_order_in_every_call_and_the_worst_call_agrees_least(make: Callable[..., Task]) -> None:
    task = make(problem=PROBLEM + ORDERED)
    problem = load_problem(task)
    data = generate_round(problem, task, "full", 11, count=2)
    one, two = data.permutations
    assert two.order is not None and sorted(two.order) == list(range(8))
    assert np.array_equal(two.case.inputs["values"], one.case.inputs["values"][:, two.order])
    right = {name: np.array(array) for name, array in one.case.hidden.items()}
    moved = {name: np.array(array) for name, array in two.case.hidden.items()}
    assert problem.agreement is not None and problem.agreement(right, moved, two.order) == 1.0
    moved["parts"][3, :2] = 0.0
    assert problem.agreement(right, moved, two.order) == pytest.approx(6 / 8)
    items = two.in_identity_order(problem.score(two.case, moved))
    assert sorted(items) == pytest.approx([1 - 1 / CALLS] * 2 + [1.0] * 6)
    assert set(np.flatnonzero(items < 1.0)) == set(two.order[:2])


@pytest.mark.parametrize("call", range(CALLS))
def test_a_share_that_is_no_number_is_not_passed_over_in_any_call(make: Callable[..., Task], call: int) -> None:
    ordered = ORDERED.replace("return float(", 'return float("nan") if answer["total"] < 0.0 else float(')
    task = make(problem=PROBLEM + ordered)
    problem = guarded(load_problem(task))
    data = generate_round(problem, task, "full", 11, count=1).identity
    answer, order = {name: np.array(array) for name, array in data.case.hidden.items()}, np.arange(8)
    assert problem.agreement is not None and problem.agreement(answer, answer, order) == 1.0
    answer["total"][call] = -1.0
    with pytest.raises(NotJudged, match="nan"):
        problem.agreement(answer, answer, order)


def test_calls_of_another_form_are_the_tasks_fault(make: Callable[..., Task]) -> None:
    uneven = PROBLEM.replace(
        "return Case(", "values = values[: 4 + times % 5]\n    parts = times * values\n    return Case("
    )
    task = make(problem=uneven)
    with pytest.raises(TaskFault, match="in other forms"):
        generate(load_problem(task), task, "full", 7)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("None", "it gave a NoneType, Case of runner.tasks is asked for"),
        ("(case.inputs, case.hidden)", "it gave a tuple, Case of runner.tasks is asked for"),
        (
            "Case(case.inputs, {**case.hidden, 'late': 1.0} if made.append(0) or len(made) > 2 else case.hidden)",
            "have late",
        ),
    ],
)
@pytest.mark.parametrize("function", ["make", "rearrange"])
def test_what_one_of_the_calls_gives_in_place_of_its_case_is_named(
    make: Callable[..., Task], function: str, given: str, words: str
) -> None:
    arguments = {"make": "seed, sizes", "rearrange": "case, order"}[function]
    wrong = f"def {function}({arguments}):\n    case = _plain({arguments})\n    return {given}\n"
    task = make(problem=f"{PROBLEM}{ORDERED}\nmade, _plain = [], {function}\n{wrong}")
    with pytest.raises(TaskFault) as refused:
        generate_round(load_problem(task), task, "full", 7, count=2)
    assert f"{function} of problem.py of sums failed" in refused.value.cause and words in refused.value.cause


def test_an_order_of_items_that_nothing_counts_is_the_tasks_fault(make: Callable[..., Task]) -> None:
    text = (PROBLEM + ORDERED).replace('{"total": np.float64(parts.sum()), "parts": parts}', "{}")
    task = make(problem=text)
    with pytest.raises(TaskFault, match="defines rearrange, and what make hides has no items"):
        generate_round(load_problem(task), task, "full", 7, count=2)


# In a sandbox


Sampled = Callable[[str], tuple[SampleResult, Any]]


@pytest.fixture
def sampled(engine: Engine, images: None, fleet: Fleet, make: Callable[..., Task]) -> Sampled:
    """Runs one sample, where nothing is measured; gives it and the mean quality of its answer."""
    task = make()
    problem = load_problem(task)

    def run(source: str) -> tuple[SampleResult, Any]:
        data = generate_round(problem, task, "full", 5, count=1).identity
        spec = SampleSpec(
            task=task, sandbox=build_spec(engine, task, Settings(), print)[0], layout=task.input_arrays("full"),
            inputs=data.inputs, answer=task.answer_arrays("full"), deadline_s=60.0, preload=("numpy",),
        )  # fmt: skip
        with warm_sandbox(fleet, spec, role="check", cpuset="0") as sandbox:
            result = run_sample(sandbox, spec, source.encode())
        answer = SimpleNamespace(arrays=result.arrays)
        return result, None if answer.arrays is None else problem.score(data.case, answer.arrays).tolist()

    return run


@pytest.mark.parametrize("source", [HONEST, REUSES_MEMORY, CHANGES_ITS_INPUT, SHARES_MEMORY])
def test_every_call_is_answered_on_data_of_its_own(sampled: Sampled, source: str) -> None:
    result, qualities = sampled(source)
    assert result.ending is Ending.ANSWERED, result.detail
    assert qualities == [1.0] * CALLS


def test_a_file_that_remembers_its_first_answer_is_right_once(sampled: Sampled) -> None:
    result, qualities = sampled(MEMOISES)
    assert result.ending is Ending.ANSWERED and qualities == [1.0] + [0.0] * (CALLS - 1)


def test_the_time_of_a_sample_is_that_of_all_its_calls(sampled: Sampled) -> None:
    waits = HONEST.replace("    parts =", "    import time; time.sleep(0.2)\n    parts =")
    assert sampled(waits)[0].seconds >= 0.2 * CALLS


@pytest.mark.parametrize(
    ("body", "ending"),
    [
        ("return {'total': 1.0}", Ending.BAD_ANSWER),
        ("return {'total': values.sum(), 'parts': values[:3]}", Ending.BAD_ANSWER),
        ("raise ValueError('no')", Ending.CRASHED),
    ],
)
def test_a_call_that_fails_ends_the_sample_whichever_it_is(sampled: Sampled, body: str, ending: Ending) -> None:
    third = (
        f"seen = []\ndef sums(values, times):\n    seen.append(1)\n    if len(seen) == 3:\n        {body}\n"
        "    return {'total': values.sum(), 'parts': values}\n"
    )
    result, qualities = sampled(third)
    assert result.ending is ending and qualities is None
