"""The check of a task whose submission is a program or the answer itself: what must pass is graded, and what must not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from runner.faults import TaskFault
from runner.grading.context import Candidate, GradingContext
from runner.grading.grade import grade_all
from runner.job.task_check.remark import Remark, of_fault
from runner.records.grading import Grading
from runner.records.outcome import OutcomeKind
from runner.selftest.corpus import is_expected, own_cases
from runner.tasks.task import Task

# Of a timed program, as of a function: the first look of a grading at all files is after three rounds.
ROUNDS_MAX = 6  # chosen: two looks; what is open then is a warning
OPEN = (OutcomeKind.INCONCLUSIVE, OutcomeKind.UNSTABLE, OutcomeKind.INFRASTRUCTURE)


@dataclass(frozen=True, slots=True)
class Tried:
    """A submission that the check grades.

    Attributes:
        expected: outcomes that are right, `outcome` or `outcome:check`; empty: any that counts but `passed`.
    """

    check: str
    name: str
    content: bytes
    expected: tuple[str, ...]


def remarks(context: GradingContext, constants: Mapping[str, float], say: Callable[[str], None]) -> Iterator[Remark]:
    """What gradings of the solution, of nothing and of the task's own cases show.

    Raises:
        InfrastructureFault: engine or host failed.
        Interrupted: we are stopping.
    """
    task = context.task
    yield of_constants(task, constants)
    try:
        tried = list(_tried(task))
    except TaskFault as fault:
        yield of_fault("cases", fault)
        return
    if task.oracle is None:
        text = f"there is no solution/{task.file.submission.file}: nothing shows that the bar can be reached"
        yield Remark("solution", "warn", text, "add one")
    say(f"grading {len(tried)} submissions")
    rules = replace(context.rules, rounds_max=max(ROUNDS_MAX, context.rules.repetitions))
    candidates = [Candidate(number, one.content) for number, one in enumerate(tried, 1)]
    gradings = {one.run: one.grading for one in grade_all(replace(context, rules=rules), candidates)}
    for number, one in enumerate(tried, 1):
        yield judged(one, gradings[number])


def _tried(task: Task) -> Iterator[Tried]:
    """The submissions, the solution first."""
    if task.oracle is not None:
        yield Tried("solution", f"solution/{task.file.submission.file}", task.oracle, ("passed",))
    if task.has_baseline:
        yield Tried("nothing done", f"the baseline {task.file.call.baseline}", task.baseline, ())
    yield Tried("empty file", "an empty file", b"\n", ())
    for case in own_cases(task):
        yield Tried(f"case: {case.kind}", case.id, case.content, case.expected)


def of_constants(task: Task, constants: Mapping[str, float]) -> Remark:
    """Whether an answer that nobody worked for reaches the bar. Pure."""
    bar = task.file.quality.minimum or 0.0
    name, best = max(constants.items(), key=lambda entry: entry[1])
    if best >= bar:
        text = f"an answer of {name} has {best:.4f} and reaches the bar of {bar:.4f}"
        return Remark("constant answer", "fault", text, "raise the bar ([quality]), or let score tell work from none")
    return Remark("constant answer", "ok", f"the best of them ({name}) has {best:.4f}, under the bar of {bar:.4f}")


def judged(tried: Tried, grading: Grading) -> Remark:
    """What the verdict on a submission says of the task. Pure."""
    outcome, failed = grading.outcome, [finding.name for finding in grading.findings if finding.mark == "fail"]
    said = f"{tried.name}: {outcome.kind.words}: {outcome.reason}"
    is_named = is_expected(tried.expected, outcome.kind, failed)
    right = is_named if tried.expected else outcome.kind is not OutcomeKind.PASSED
    if outcome.kind in OPEN and not is_named:
        return Remark(tried.check, "warn", said, "check on a quieter host, or let the bar lie further from it")
    if right:
        return Remark(tried.check, "ok", said)
    wanted = " or ".join(tried.expected) or "anything but passed"
    fix = f"it should be {wanted}: change it, or the task's bar, comparison or [call]"
    return Remark(tried.check, "fault", said, fix)
