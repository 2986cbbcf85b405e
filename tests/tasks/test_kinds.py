"""A task.toml says what is called; what another kind needs is missing, and what it has no use for is refused."""

import shutil
from pathlib import Path

import pytest

from runner.faults import TaskFault
from runner.settings import data_folder
from runner.tasks.authoring import Case, Cases
from runner.tasks.kinds import adapt, case_name, cases_of, comparison, stdin_of
from runner.tasks.problem import generate, load_problem
from runner.tasks.schema import CallSection
from runner.tasks.task import read_task
from tests.tasks.test_task import edit

TASKS = data_folder("problem_data")


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TASKS / "held_out_labels", tmp_path / "task"))


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ('kind = "answer"', 'kind = "answr"', "call.kind = 'answr'"),
        ("seed = 271828\n", "", "call.seed is missing: tasks of kind 'answer' need it"),
        ("minimum = 0.80", "tolerance = 0.1", "quality.minimum is missing"),
        ('form = "csv"', 'form = "csv"\nentry = "f"', "call.entry means nothing for kind 'answer'"),
        ("[limits]", "[target]\nspeedup = 2.0\n\n[limits]", "target.speedup means nothing"),
        ("[limits]", "[imports]\nmodules = []\n\n[limits]", "imports means nothing"),
        ('shape = ["test"]', 'shape = ["test", 2]', "the columns of a csv have one length"),
        ('form = "csv"', 'form = "text"', "a text has no arrays"),
    ],
)  # fmt: skip
def test_what_a_kind_needs_and_what_it_has_no_use_for_is_named(answer: Path, old: str, new: str, cause: str) -> None:
    edit(answer, old, new)
    with pytest.raises(TaskFault) as caught:
        read_task(answer)
    assert cause in caught.value.cause and "task.toml" in caught.value.cause


def test_a_baseline_that_is_named_must_be_there_and_one_that_is_not_need_not(answer: Path) -> None:
    (answer / "baseline.csv").unlink()
    with pytest.raises(TaskFault, match=r"baseline\.csv is missing"):
        read_task(answer)
    edit(answer, 'baseline = "baseline.csv"\n', "")
    edit(answer, 'starter = "sample_predictions.csv"\n', "")
    assert read_task(answer).baseline == b""


def test_a_function_that_a_kind_has_no_use_for_is_refused(answer: Path) -> None:
    with (answer / "problem.py").open("a") as file:
        file.write("\n\ndef witness(case, answer):\n    return None\n")
    with pytest.raises(TaskFault, match="defines witness, which a task of kind answer has no use for"):
        load_problem(read_task(answer))


def test_what_an_agent_finds_holds_no_hidden_label_and_the_same_seed_gives_it_again(answer: Path) -> None:
    task = read_task(answer)
    problem = load_problem(task)
    case, again = (generate(problem, task, "full", task.file.call.seed) for _ in range(2))
    assert {name: array.tobytes() for name, array in case.inputs.items()} == {
        name: array.tobytes() for name, array in again.inputs.items()
    }
    asked = case.inputs["test.csv"].tobytes().decode().splitlines()
    assert "label" not in asked[0] and len(asked) == 1 + len(case.hidden["label"])


@pytest.mark.parametrize(
    ("expected", "output", "right"),
    [
        (b"x 1.0", b"x  1.0000001\n", True),
        (b"1.0", b"1.1", False),
        (b"inf", b"inf", True),
        (b"inf", b"1", False),
        (b"-infinity", b"7", False),
        (b"1e999", b"0", False),
        (b"nan", b"0", False),
        (b"1", b"inf", False),
        (b"1", b"nan", False),
        (b"10", b"1_0", False),
    ],
)
def test_a_number_is_near_a_number_alone(expected: bytes, output: bytes, right: bool) -> None:
    call = CallSection.model_validate({"kind": "program", "run": ["./solve"], "compare": "numbers", "tolerance": 1e-6})
    assert comparison(call)(Cases([b""], [expected]), [output]) == [float(right)]


@pytest.mark.parametrize("count", [1, 9_999, 10_000, 12_345])
def test_however_many_cases_there_are_each_output_meets_what_is_expected_of_its_case(count: int) -> None:
    call = CallSection(kind="program", run=["x"], compare="exact")
    contents = [b"%d" % number for number in range(count)]
    functions = adapt(call, {"make": lambda seed, sizes: Cases(contents, contents)})
    case = functions["make"](0, {})
    assert stdin_of(case) == tuple(contents) and cases_of(case).expected == contents
    printed = {case_name(number): case.inputs[case_name(number)] for number in range(1, count + 1)}
    assert functions["score"](case, printed).all()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (Cases([5], [b"5"]), "stdin of case 1 is a int"),  # type: ignore[list-item]
        (Cases([b"5"], ["5"]), "expected of case 1 is a str"),  # type: ignore[list-item]
        (Cases(b"abc", b"abc"), "stdin of case 1 is a int"),  # type: ignore[arg-type]
        (Cases([[53, 54]], [b"56"]), "stdin of case 1 is a list"),  # type: ignore[list-item]
        (Cases([b"1", b"2"], [b"1"]), "2 inputs and 1 expected outputs"),
        (Cases([], []), "0 inputs"),
        (([b"1"], [b"1"]), "it gave a tuple, Cases of runner.tasks is asked for"),
        (Case({}, {}), "it gave a Case"),
    ],
)
def test_cases_of_another_form_are_refused_and_never_turned_into_other_bytes(made: object, words: str) -> None:
    functions = adapt(CallSection(kind="program", run=["x"]), {"make": lambda seed, sizes: made})
    with pytest.raises((TypeError, ValueError), match=words):
        functions["make"](0, {})


@pytest.mark.parametrize(
    "name", ["../up.csv", "/etc/x", "", ".", "a//b", "a/../b", "line\nbreak", "nul\0", "\udcff", "x" * 1025, 3]
)
def test_a_question_has_no_file_outside_of_the_workspace(answer: Path, name: object) -> None:
    with (answer / "problem.py").open("a") as file:
        file.write(
            "\n_made = make\n\n\ndef make(seed, sizes):\n"
            f"    files, hidden = _made(seed, sizes)\n    return Question({{**files, {name!r}: b'1'}}, hidden)\n"
        )
    task = read_task(answer)
    with pytest.raises(TaskFault, match=r"a file is called"):
        generate(load_problem(task), task, "full", 1)


def test_a_column_of_an_answer_may_be_called_text(answer: Path) -> None:
    edit(answer, "[answer.label]", "[answer.text]")
    path = answer / "problem.py"
    path.write_text(path.read_text().replace('answer["label"]', 'answer["text"]'))
    task = read_task(answer)
    problem = load_problem(task)
    case = generate(problem, task, "full", task.file.call.seed)
    assert problem.score(case, {"text": case.hidden["label"]}).mean() == 1.0
