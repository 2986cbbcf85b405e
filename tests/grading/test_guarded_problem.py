"""Whatever a function of problem.py does on an answer is its own run's outcome and no other's, in every kind of task."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest

from runner.faults import InfrastructureFault
from runner.grading.answers import grade_answers
from runner.grading.context import Candidate, GradingContext, Programs
from runner.grading.guarded_problem import NotJudged, guarded
from runner.grading.recompute import recompute
from runner.grading.rounds import grade
from runner.grading.sample import SampleResult, SampleSpec
from runner.grading.standing import Graded
from runner.job.setup import load_task
from runner.records.grading import Ending, Rules
from runner.settings import Settings
from runner.tasks.authoring import BadAnswer
from runner.tasks.problem import Answer, Case, Problem, load_problem
from tests.fakes.paper import RULES, Paper, steady

pytestmark = pytest.mark.slow

HONEST, HIT = 1, 2


class Unheard(Exception):
    """An author's own."""


def raises(error: BaseException) -> Callable[..., Any]:
    def raising(*_: Any) -> Any:
        raise error

    return raising


def gives(value: Any) -> Callable[..., Any]:
    return lambda *_: value


# What a function does, and what becomes of the run.
NO_ANSWER: Mapping[str, Callable[..., Any]] = {"takes it for none": raises(BadAnswer("it holds no number"))}
FAILS: Mapping[str, Callable[..., Any]] = {
    "raises": raises(ValueError("invalid literal")),
    "indexes past its end": raises(IndexError("7")),
    "divides by zero": lambda *_: 1 // 0,
    "raises its own": raises(Unheard()),
    "runs out of memory": raises(MemoryError()),
    "recurses": raises(RecursionError()),
    "ends the program": raises(SystemExit(0)),
}
# What only an answer with such numbers in it brings about; an infinitely bad one is no mistake of the author's.
LARGE = np.full(4, 1e200)
OVERFLOWS: Mapping[str, Callable[..., Any]] = {
    "overflows": lambda *_: 1.0 - LARGE * LARGE,
    "overflows, and gives nan": lambda *_: np.where(LARGE * LARGE > LARGE, math.nan, 1.0),
    "overflows in plain numbers": lambda *_: [-(1e200**2)] * 4,
    "overflows, and gives whole numbers": lambda *_: list(map(int, np.where(LARGE * LARGE > LARGE, math.nan, 1.0))),
    "overflows, and solves for what came": lambda *_: np.linalg.eigvals(np.outer(LARGE, LARGE)),
    "overflows, and divides by what came": lambda *_: [1.0 // math.exp(-x) for x in LARGE * 1e200],
    "gives minus infinity": gives(np.array([1.0, 1.0, -math.inf, 1.0])),
}
WRONG_FORM: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "score": {
        "gives one number": gives(1.0),
        "gives nothing": gives(None),
        "gives no item": gives(np.zeros(0)),
        "gives nan": gives(np.array([1.0, math.nan])),
        "gives infinity": gives(np.array([1.0, math.inf])),
        "gives infinity and minus infinity": gives(np.array([-math.inf, math.inf])),
        "gives fewer items": gives(np.ones(3)),
        "gives words": gives(["good"]),
    },
    "agreement": {"gives nothing": gives(None), "gives nan": gives(math.nan), "gives a vector": gives(np.ones(4))},
    "witness": {"gives a number": gives(0.5), "gives False": gives(False)},
    "degenerate": {"gives a number": gives(0.5)},
    "judge_control": {"gives a number": gives(0.5), "gives True": gives(True)},
}
TABLE = [
    pytest.param(function, does, kind, id=f"{function} {name}")
    for function, wrong in WRONG_FORM.items()
    for kind, rows in (("bad_answer", NO_ANSWER), ("infrastructure", {**FAILS, **wrong}))
    for name, does in rows.items()
]


@dataclass
class OnPaper(Paper):
    """One of two files gives answers that the functions of problem.py tell from the others: it has the mark."""

    def run_sample(self, sandbox: Any, spec: SampleSpec, source: bytes, cutoff_s: float | None = None) -> SampleResult:
        result = super().run_sample(sandbox, spec, source, cutoff_s)
        if b"# hit" in source and result.arrays is not None:
            result = replace(result, arrays={name: np.array(array) for name, array in result.arrays.items()})
            MARKED.append(result.arrays)
        return result


MARKED: list[Any] = []


