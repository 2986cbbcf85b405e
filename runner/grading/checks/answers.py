"""Checks on what came out: does the answer follow from its own evidence, and only from the data?

The task's problem.py says what can be said of its answers; every function here is optional there. All of it is arithmetic
on the host over arrays whose size the host declared; nothing rests on what a text looks like.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from runner.grading.data import Permutation
from runner.records.grading import Finding
from runner.tasks.problem import Case, Problem

Answer = Mapping[str, NDArray[np.generic]]


def witness(problem: Problem, case: Case, answer: Answer) -> Finding | None:
    """Whether the answer follows from the evidence that came with it (weights, say)."""
    check = getattr(problem, "witness", None)
    if check is None:
        return None
    why_not = check(case, answer)
    return _finding("answer-witness", why_not, "The answer follows from the weights that came with it")


def control(
    problem: Problem, plain: Permutation, answer: Answer, twin: Permutation, control_answer: Answer
) -> Finding | None:
    """Whether an answer on data that hold nothing to learn is one that nobody could know."""
    check = getattr(problem, "judge_control", None)
    if check is None:
        return None
    why_not = check(plain.case, answer, twin.case, control_answer)
    return _finding("control", why_not, "With the labels shuffled it knows nothing, and its features stay the same")


def control_unanswered(ending: str) -> Finding:
    """A control without an answer, beside timed samples with one."""
    text = f"It answers when it is timed, and not when there is nothing to learn ({ending.replace('_', ' ')})"
    return Finding("control", "safety", "fail", text, origin="data")


def agreement(problem: Problem, answers: Mapping[int, Answer], forms: tuple[Permutation, ...]) -> Finding | None:
    """Whether the same items get the same answers in any order."""
    share = getattr(problem, "agreement", None)
    rearranged = [k for k in answers if forms[k].order is not None]
    if share is None or 0 not in answers or not rearranged:
        return None
    lowest = min(float(share(answers[0], answers[k], forms[k].order)) for k in rearranged)
    least = float(getattr(problem, "AGREEMENT_MIN", 0.97))
    why_not = None if lowest >= least else f"only {100 * lowest:.1f} % of the items keep their answer in another order"
    return _finding(
        "same-in-any-order", why_not, f"{100 * lowest:.1f} % of the items keep their answer in another order"
    )


def degenerate(problem: Problem, case: Case, answer: Answer) -> Finding | None:
    """Names an answer that is no attempt: constant, chance. Its quality decides; this says why it is low."""
    check = getattr(problem, "degenerate", None)
    what = None if check is None else check(case, answer)
    return (
        None if what is None else Finding("degenerate", "safety", "warn", f"Degenerate answer: {what}", origin="data")
    )


def digest(answer: Answer) -> str:
    """Equal for equal answers."""
    sha256 = hashlib.sha256()
    for name in sorted(answer):
        sha256.update(np.ascontiguousarray(answer[name]).tobytes())
    return sha256.hexdigest()


def answers_constant(mine: Mapping[int, str], baselines: Mapping[int, str]) -> Finding | None:
    """An answer that stays the same on data sets on which the baseline's differ (fingerprints by round)."""
    common = sorted(set(mine) & set(baselines))
    if len(common) < 2 or len({mine[n] for n in common}) > 1 or len({baselines[n] for n in common}) == 1:
        return None
    text = f"The answer was the same on {len(common)} different data sets"
    return Finding("answers-change", "safety", "fail", text, origin="data")


def suspiciously_fast(candidate_s: float, oracle_s: float, factor: float) -> Finding | None:
    """A time that calls for a person's eyes; it decides nothing, but one more look at fresh data is taken."""
    if candidate_s * factor > oracle_s:
        return None
    text = f"Too good to be true? {oracle_s / candidate_s:.1f} times as fast as the task's own solution: look at it"
    return Finding("too-good", "safety", "warn", text, origin="data")


def processes(candidate_peak: int, baseline_peak: int, slack: int) -> Finding:
    """More processes and threads than the baseline has, by the kernel's count."""
    evidence = f"{candidate_peak} at one time, the baseline has {baseline_peak}"
    if candidate_peak > baseline_peak + slack:
        text = f"It starts processes or threads: {candidate_peak - baseline_peak} more than the baseline"
        return Finding("processes", "safety", "warn", text, evidence, "engine")
    return Finding("processes", "safety", "pass", "No more processes and threads than the baseline", evidence, "engine")


def disk_writes(candidate_bytes: int, baseline_bytes: int, slack: int) -> Finding:
    """More bytes written to disks than the baseline writes, by the kernel's count; there should be nowhere to write."""
    evidence = f"{candidate_bytes} bytes at most, the baseline wrote {baseline_bytes}"
    if candidate_bytes > baseline_bytes + slack:
        return Finding("disk-writes", "safety", "warn", "It writes to a disk of the host", evidence, "engine")
    return Finding("disk-writes", "safety", "pass", "No more written to disks than by the baseline", evidence, "engine")


def _finding(check: str, why_not: str | None, fine: str) -> Finding:
    if why_not is None:
        return Finding(check, "safety", "pass", fine, origin="data")
    return Finding(check, "safety", "fail", why_not, origin="data")
