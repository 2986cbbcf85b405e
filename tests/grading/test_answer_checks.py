"""What answers give away: constants, silence, times too good to be true, more processes than there should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.checks import answers
from runner.grading.data import Permutation, RoundData
from runner.grading.scoring import ScoreBook, ScoredAnswer
from runner.job.setup import load_task
from runner.records.grading import Rules
from runner.settings import Settings
from runner.tasks.kinds import case_name, of_bytes
from runner.tasks.problem import Case, Problem, generate, load_problem

Answer = dict[str, np.ndarray]


def test_the_same_answer_on_data_that_differ_is_named() -> None:
    finding = answers.answers_constant({1: "a", 2: "a"}, {1: "x", 2: "y"})
    assert finding is not None and finding.mark == "fail" and "2 different data sets" in finding.text


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [
        ({1: "a"}, {1: "x"}),
        ({1: "a", 2: "b"}, {1: "x", 2: "y"}),
        ({1: "a", 2: "a"}, {1: "x", 2: "x"}),  # the right answer itself did not change
        ({1: "a", 2: "a"}, {1: "x"}),
    ],
)
def test_an_answer_that_may_be_honest_is_left_alone(candidate: dict[int, str], baseline: dict[int, str]) -> None:
    assert answers.answers_constant(candidate, baseline) is None


def counted(counts: list[int], data_sets: int, size: int = 1, target: float | None = 2.0) -> list[str]:
    """Marks of `answers-change` after each data set, of a file that answers so; the baseline answers the first three.

    The task takes an answer that is off by any count: nothing but this check tells a constant.
    """
    problem = Problem(make=lambda seed, sizes: Case({}, {}), score=lambda case, answer: np.ones(1))
    rules = Rules(
        target=target, confidence=0.95, quality="Q", tolerance=0.01, minimum=None, rounds_max=3, seconds_max=60.0,
        data_sets=data_sets,
    )  # fmt: skip
    book, marks = ScoreBook(problem, rules), []
    for number, count in enumerate(counts, 1):
        data = Permutation(Case({}, {}), None, b"")
        given = {0: np.full(size, number), 1: np.full(size, count)}
        book.add(
            number,
            RoundData(number, (data,), None),
            [
                ScoredAnswer(side=side, run=run, data=data, permutation=0, arrays={"count": given[run]})
                for run, side in ((0, "baseline"), (1, "candidate"))
                if run or number <= 3
            ],  # type: ignore[arg-type]
        )
        marks.append(next((f.mark for f in book.findings(1, []) if f.check == "answers-change"), ""))
    return marks


@pytest.mark.parametrize(
    ("counts", "data_sets", "size", "marks"),
    [
        ([3, 3, 5, 4, 3, 3, 3, 3], 16, 1, [""] * 8),  # a count that came again
        ([3] * 9, 16, 1, [""] * 7 + ["fail"] * 2),  # before it could pass
        ([3] * 7 + [4], 16, 1, [""] * 8),
        ([3, 3], 3, 1, ["", "fail"]),  # a quick look may have no more
        ([3] * 2, 16, 100, ["", "fail"]),  # a hundred numbers do not come again
    ],
)
def test_an_answer_of_few_values_may_come_again_and_none_that_is_constant_passes(
    counts: list[int], data_sets: int, size: int, marks: list[str]
) -> None:
    assert counted(counts, data_sets, size) == marks


def test_where_no_time_counts_two_data_sets_are_all_that_there_may_be() -> None:
    assert counted([3, 3], 16, target=None) == ["", "fail"]


@pytest.mark.parametrize(
    ("first", "second"), [([b"1", b"12"], [b"11", b"2"]), ([b"yes", b""], [b"", b"yes"]), ([b"1", b"1", b""], [b"11"])]
)
def test_outputs_that_only_read_alike_one_after_the_other_are_different_answers(
    first: list[bytes], second: list[bytes]
) -> None:
    """Of a program that prints no line ends, next to a baseline that does."""
    mine, others = (
        {
            number: answers.digest({case_name(case): of_bytes(text + end) for case, text in enumerate(outputs, 1)})
            for number, outputs in enumerate((first, second), 1)
        }
        for end in (b"", b"\n")
    )
    assert answers.answers_constant(mine, others) is None


def test_far_faster_than_the_solution_is_for_a_persons_eyes() -> None:
    finding = answers.suspiciously_fast(0.1, 1.0, 3.0)
    assert finding is not None and finding.mark == "warn" and "10.0 times" in finding.text
    assert answers.suspiciously_fast(0.5, 1.0, 3.0) is None


@pytest.mark.parametrize(("peak", "mark"), [(7, "pass"), (9, "pass"), (10, "warn")])
def test_processes_are_compared_with_the_baselines(peak: int, mark: str) -> None:
    assert answers.processes(peak, 7, 2).mark == mark


def test_bytes_on_a_disk_are_compared_with_the_baselines() -> None:
    assert answers.disk_writes(4096, 0, 1024**2).mark == "pass"
    assert answers.disk_writes(2 * 1024**2, 0, 1024**2).mark == "warn"


# The flagship's own words on its answers


@pytest.fixture(scope="module")
def problem() -> Problem:
    return load_problem(load_task(Settings(), "slow_ml_training_complex"))


@pytest.fixture(scope="module")
def case(problem: Problem) -> Case:
    return generate(problem, load_task(Settings(), "slow_ml_training_complex"), "small", 3)


@pytest.fixture(scope="module")
def honest(case: Case) -> Answer:
    """Features and weights at random, and what follows from them."""
    draw, count = np.random.default_rng(1), len(case.hidden["labels"])
    features = draw.standard_normal((count, 128)).astype(np.float32)
    w1, b1 = draw.standard_normal((256, 128)), draw.standard_normal(256)
    w2, b2 = draw.standard_normal((10, 256)), draw.standard_normal(10)
    middle = features @ w1.T + b1
    scores = (np.where(middle > 0, middle, 0.1 * middle) @ w2.T + b2).astype(np.float32)
    weights = np.concatenate([part.ravel() for part in (w1, b1, w2, b2)]).astype(np.float32)
    return {"labels": scores.argmax(1), "scores": scores, "test_features": features, "weights": weights}


@pytest.fixture
def answer(honest: Answer) -> Answer:
    return dict(honest)


def test_an_honest_forward_pass_holds(problem: Problem, case: Case, answer: Answer) -> None:
    finding = answers.witness(problem, case, answer)
    assert finding is not None and finding.mark == "pass", finding


@pytest.mark.parametrize("name", ["weights", "scores", "labels", "test_features"])
def test_a_change_anywhere_breaks_the_witness(problem: Problem, case: Case, answer: Answer, name: str) -> None:
    changed = {**answer, name: np.roll(answer[name], 1, axis=0)}
    finding = answers.witness(problem, case, changed)
    assert finding is not None and finding.mark == "fail"


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(100, np.int64), "every label is 0"),
        (np.arange(100) % 9, "1 of 10 classes never appear"),
        (np.array([0] * 82 + [1, 2, 3, 4, 5, 6, 7, 8, 9] * 2), "the counts of its labels differ"),
    ],
)
def test_a_degenerate_answer_is_named(
    problem: Problem, case: Case, answer: Answer, labels: np.ndarray, words: str
) -> None:
    finding = answers.degenerate(problem, case, {**answer, "labels": labels})
    assert finding is not None and words in finding.text


def test_a_control_that_still_knows_the_labels_is_named(problem: Problem, case: Case, answer: Answer) -> None:
    judge = problem.judge_control
    assert judge is not None and judge(case, answer, case, answer) is None
    knowing = {**answer, "labels": case.hidden["labels"]}
    assert "knows 100 %" in (judge(case, answer, case, knowing) or "")
    other = {**answer, "test_features": answer["test_features"] * 1.01}
    assert "change with the training labels" in (judge(case, answer, case, other) or "")


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(-(10**30), 10**30))
def test_no_label_or_score_that_an_answer_claims_changes_what_is_scored(
    problem: Problem, case: Case, honest: Answer, seed: int, size: int
) -> None:
    rng = np.random.default_rng(seed)
    claimed = {
        **honest,
        "labels": rng.integers(0, 10, len(honest["labels"])),
        "scores": (size * rng.standard_normal(honest["scores"].shape)).astype(np.float32),
    }
    assert (problem.score(case, claimed) == problem.score(case, honest)).all()


def with_bias(answer: Answer, value: float) -> Answer:
    """The same with one enormous number in the last layer's bias, which moves all scores of a class or of all."""
    weights, scores = answer["weights"].copy(), answer["scores"].copy()
    weights[-10:] = value
    scores[:] = np.float32(value)
    return {**answer, "weights": weights, "scores": scores}


