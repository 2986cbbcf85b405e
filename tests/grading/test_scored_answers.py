"""Files that are the answer, graded together: what becomes of one says nothing of another."""

from dataclasses import replace
from typing import Any, cast

from runner.budget.clock import SystemClock
from runner.grading.answers import grade_answers
from runner.grading.context import Candidate, GradingContext
from runner.job.setup import load_task
from runner.records.grading import Rules
from runner.settings import Settings
from runner.tasks.authoring import Answer, Case
from runner.tasks.problem import load_problem


def test_a_file_on_which_score_fails_is_one_runs_outcome_and_no_others() -> None:
    task, unused = load_task(Settings(), "held_out_labels"), cast(Any, None)
    problem = load_problem(task)
    failed: list[Answer] = []

    def scored(case: Case, answer: Answer) -> Any:
        if not failed:
            failed.append(answer)
            raise ValueError("invalid literal")
        return problem.score(case, answer)

    rules = Rules(
        target=None, confidence=0.95, quality="Accuracy", tolerance=None, minimum=0.5, rounds_max=12, seconds_max=60.0,
        edition=2, repetitions=1,
    )  # fmt: skip
    context = GradingContext(
        fleet=unused, task=task, problem=replace(problem, score=scored), scale="full", spec=unused,
        measure_cpu="0", warmup_cpus="0", memory_bytes=2**30, rules=rules, clock=SystemClock(),
        report_step=lambda step: None,
    )  # fmt: skip
    solution = task.oracle or b""
    outcomes = [g.grading.outcome for g in grade_answers(context, [Candidate(1, solution), Candidate(2, solution)])]
    assert [outcome.kind for outcome in outcomes] == ["infrastructure", "passed"]
    assert "invalid literal" in outcomes[0].reason and "BadAnswer" in outcomes[0].hint
