"""What a component is said to have made of an answer, it must make again; whatever else stands there is named."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.faults import TaskFault
from runner.grading.checks.obligations import obligations, remade_names
from runner.grading.checks.remade import (
    REMAKING_FACTOR,
    REMAKING_S_MIN,
    Claimed,
    Remaking,
    judge_remade,
    make_remakings,
    remake_all,
    remaking_s,
    share_remade,
)
from runner.grading.sample import SampleSpec
from runner.job.setup import load_task
from runner.sandbox.stream import Received
from runner.sandbox.wire import Frame, Kind
from runner.settings import Settings
from runner.tasks.problem import Case, Problem, generate, load_problem
from runner.tasks.task import Task, read_task
from tests.sandbox.test_driver import load_driver
from tests.tasks.test_task import edit


@pytest.fixture(scope="module")
def flagship() -> Task:
    return load_task(Settings(), "slow_ml_training_complex")


@pytest.fixture(scope="module")
def problem(flagship: Task) -> Problem:
    return load_problem(flagship)


@pytest.fixture(scope="module")
def case(flagship: Task, problem: Problem) -> Case:
    return generate(problem, flagship, "small", 3)


@pytest.fixture(scope="module")
def remaking(flagship: Task, case: Case) -> Remaking:
    [remaking] = make_remakings(flagship, "small", case)
    return remaking


@pytest.fixture(scope="module")
def made(case: Case) -> np.ndarray:
    """Features of the images alone."""
    images = case.inputs["test_images"].reshape(len(case.inputs["test_images"]), -1)
    return images[:, :128].astype(np.float64)


def trained(case: Case, features: np.ndarray) -> Mapping[str, np.ndarray]:
    """An answer whose weights hand ten of its features through, so that whoever wrote those knows the labels."""
    w1, w2 = np.zeros((256, 128), np.float32), np.zeros((10, 256), np.float32)
    w1[np.arange(10), np.arange(10)] = w2[np.arange(10), np.arange(10)] = 1.0
    weights = np.concatenate([w1.ravel(), np.zeros(256, np.float32), w2.ravel(), np.zeros(10, np.float32)])
    return {"test_features": features.astype(np.float32), "weights": weights}


def test_the_flagship_asks_for_its_features_from_the_images_alone(
    flagship: Task, problem: Problem, remaking: Remaking, case: Case
) -> None:
    assert remade_names(flagship) == ("answer-remade:test_features",)
    assert set(remade_names(flagship)) <= set(obligations(flagship, problem, None))
    assert remaking.words == "ComplexFeatureExtractor.extract(test_images)"
    assert remaking.call.body == case.inputs["test_images"].tobytes()
    assert remaking.earlier is not None and remaking.earlier.body == case.inputs["train_images"].tobytes()
    assert remade_names(load_task(Settings(), "slow_nbody")) == ()


def test_no_label_goes_into_the_container(remaking: Remaking, case: Case) -> None:
    sent = b"".join(probe.body for probe in (remaking.call, remaking.earlier) if probe is not None)
    assert case.inputs["train_labels"].tobytes() not in sent and case.hidden["labels"].tobytes() not in sent
    assert len(sent) == case.inputs["test_images"].nbytes + case.inputs["train_images"].nbytes


def test_what_the_component_makes_again_is_all_of_it(
    problem: Problem, remaking: Remaking, case: Case, made: np.ndarray
) -> None:
    answer = trained(case, made)
    assert share_remade(problem, remaking, answer, made) == 1.0
    rounded = made * (1.0 + 1e-3 * np.sign(np.random.default_rng(0).standard_normal(made.shape)))
    assert share_remade(replace(problem, agreement=None), remaking, answer, rounded) == 1.0


def test_labels_in_place_of_features_are_not_made_again(
    problem: Problem, remaking: Remaking, case: Case, made: np.ndarray
) -> None:
    told = made.copy()
    told[:, :10] = 9.0 * np.eye(10)[case.hidden["labels"]]
    assert share_remade(problem, remaking, trained(case, told), made) < 0.2


def test_labels_in_digits_under_the_tolerance_are_not_made_again(
    problem: Problem, remaking: Remaking, case: Case, made: np.ndarray
) -> None:
    """Ten columns far smaller than the others: what stands there is within the tolerance, and decides every label."""
    small = made.copy()
    small[:, :10] *= 1e-6
    told = small.copy()
    told[:, :10] += 1e-4 * np.eye(10)[case.hidden["labels"]]
    answer = trained(case, told)
    assert share_remade(replace(problem, agreement=None), remaking, answer, small) == 1.0
    assert share_remade(problem, remaking, answer, small) < 0.3


@pytest.mark.parametrize("largest", [1e300, 1.5e308, np.finfo(np.float64).max])
def test_values_whose_sum_overflows_are_not_what_others_claim(
    problem: Problem, remaking: Remaking, case: Case, made: np.ndarray, largest: float
) -> None:
    alone, enormous = replace(problem, agreement=None), np.full(made.shape, largest)
    assert share_remade(alone, remaking, trained(case, made), enormous) == 0.0
    assert share_remade(alone, remaking, {"test_features": enormous}, enormous) == 1.0


@pytest.mark.parametrize("scale", [1e-300, 1e-20, 1.0, 1e20])
def test_how_large_a_component_makes_its_values_does_not_stretch_what_may_differ(
    problem: Problem, remaking: Remaking, case: Case, made: np.ndarray, scale: float
) -> None:
    alone = replace(problem, agreement=None)
    answer = {"test_features": scale * made, "weights": trained(case, made)["weights"]}
    assert share_remade(alone, remaking, answer, scale * made[::-1].copy()) == 0.0
    assert share_remade(alone, remaking, answer, scale * made) == 1.0


def test_an_item_that_is_zero_but_for_rounding_is_made_again(
    problem: Problem, remaking: Remaking, case: Case, made: np.ndarray
) -> None:
    answer, zero = {"test_features": made.copy()}, made.copy()
    answer["test_features"][0], zero[0] = 1e-16, 0.0
    assert share_remade(replace(problem, agreement=None), remaking, answer, zero) == 1.0


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 127))
def test_no_number_that_a_component_returns_is_an_error_of_ours(
    problem: Problem, remaking: Remaking, case: Case, made: np.ndarray, value: float, column: int
) -> None:
    hostile = made.copy()
    hostile[:, column] = value
    assert 0.0 <= share_remade(problem, remaking, trained(case, made), hostile) <= 1.0


def test_the_finding_says_how_much_was_made_again_or_why_nothing_was(remaking: Remaking) -> None:
    few, enough, none = (judge_remade(remaking, share, 0.97) for share in (0.115, 0.97, "TypeError: no"))
    assert [finding.mark for finding in (few, enough, none)] == ["fail", "pass", "fail"]
    assert few.text.startswith("Only 11.5 % of its test_features are what ComplexFeatureExtractor.extract(test_images)")
    assert few.name == "answer-remade:test_features" and "TypeError: no" in none.text


# What the driver inside makes of the calls


class InProcess:
    """A sandbox without a container: the driver's functions in this process, which a file of a test may be run in."""

    def __init__(self, folder: Path, inputs: dict[str, Any]) -> None:
        self.driver, self.replies = load_driver(), []  # type: ignore[var-annotated]
        names = zip(("REQUEST", "REPLY", "HELLO", "READY", "ANSWER", "FAILED"), range(1, 7), strict=True)
        self.driver.__dict__.update(names, WORKSPACE_FOLDER=f"{folder}/")
        self.guest = self.driver.Driver(self)
        self.guest.calls = [inputs]

    def write(self, kind: int, sequence: int, head: dict[str, Any], body: bytes = b"") -> None:
        self.replies.append(Received(Frame(Kind(kind), sequence, head, body), 0.0))

    def ask(self, head: dict[str, Any], body: bytes = b"", **_: Any) -> Received:
        getattr(self.guest, f"do_{head['op']}")(1, json.loads(json.dumps(head)), body)
        return self.replies[-1]  # type: ignore[no-any-return]


