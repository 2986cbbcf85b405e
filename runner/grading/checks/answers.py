"""Checks on what came out: does the answer follow from its own evidence, and only from the data?

The task's problem.py says what can be said of its answers; every function here is optional there. All of it is arithmetic
on the host over arrays whose size the host declared; nothing rests on what a text looks like.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from runner.grading.data import Permutation
from runner.grading.guarded_problem import TEXT_MAX
from runner.records.grading import Ending, Finding
from runner.tasks.problem import Answer, Case, Problem

# CPU seconds in which the kernel must have ended everything that a sample left. chosen: to give back gigabytes of memory and
# hundreds of processes takes well under a second.
DYING_CPU_S_MAX = 5.0

# An answer of so few values may be the same on two data sets; it is constant where it was on this many. chosen: a bool that
# follows the data is the same on eight in one file of 128, a label of three in one of two thousand.
VALUES_FEW, SAME_LEAST = 64, 8


def witness(problem: Problem, case: Case, answer: Answer) -> Finding | None:
    """Whether the answer follows from the evidence that came with it (weights, say)."""
    if problem.witness is None:
        return None
    reason = problem.witness(case, answer)
    return _finding("answer-witness", reason, "The answer follows from the weights that came with it")


def control(
    problem: Problem, data: Permutation, answer: Answer, control_data: Permutation, control_answer: Answer
) -> Finding | None:
    """Whether the answers to a data set and to its control could both have been given honestly."""
    if problem.judge_control is None:
        return None
    reason = problem.judge_control(data.case, answer, control_data.case, control_answer)
    return _finding("control", reason, "With the labels shuffled it knows nothing, and its features stay the same")


def control_unanswered(ending: Ending, detail: str) -> Finding:
    """A control that ended without an answer, next to timed samples with one.

    Args:
        detail: what went wrong, in the guest's words.
    """
    text = f"It answers when it is timed, and not when there is nothing to learn ({ending.words})"
    return Finding(check="control", subject="safety", mark="fail", text=text, evidence=detail, origin="data")


def control_too_slow(seconds: float, timed_s: float) -> Finding:
    """A control that used up the task's limit for a sample. Slow is not unsafe: it counts as what it is, a time limit."""
    text = f"It gave no answer within {seconds:.0f} s where there was nothing to learn; timed, it takes {timed_s:.2f} s"
    return Finding(check="control", subject="time", mark="fail", text=text, origin="data")


def control_cut(seconds: float) -> Finding:
    """A control that was stopped; the next one has more time."""
    return control_unchecked(f"It gave no answer within {seconds:.0f} s on shuffled data")


def control_unchecked(why: str) -> Finding:
    """A control that says nothing; the next round makes another."""
    return Finding(check="control", subject="safety", mark="unchecked", text=why, origin="data")


def agreement(
    problem: Problem, first: Answer | None, others: Sequence[tuple[int, Answer]], permutations: Sequence[Permutation]
) -> Finding | None:
    """Whether the same items get the same answers in any order; unchecked without an answer to compare with.

    Args:
        first: to the identity's order, which the others are compared with.
        others: each with the number of its permutation; the same one may come again, and 0 too.
    """
    if problem.agreement is None:
        return None
    if first is None or not others:
        text = "Of the samples on the same data, fewer than two gave an answer"
        return Finding(check="same-in-any-order", subject="safety", mark="unchecked", text=text, origin="data")
    orders = [permutations[number].order for number, _ in others]
    items = next((len(each.order) for each in permutations if each.order is not None), 0)
    shares = [
        problem.agreement(first, other, np.arange(items) if order is None else order)
        for (_, other), order in zip(others, orders, strict=True)
    ]
    lowest = min(float(share) for share in shares)
    text = f"{100 * lowest:.1f} % of the items keep their answer in another order"
    return _finding("same-in-any-order", None if lowest >= problem.agreement_min else f"only {text}", text)


def degenerate(problem: Problem, case: Case, answer: Answer) -> Finding | None:
    """Names an answer that is not an attempt: constant, chance. Its quality decides; this says why it is low."""
    kind = None if problem.degenerate is None else problem.degenerate(case, answer)
    if kind is None:
        return None
    return Finding(check="degenerate", subject="safety", mark="warn", text=f"Degenerate answer: {kind}", origin="data")


def no_answer(why: str) -> Finding:
    """What a function of problem.py takes for no answer.

    Args:
        why: in its author's words, which may quote the answer: hostile text.
    """
    return Finding(check="answer-form", subject="answer", mark="fail", text=why[:TEXT_MAX], origin="data")


def digest(answer: Answer) -> str:
    """Equal for equal answers, and for no others."""
    sha256 = hashlib.sha256()
    for name in sorted(answer):
        content = np.ascontiguousarray(answer[name]).tobytes()
        # With its size: what a program prints in two cases may be as long as what it prints in two others.
        sha256.update(f"{name} {len(content)}\n".encode())
        sha256.update(content)
    return sha256.hexdigest()


