"""A pass needs every check that the task defines: one that was not made is no passed one, whoever prevented it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.checks.obligations import obligations
from runner.grading.cutoffs import CONTROL_FACTOR, control_cutoff_s
from runner.grading.data import Permutation, RoundData
from runner.grading.recompute import recompute
from runner.grading.scoring import ScoreBook, ScoredAnswer
from runner.grading.verdict import judge
from runner.job.setup import load_task
from runner.records.grading import Ending, Finding, Mark, Rules, Sample
from runner.records.outcome import Outcome
from runner.settings import Settings
from runner.store.jobs import read_job
from runner.tasks.problem import Case, Problem, load_problem
from runner.tasks.task import Task
from tests.grading.test_verdict import RULES, qualities, samples, summarize_quality, summarize_times

NEEDED = ("answer-witness", "control", "same-in-any-order")
ASKED = replace(RULES, obligations=NEEDED)


def finding(name: str, mark: Mark, text: str = "") -> Finding:
    return Finding(check=name, subject="safety", mark=mark, text=text)


def verdict(findings: Sequence[Finding], rules: Rules = ASKED, *, last: bool) -> Outcome | None:
    """Of a file that is fast and accurate beyond doubt."""
    recorded = samples(50.0)
    measured, correct = summarize_times(recorded, 1, rules, [1, 2, 3]), summarize_quality(qualities(recorded), rules)
    return judge(findings, measured, correct, 1, rules, 3, last=last)


def test_the_flagship_asks_for_all_of_its_checks_and_a_task_that_defines_few_for_few() -> None:
    flagship, nbody = (load_task(Settings(), name) for name in ("slow_ml_training_complex", "slow_nbody"))
    asked = obligations(flagship, load_problem(flagship), None)
    assert {*NEEDED, "component-present:ComplexNN", "component-works:ComplexNN.forward"} <= set(asked)
    assert "equivalence:ComplexNN.forward" in asked
    assert "equivalence:ComplexFeatureExtractor.custom_normalize" not in asked
    imports = nbody.file.imports.model_copy(update={"forbidden": ["ctypes"]})
    forbidding = Task(nbody.folder, nbody.file.model_copy(update={"imports": imports}))
    assert obligations(forbidding, load_problem(nbody), None) == ("no-forbidden-names", "same-in-any-order")
    assert obligations(nbody, load_problem(nbody), None) == ("same-in-any-order",)


@given(st.dictionaries(st.sampled_from(NEEDED), st.sampled_from(["pass", "fail", "warn", "unchecked"])), st.booleans())
def test_nothing_passes_without_every_check_made_and_none_failed(marks: dict[str, Mark], last: bool) -> None:
    outcome = verdict([finding(name, mark) for name, mark in marks.items()], last=last)
    made = all(marks.get(name, "unchecked") in ("pass", "warn") for name in NEEDED)
    assert (outcome is not None and outcome.kind == "passed") == made
    assert outcome is not None or not last


def test_what_was_not_checked_is_waited_for_and_named_at_the_end() -> None:
    found = [finding("answer-witness", "pass"), finding("control", "unchecked", "It gave no answer within 9 s")]
    assert verdict(found, last=False) is None
    outcome = verdict(found, last=True)
    assert outcome is not None and outcome.kind == "inconclusive"
    assert outcome.reason == "not checked: control (It gave no answer within 9 s); same-in-any-order"


def test_a_record_of_an_earlier_version_asks_for_no_more_than_it_did(project: Path) -> None:
    for run in read_job(project / "tests/old_jobs/flagship").runs.values():
        if run.grading is not None and run.grading.rules is not None:
            assert run.grading.rules.obligations == ()
            assert recompute(run.grading, run.number).outcome.kind == run.grading.outcome.kind


# What becomes of each ending of a control


def problem_of_numbers() -> Problem:
    """Each item is a number, and the answer to it is the number."""
    return Problem(
        make=lambda seed, sizes: Case({}, {}),
        score=lambda case, answer: (answer["x"] == case.hidden["x"]).astype(np.float64),
        rearrange=lambda case, order: Case({}, {"x": case.hidden["x"][order]}),
        agreement=lambda answer, other, order: float((answer["x"][order] == other["x"]).mean()),
        control=lambda case, rng: case,
        judge_control=lambda case, answer, control, other: "it knows" if (answer["x"] == other["x"]).all() else None,
    )


ITEMS = np.arange(8)
ORDER = np.random.default_rng(0).permutation(8)


def data() -> RoundData:
    identity = Permutation(Case({}, {"x": ITEMS}), None, b"")
    return RoundData(1, (identity, Permutation(Case({}, {"x": ITEMS[ORDER]}), ORDER, b"")), identity)


def answer(
    side: str, permutation: int = 0, ending: Ending = Ending.ANSWERED, seconds: float = 0.3, knows: bool = True
) -> ScoredAnswer:
    where = data().permutations[permutation]
    arrays = {"x": where.case.hidden["x"] if knows else np.zeros(8)} if ending is Ending.ANSWERED else None
    return ScoredAnswer(
        side=side, run=1, data=where, permutation=permutation, arrays=arrays, ending=ending, seconds=seconds  # type: ignore[arg-type]
    )  # fmt: skip


def book(*rounds: Sequence[ScoredAnswer]) -> ScoreBook:
    scores = ScoreBook(problem_of_numbers(), replace(RULES, tolerance=None, minimum=0.5))
    for number, answers in enumerate(rounds, 1):
        scores.add(number, data(), answers)
    return scores


def found(scores: ScoreBook) -> dict[str, tuple[str, str]]:
    return {f.check: (f.subject, f.mark) for f in scores.findings(1, ())}


TIMED = (answer("candidate"), answer("candidate", 1))
IGNORANT, KNOWING = answer("control", knows=False), answer("control")


@pytest.mark.parametrize(
    ("control", "subject", "mark"),
    [
        (IGNORANT, "safety", "pass"),
        (KNOWING, "safety", "fail"),
        (answer("control", ending=Ending.CRASHED), "safety", "fail"),
        (answer("control", ending=Ending.OUT_OF_MEMORY), "safety", "fail"),
        (answer("control", ending=Ending.BAD_ANSWER), "safety", "fail"),
        (answer("control", ending=Ending.CUT, seconds=9.0), "safety", "unchecked"),
        (answer("control", ending=Ending.TIMED_OUT, seconds=180.0), "time", "fail"),
    ],
)
def test_each_ending_of_a_control_has_its_finding(control: ScoredAnswer, subject: str, mark: Mark) -> None:
    scores = book((*TIMED, control))
    assert found(scores)["control"] == (subject, mark)
    assert scores.control_due(1) == (mark == "unchecked")


def test_a_control_that_hangs_beside_samples_that_crash_is_named() -> None:
    crashed, hanging = answer("candidate", ending=Ending.CRASHED), answer("control", ending=Ending.CUT, seconds=9.0)
    scores = book((crashed, hanging))
    assert found(scores)["control"] == ("safety", "unchecked")
    recorded = samples(50.0, ending=Ending.CRASHED)
    measured, correct = summarize_times(recorded, 1, ASKED, [1, 2, 3]), summarize_quality(qualities(recorded), ASKED)
    reasons = {
        edition: judge(scores.findings(1, ()), measured, correct, 1, replace(ASKED, edition=edition), 3, last=False)
        for edition in (1, 2)
    }
    assert [str(outcome.kind) for outcome in reasons.values() if outcome] == ["crashed", "crashed"]
    said = "control not checked: It gave no answer within 9 s on shuffled data"
    assert reasons[2] is not None and reasons[2].reason.endswith(said)
    assert reasons[1] is not None and said not in reasons[1].reason, "records of the first edition say what they said"
    assert "control" not in found(book((crashed, answer("control", ending=Ending.CRASHED))))


def test_a_slow_timed_sample_excuses_no_control_that_hangs() -> None:
    slow = answer("candidate", 1, seconds=8.9)
    scores = book((answer("candidate"), slow, answer("control", ending=Ending.CUT, seconds=9.0)))
    assert found(scores)["control"][1] == "unchecked" and scores.control_due(1)
    scores.add(2, data(), (*TIMED, answer("control", ending=Ending.TIMED_OUT, seconds=180.0)))
    assert verdict(list(scores.findings(1, ())), last=False).kind == "timed_out"  # type: ignore[union-attr]


def test_a_control_that_takes_its_time_once_and_answers_then_is_judged_by_its_answer() -> None:
    first = (*TIMED, answer("control", ending=Ending.CUT, seconds=9.0))
    assert found(book(first, (*TIMED, IGNORANT)))["control"] == ("safety", "pass")
    assert found(book(first, (*TIMED, KNOWING)))["control"] == ("safety", "fail")


def test_a_control_has_a_deadline_of_its_own_and_all_the_time_of_a_sample_once_it_was_cut() -> None:
    cut = Sample(side="control", run=1, round=1, position=3, ending=Ending.CUT, seconds=9.0)
    assert control_cutoff_s(0.9, [], 1) == 0.9 * CONTROL_FACTOR
    assert control_cutoff_s(0.9, [cut], 2) == control_cutoff_s(0.9, [replace(cut, side="candidate")], 1) == 9.0
    assert control_cutoff_s(0.9, [cut], 1) is None and control_cutoff_s(None, [], 1) is None


def test_a_sample_cut_in_the_wrong_place_leaves_its_checks_for_the_next_round() -> None:
    cut = answer("candidate", ending=Ending.CUT)
    scores = book((cut, answer("candidate", 1), IGNORANT))
    assert found(scores)["control"][1] == "unchecked" and found(scores)["same-in-any-order"][1] == "unchecked"
    scores.add(2, data(), (*TIMED, IGNORANT))
    assert found(scores)["control"][1] == "pass" and found(scores)["same-in-any-order"][1] == "pass"


def test_a_control_beside_a_timed_sample_that_crashed_accuses_nobody() -> None:
    crashed = answer("candidate", 1, ending=Ending.CRASHED)
    assert "control" not in found(book((answer("candidate"), crashed, answer("control", ending=Ending.CRASHED))))


# What the engine does not count


def sampled(pids: int | None, side: str = "candidate") -> Sample:
    run = 1 if side == "candidate" else 0
    return Sample(
        side=side, run=run, round=1, position=1, ending=Ending.ANSWERED, seconds=0.3, pids_peak=pids, written_bytes=0
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("peaks", "mark"),
    [((6, 7), "pass"), ((None, None), "unchecked"), ((6, None), "unchecked"), ((40, None), "warn")],
)
def test_a_count_that_is_lacking_is_not_checked_and_never_passed(peaks: tuple[int | None, ...], mark: Mark) -> None:
    counted = [sampled(7, "baseline"), *map(sampled, peaks)]
    marks = {f.check: f.mark for f in book(TIMED).findings(1, counted)}
    assert (marks["processes"], marks["disk-writes"]) == (mark, "pass")
    assert (
        verdict([*(finding(name, "pass") for name in NEEDED), finding("processes", mark)], last=True).kind == "passed"
    )  # type: ignore[union-attr]


def test_without_the_baselines_count_there_is_nothing_to_compare_with() -> None:
    marks = {f.check: f.mark for f in book(TIMED).findings(1, [sampled(None, "baseline"), sampled(7)])}
    assert marks["processes"] == "unchecked"


@given(st.integers(1, 300), st.integers(2, 300))
def test_an_answer_with_exactly_as_many_right_items_as_are_asked_for_reaches_the_bar(right: int, count: int) -> None:
    right = min(right, count)
    problem = replace(problem_of_numbers(), rearrange=None, agreement=None, control=None, judge_control=None)
    scores = ScoreBook(problem, replace(RULES, tolerance=None, minimum=right / count))
    identity = Permutation(Case({}, {"x": np.arange(count)}), None, b"")
    given = {"x": np.where(np.arange(count) < right, np.arange(count), -1)}
    scores.add(1, RoundData(1, (identity,), None), [replace(answer("candidate"), data=identity, arrays=given)])
    [entry] = scores.rounds(1)
    assert entry.difference == 0.0


@given(st.floats(-1.0, 1.0), st.integers(1, 60))
def test_items_that_are_each_as_good_as_is_asked_for_reach_the_bar(quality: float, count: int) -> None:
    problem = replace(
        problem_of_numbers(), score=lambda case, answer: np.full(count, quality), rearrange=None, agreement=None,
        control=None, judge_control=None,
    )  # fmt: skip
    scores = ScoreBook(problem, replace(RULES, tolerance=None, minimum=quality))
    scores.add(1, data(), [answer("candidate"), answer("repeat")])
    [entry] = scores.rounds(1)
    assert (entry.difference, entry.variance) == (0.0, 0.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20), st.integers(1, 19))
def test_who_answers_what_the_baseline_answers_is_no_worse_whatever_the_qualities_are(
    values: list[float], count: int
) -> None:
    qualities = np.array(values)
    problem = replace(
        problem_of_numbers(), score=lambda case, answer: qualities.copy(), rearrange=None, agreement=None,
        control=None, judge_control=None,
    )  # fmt: skip
    scores = ScoreBook(problem, replace(RULES, tolerance=0.0))
    taken = [answer("candidate"), *(answer("repeat") for _ in range(count - 1))]
    scores.add(1, data(), [replace(answer("baseline"), run=0), *taken])
    [entry] = scores.rounds(1)
    assert (entry.difference, entry.variance) == (0.0, 0.0)


# What holds of a sample holds of its repeats


def forged(side: str, permutation: int) -> ScoredAnswer:
    """The right answer, but for one item whose evidence says something else."""
    made = answer(side, permutation)
    assert made.arrays is not None
    return replace(made, arrays={"x": made.arrays["x"], "evidence": np.array(1)})


@pytest.mark.parametrize("permutation", [0, 1])
def test_a_repeat_must_follow_from_its_evidence_as_every_timed_sample_must(permutation: int) -> None:
    problem = replace(
        problem_of_numbers(), witness=lambda case, answer: "it does not" if "evidence" in answer else None
    )
    scores = ScoreBook(problem, replace(RULES, tolerance=None, minimum=0.5))
    scores.add(1, data(), (*TIMED, answer("repeat"), forged("repeat", permutation), answer("repeat", 1)))
    assert found(scores)["answer-witness"] == ("safety", "fail")


@pytest.mark.parametrize("permutation", [0, 1])
def test_a_repeat_must_agree_with_the_other_samples_in_whatever_order_it_got_its_items(permutation: int) -> None:
    honest = [answer("repeat", number % 2) for number in range(4)]
    assert found(book((*TIMED, *honest)))["same-in-any-order"] == ("safety", "pass")
    assert found(book((*TIMED, *honest, answer("repeat", permutation, knows=False))))["same-in-any-order"][1] == "fail"