HALF = "images.reshape(len(images), -1)[:, :128] / 2"
FILE = """
import numpy as np
class ComplexNN:
    def forward(self, x): return x
    custom_activation = forward
class ComplexFeatureExtractor:
    seen = None
    def custom_normalize(self, features): return features
    extract_gradients = custom_normalize
    def extract(self, images):
        {body}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "factor", "mark", "words"),
    [
        (f"return {HALF}", 0.5, "pass", "100.0 %"),
        (f"return ({HALF}).astype(np.float32)", 0.5, "pass", "100.0 %"),
        (f"self.seen = self.seen or len(images); return {HALF} * (self.seen == 200)", 0.5, "pass", "100.0 %"),
        (f"return {HALF} + 1", 0.5, "fail", "Only 0.0 %"),
        ("return np.zeros((len(images), 128))", 0.5, "fail", "Only"),
        ("raise ValueError('not now')", 0.5, "fail", "ValueError: not now"),
        ("return images[:, 0]", 0.5, "fail", "asked for was float64[100, 128]"),
    ],
)
def test_the_component_itself_makes_the_array_again(
    flagship: Task, problem: Problem, case: Case, tmp_path: Path, body: str, factor: float, mark: str, words: str
) -> None:
    features = factor * case.inputs["test_images"].reshape(100, -1)[:, :128]
    spec = SampleSpec(flagship, None, (), b"", (), 1.0, ())  # type: ignore[arg-type]
    sandbox: Any = InProcess(tmp_path, {name: np.zeros(1) for name in case.inputs})
    claimed = Claimed(FILE.format(body=body).encode(), ((case, trained(case, features)),))
    [finding] = remake_all(sandbox, spec, problem, "small", claimed)
    assert (finding.mark, words in finding.text) == (mark, True), finding


def test_a_file_that_does_not_run_makes_nothing(
    flagship: Task, problem: Problem, case: Case, tmp_path: Path, made: np.ndarray
) -> None:
    spec = SampleSpec(flagship, None, (), b"", (), 1.0, ())  # type: ignore[arg-type]
    sandbox: Any = InProcess(tmp_path, {})
    [finding] = remake_all(sandbox, spec, problem, "small", Claimed(b"1 / 0", ((case, trained(case, made)),)))
    assert finding.mark == "fail" and "ZeroDivisionError" in finding.text


def test_every_answer_of_a_round_is_made_again(
    flagship: Task, problem: Problem, case: Case, tmp_path: Path, made: np.ndarray
) -> None:
    spec = SampleSpec(flagship, None, (), b"", (), 1.0, ())  # type: ignore[arg-type]
    sandbox: Any = InProcess(tmp_path, {})
    answers = tuple((case, trained(case, factor * made)) for factor in (0.5, 0.7, 0.5))
    claimed = Claimed(FILE.format(body=f"return {HALF}").encode(), answers)
    found = remake_all(sandbox, spec, problem, "small", claimed)
    assert [finding.mark for finding in found] == ["pass", "fail", "pass"]


@pytest.mark.parametrize("seconds", [0.1, 1.0, 100.0])
def test_who_took_long_when_it_was_timed_may_take_as_long_again_for_each_answer_and_nobody_else(seconds: float) -> None:
    deadline_s = 180.0
    for count in (1, 3, 19):
        claimed = Claimed(b"", (({}, {}),) * count, seconds * count)  # type: ignore[arg-type]
        allowed_s = remaking_s(claimed, deadline_s)
        twice_s = 2.0 * seconds * count  # a new instance, and one that has had another call, less the rest of the work
        assert twice_s < allowed_s <= REMAKING_S_MIN + REMAKING_FACTOR * seconds * count
        assert allowed_s <= REMAKING_S_MIN + 2.0 * deadline_s * count


# What a task may say


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('component = "ComplexFeatureExtractor"', 'component = "Nobody"', "names Nobody.extract"),
        ('method = "extract"', 'method = "nothing"', "names ComplexFeatureExtractor.nothing"),
        ('inputs = ["test_images"]', 'inputs = ["pictures"]', "gets pictures"),
        ('earlier = ["train_images"]', 'earlier = ["labels"]', "gets labels"),
        ('"float32"\nshape = ["test", "features"]', '"float32"\nshape = []', "test_features.made_by .* one number"),
    ],
)
def test_a_task_that_names_what_is_not_there_is_refused(
    flagship: Task, tmp_path: Path, old: str, new: str, words: str
) -> None:
    folder = Path(shutil.copytree(flagship.folder, tmp_path / "task"))
    edit(folder, old, new)
    with pytest.raises(TaskFault, match=words):
        read_task(folder)