def with_one(answer: Answer, name: str, value: float) -> Answer:
    """The same with one enormous number somewhere in an array."""
    changed = answer[name].copy()
    changed.flat[0] = value
    return {**answer, name: changed}


@pytest.mark.parametrize("value", [1e3, 1e6, 1e12, 1e30])
@pytest.mark.parametrize("place", ["bias of every class", "weights", "test_features", "scores"])
def test_one_enormous_number_does_not_make_labels_from_elsewhere_follow_from_the_weights(
    problem: Problem, case: Case, honest: Answer, place: str, value: float
) -> None:
    key = case.hidden["labels"]
    forged = with_bias(honest, value) if place.startswith("bias") else with_one(honest, place, value)
    forged = {**forged, "labels": key}
    forged["scores"][np.arange(len(key)), key] += np.float32(0.01 * value)
    assert problem.score(case, forged).mean() < 0.4
    finding = answers.witness(problem, case, forged)
    assert finding is not None and finding.mark == "fail"


@pytest.mark.parametrize("value", [0.0, 1e6, 1e30])
def test_features_that_carry_labels_are_named_whatever_number_stands_beside_them(
    problem: Problem, case: Case, honest: Answer, value: float
) -> None:
    count = len(honest["labels"])
    told, other = honest["test_features"].copy(), honest["test_features"].copy()
    for features, labels in ((told, case.hidden["labels"]), (other, np.roll(case.hidden["labels"], 1))):
        features[:, :10] = np.eye(10, dtype=np.float32)[labels]
        features[0, 20] = features[count - 1, 9] = value
    assert problem.judge_control is not None
    reason = problem.judge_control(case, {**honest, "test_features": told}, case, {**honest, "test_features": other})
    assert reason is not None and "training labels" in reason
