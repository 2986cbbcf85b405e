"""Grading of submissions that are the answer themselves: read, scored on the host, and judged; nothing of them runs.

There is one data set, which the agent saw without what is hidden. So there are no rounds and no times: the file's quality on
its items, with the interval that so many items allow, is held to the bar.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runner.grading.answer_file import read_answer
from runner.grading.checks.obligations import obligations
from runner.grading.context import Candidate, GradingContext
from runner.grading.data import RoundData, generate_round
from runner.grading.measurement import summarize_quality, summarize_times
from runner.grading.scoring import ScoreBook, ScoredAnswer
from runner.grading.standing import Graded
from runner.grading.verdict import judge
from runner.records.grading import Finding, Grading, GradingPhase, GradingStep, Rules
from runner.records.outcome import infrastructure


def grade_answers(context: GradingContext, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Each candidate with its verdict; one on which `score` of problem.py fails has the task folder's fault for it."""
    context.report_step(GradingStep(GradingPhase.CHECKING, f"reading {len(candidates)} answer(s)"))
    rules = replace(context.rules, obligations=obligations(context.task, context.problem, context.rules.equivalence))
    seed = context.task.file.call.seed
    data = generate_round(context.problem, context.task, context.scale, seed, count=1)
    for candidate in candidates:
        yield _grade(context, candidate, data, replace(rules, attempt=candidate.attempt))


def _grade(context: GradingContext, candidate: Candidate, data: RoundData, rules: Rules) -> Graded:
    task, run, scores = context.task, candidate.run, ScoreBook(context.problem, rules)
    section = task.file.submission
    read = read_answer(task.file.call.form, candidate.content, task.answer_arrays(context.scale), section.max_bytes)
    if not isinstance(read, str):
        answer = ScoredAnswer(side="candidate", run=run, data=data.identity, permutation=0, arrays=read)
        scores.add(1, data, [answer])
    if (failure := scores.not_judged.get(run)) is not None:
        fault = failure.fault(task.name)
        return Graded(run, Grading(outcome=infrastructure(fault.cause, fault.hint)))
    findings = scores.findings(run, ())
    if not any(finding.check == "answer-form" for finding in findings):  # else problem.py takes it for no answer
        findings = (_of_form(read if isinstance(read, str) else None), *findings)
    quality = summarize_quality(scores.rounds(run), rules)
    measurement = summarize_times((), run, rules, ())
    outcome = judge(findings, measurement, quality, run, rules, 0, last=True)
    assert outcome is not None  # there is nothing more to wait for
    return Graded(
        run, Grading(outcome=outcome, findings=findings, measurement=measurement, quality=quality, rules=rules)
    )


def _of_form(reason: str | None) -> Finding:
    if reason is None:
        text = "The file has the form that the task declares"
        return Finding(check="answer-form", subject="answer", mark="pass", text=text, origin="data")
    return Finding(check="answer-form", subject="answer", mark="fail", text=reason, origin="data")