def only_on_marked(does: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        is_hit = any(one is other for one in arguments for other in MARKED)
        return (does if is_hit else otherwise)(*arguments)

    return called


def with_everything(problem: Problem) -> Problem:
    return replace(
        problem,
        control=lambda case, rng: case,
        judge_control=gives(None),
        witness=gives(None),
        degenerate=gives(None),
    )


def graded_with(
    monkeypatch: pytest.MonkeyPatch, function: str, does: Callable[..., Any], task: str = "slow_nbody"
) -> dict[int, Graded]:
    MARKED.clear()
    paper = OnPaper(load_task(Settings(), task), steady)
    paper.put_in_place(monkeypatch)
    context = replace(paper.context(), rules=replace(RULES, data_sets=3))  # without audits
    problem = with_everything(context.problem)
    problem = replace(problem, **{function: only_on_marked(does, getattr(problem, function))})
    own = paper.task.oracle or b""
    files = [Candidate(HONEST, own + b"# mine"), Candidate(HIT, own + b"# hit")]
    return {graded.run: graded for graded in grade(replace(context, problem=problem), files)}


@pytest.mark.parametrize("does", OVERFLOWS.values(), ids=OVERFLOWS)
def test_an_answer_whose_numbers_are_too_large_is_no_fault_of_the_task(
    does: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = graded_with(monkeypatch, "score", does)
    assert {run: graded.grading.outcome.kind for run, graded in found.items()} == {HONEST: "passed", HIT: "bad_answer"}


def shares_of_square(case: Case, answer: Answer) -> Any:
    squares = np.einsum("ij,ij->i", answer["values"], answer["values"])  # numpy does not say that it overflows
    with np.errstate(invalid="ignore"):
        return squares / (1.0 + squares)


@pytest.mark.parametrize(("dtype", "value"), [("float64", 1e200), ("float64", -1.7e308), ("float32", 3e38)])
def test_numbers_whose_overflow_numpy_does_not_mention_are_no_answer(dtype: str, value: float) -> None:
    problem = guarded(Problem(make=gives(None), score=shares_of_square))
    assert problem.score(Case({}, {}), {"values": np.ones((3, 2), dtype)}) == pytest.approx([2 / 3] * 3)
    with pytest.raises(BadAnswer, match="too large"):
        problem.score(Case({}, {}), {"values": np.full((3, 2), value, dtype)})


def test_no_number_from_an_ordinary_answer_stays_the_tasks_fault() -> None:
    problem = guarded(Problem(make=gives(None), score=gives(np.array([math.nan]))))
    with pytest.raises(NotJudged):
        problem.score(
            Case({}, {}), {"values": np.array([1e9, 0.0]), "none": np.zeros(0), "labels": np.array([1 << 62])}
        )


@pytest.mark.parametrize("quality", [-1e300, -1e200, -1e155, -1e100, 1e300])
def test_no_finite_quality_is_too_large_for_a_verdict(quality: float, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(10**6))

    def wild(*_: Any) -> Any:
        return np.full(48, quality) * (1.0 + 0.01 * (next(calls) % 7))

    found = graded_with(monkeypatch, "score", wild)
    assert found[HONEST].grading.outcome.kind == "passed"
    assert (found[HIT].grading.outcome.kind == "inaccurate") == (quality < 0.0)
    assert recompute(found[HIT].grading, HIT).outcome == found[HIT].grading.outcome


@pytest.mark.parametrize(("function", "does", "kind"), TABLE)
def test_a_function_that_fails_on_an_answer_is_one_runs_outcome_and_no_others(
    function: str, does: Callable[..., Any], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = graded_with(monkeypatch, function, does)
    assert found[HONEST].grading.outcome.kind == "passed", found[HONEST].grading.outcome
    outcome = found[HIT].grading.outcome
    assert outcome.kind == kind, outcome
    if kind == "infrastructure":
        assert f"{function} of problem.py of slow_nbody" in outcome.reason and "BadAnswer" in outcome.hint
    else:
        assert "it holds no number" in outcome.reason
        assert recompute(found[HIT].grading, HIT).outcome == outcome


def test_functions_that_say_what_they_may_leave_both_runs_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    found = graded_with(monkeypatch, "degenerate", gives("constant"))
    assert {graded.grading.outcome.kind for graded in found.values()} == {"passed"}
    assert any(finding.check == "degenerate" for finding in found[HIT].grading.findings)


@pytest.mark.parametrize("function", ["score", "agreement"])
def test_what_fails_on_the_tasks_own_answer_is_the_tasks_fault_or_nobodys(
    function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper(load_task(Settings(), "slow_nbody"), steady)
    paper.put_in_place(monkeypatch)
    context = paper.context()
    broken = replace(context.problem, **{function: raises(ValueError("always"))})
    files = [Candidate(HONEST, (paper.task.oracle or b"") + b"# mine")]
    if function == "score":
        with pytest.raises(InfrastructureFault, match=r"score of problem\.py of slow_nbody failed on an answer"):
            list(grade(replace(context, problem=broken), files))
        return
    [graded] = grade(replace(context, problem=broken), files)
    assert graded.grading.outcome.kind == "infrastructure"


@dataclass
class Outputs:
    """What programs print, said to have run."""

    context: GradingContext
    expected: dict[tuple[bytes, ...], Any] = field(default_factory=dict)

    def make(self, seed: int, sizes: Mapping[str, int]) -> Any:
        case = load_problem(self.context.task).make(seed, sizes)
        self.expected[tuple(array.tobytes() for _, array in sorted(case.inputs.items()))] = case.hidden
        return case

    def run_sample(self, sandbox: Any, spec: SampleSpec, source: bytes, cutoff_s: float | None = None) -> SampleResult:
        arrays = {name: np.array(array) for name, array in self.expected[spec.cases or ()].items()}
        if source == b"hit":
            MARKED.append(arrays)
        return SampleResult(Ending.ANSWERED, 0.01, arrays)


# Without data in another order nobody knows how many items there are.
PROGRAMS = {**FAILS, **{name: does for name, does in WRONG_FORM["score"].items() if name != "gives fewer items"}}


@pytest.mark.parametrize(
    ("does", "kind"),
    [*((does, "infrastructure") for does in PROGRAMS.values()), (NO_ANSWER["takes it for none"], "bad_answer")],
    ids=[*PROGRAMS, "takes it for none"],
)
def test_a_judge_that_fails_on_a_programs_output_is_one_runs_outcome(
    does: Callable[..., Any], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    MARKED.clear()
    paper = Paper(load_task(Settings(), "slow_nbody"), steady)
    paper.put_in_place(monkeypatch)
    task = load_task(Settings(), "hidden_expressions")
    rules = Rules(
        target=None, confidence=0.95, quality="Cases", tolerance=None, minimum=0.5, rounds_max=2, seconds_max=60.0,
        edition=2, repetitions=2,
    )  # fmt: skip
    context = replace(
        paper.context(), task=task, problem=load_problem(task), rules=rules, scale=next(iter(task.file.scales)),
        programs=Programs(None, None),
    )  # fmt: skip
    outputs = Outputs(context)

    def judge(*arguments: Any) -> Any:
        answer = arguments[1]
        return does(*arguments) if any(answer is one for one in MARKED) else context.problem.score(*arguments)

    judge.__name__ = "judge"
    problem = replace(context.problem, make=outputs.make, score=judge)
    files = [Candidate(HONEST, b"honest"), Candidate(HIT, b"hit")]
    found = {
        graded.run: graded.grading.outcome
        for graded in grade(replace(context, problem=problem, run_sample=outputs.run_sample), files)
    }
    assert found[HONEST].kind == "passed", found[HONEST]
    assert found[HIT].kind == kind, found[HIT]
    assert kind == "bad_answer" or "judge of problem.py of hidden_expressions" in found[HIT].reason


@pytest.mark.parametrize(
    ("does", "kind"),
    [
        *((does, "infrastructure") for does in PROGRAMS.values()),
        (NO_ANSWER["takes it for none"], "bad_answer"),
    ],
    ids=[*PROGRAMS, "takes it for none"],
)
def test_a_score_that_fails_on_a_file_is_one_runs_outcome(does: Callable[..., Any], kind: str) -> None:
    task, unused = load_task(Settings(), "held_out_labels"), cast(Any, None)
    problem, seen = load_problem(task), []

    def scored(*arguments: Any) -> Any:
        seen.append(arguments)
        return does(*arguments) if len(seen) == 1 else problem.score(*arguments)

    rules = Rules(
        target=None, confidence=0.95, quality="Accuracy", tolerance=None, minimum=0.5, rounds_max=12, seconds_max=60.0,
        edition=2, repetitions=1,
    )  # fmt: skip
    context = replace(
        Paper(load_task(Settings(), "slow_nbody"), steady).context(), fleet=unused, task=task, rules=rules,
        problem=replace(problem, score=scored), scale="full",
    )  # fmt: skip
    solution = task.oracle or b""
    outcomes = outcomes_of(list(grade_answers(context, [Candidate(HIT, solution), Candidate(HONEST, solution)])))
    assert outcomes == {HIT: kind, HONEST: "passed"}


def outcomes_of(graded: Sequence[Graded]) -> dict[int, str]:
    return {one.run: one.grading.outcome.kind for one in graded}


def test_a_guard_around_a_guard_says_the_same() -> None:
    problem = with_everything(load_problem(load_task(Settings(), "slow_nbody")))
    twice = guarded(guarded(replace(problem, witness=raises(ValueError("no")))))
    assert twice.witness is not None
    with pytest.raises(NotJudged, match=r"witness of problem\.py failed on an answer: ValueError"):
        twice.witness(cast(Any, None), {})


def test_a_warning_that_others_made_an_error_of_is_none_while_an_answer_is_judged() -> None:
    def score(case: Case, answer: Answer) -> Any:
        return np.nan_to_num(np.zeros(4) / np.zeros(4))

    problem = guarded(Problem(make=gives(None), score=score))
    with pytest.warns(RuntimeWarning, match="invalid value"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (problem.score(cast(Any, None), {}) == 0.0).all()
        assert warnings.filters[0][0] == "error"