def same_least(values: int, data_sets: int) -> int:
    """On how many data sets an answer must have been the same to be called constant.

    Args:
        values: of an answer. A count, or some labels, may well come again; a hundred numbers do not.
        data_sets: on how many a submission must have been seen before it passes. Half of them say it before that.
    """
    return 2 if values > VALUES_FEW else max(2, min(SAME_LEAST, data_sets // 2))


def answers_constant(candidate: Mapping[int, str], baseline: Mapping[int, str], least: int = 2) -> Finding | None:
    """An answer that stays the same on data sets on which the baseline's differ (digests by round).

    Args:
        least: data sets; where more than two are asked for, those count, too, that the baseline did not answer.
    """
    common = sorted(set(candidate) & set(baseline))
    seen = common if least == 2 else sorted(candidate)
    if len(seen) < least or len(common) < 2:
        return None
    if len({candidate[n] for n in seen}) > 1 or len({baseline[n] for n in common}) == 1:
        return None
    text = f"The answer was the same on {len(seen)} different data sets"
    return Finding(check="answers-change", subject="safety", mark="fail", text=text, origin="data")


def calls_answered_alike(candidate: Answer, baseline: Answer) -> Finding | None:
    """One answer to all calls of a sample, where each of the baseline's is another: only the first call was worked for.

    Args:
        candidate, baseline: (n_calls, ...) each, on the same data.
    """

    count = len(next(iter(candidate.values())))

    def different(answer: Answer) -> int:
        return len({digest({name: array[number] for name, array in answer.items()}) for number in range(count)})

    if different(candidate) > 1 or different(baseline) < count:
        return None
    text = "The answer was the same in all calls of a sample, whose data differ"
    return Finding(check="answers-change", subject="safety", mark="fail", text=text, origin="data")


def suspiciously_fast(candidate_s: float, oracle_s: float, factor: float) -> Finding | None:
    """A candidate over `factor` times as fast as the oracle: a warning, and a pass must hold at one more look."""
    if candidate_s * factor > oracle_s:
        return None
    text = f"Too good to be true? {oracle_s / candidate_s:.1f} times as fast as the task's own solution: inspect it"
    return Finding(check="too-good", subject="safety", mark="warn", text=text, origin="data")


def processes(candidate_peak: int | None, baseline_peak: int | None, slack: int) -> Finding:
    """More processes and threads than the baseline has, by the kernel's count; None where that could not be read."""
    if candidate_peak is None or baseline_peak is None:
        text = "The engine gave no count of the processes and threads of each sample"
        return Finding(check="processes", subject="safety", mark="unchecked", text=text, origin="engine")
    evidence = f"{candidate_peak} at one time, the baseline has {baseline_peak}"
    if candidate_peak > baseline_peak + slack:
        text = f"It starts processes or threads: {candidate_peak - baseline_peak} more than the baseline"
        return Finding(check="processes", subject="safety", mark="warn", text=text, evidence=evidence, origin="engine")
    return Finding(
        check="processes",
        subject="safety",
        mark="pass",
        text="No more processes and threads than the baseline",
        evidence=evidence,
        origin="engine",
    )


def disk_writes(candidate_bytes: int | None, baseline_bytes: int | None, slack: int) -> Finding:
    """More bytes written to disks than the baseline writes, by the kernel's count; there should be nowhere to write to.

    None where the count could not be read.
    """
    if candidate_bytes is None or baseline_bytes is None:
        text = "The engine gave no count of what each sample wrote to disks"
        return Finding(check="disk-writes", subject="safety", mark="unchecked", text=text, origin="engine")
    evidence = f"{candidate_bytes} bytes at most, the baseline wrote {baseline_bytes}"
    if candidate_bytes > baseline_bytes + slack:
        return Finding(
            check="disk-writes",
            subject="safety",
            mark="warn",
            text="It writes to a disk of the host",
            evidence=evidence,
            origin="engine",
        )
    return Finding(
        check="disk-writes",
        subject="safety",
        mark="pass",
        text="No more written to disks than by the baseline",
        evidence=evidence,
        origin="engine",
    )


def slow_death(dying_cpu_s: float) -> Finding | None:
    """Processes that the kernel takes long to end once they are killed (thousands of locks, say), on the measuring CPU.

    Args:
        dying_cpu_s: the CPU time that this took, by the kernel's count: what a slow engine takes is not in it.
    """
    if dying_cpu_s <= DYING_CPU_S_MAX:
        return None
    text = "Its processes went on using the CPU after they were killed"
    evidence = f"at least {dying_cpu_s:.1f} s of CPU time, {DYING_CPU_S_MAX:g} s are allowed"
    return Finding(
        check="ends-when-killed", subject="safety", mark="fail", text=text, evidence=evidence, origin="engine"
    )


def is_slow_death(finding: Finding) -> bool:
    """Whether a finding says that: nothing of the file is run any more, since each time might cost minutes."""
    return finding.check == "ends-when-killed" and finding.mark == "fail"


def _finding(check: str, failure: str | None, success: str) -> Finding:
    if failure is None:
        return Finding(check=check, subject="safety", mark="pass", text=success, origin="data")
    return Finding(check=check, subject="safety", mark="fail", text=failure, origin="data")
