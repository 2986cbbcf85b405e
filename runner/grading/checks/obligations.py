"""Which checks a submission must have passed: those that its task defines. A check that was not made is not a passed one."""

from collections.abc import Iterator

from runner.records.grading import Equivalence
from runner.tasks.problem import Problem
from runner.tasks.schema import ProbeSection
from runner.tasks.task import Task


def equivalence_of(task: Task, component: str, probe: ProbeSection, policy: Equivalence | None) -> Equivalence:
    """What becomes of other values than the baseline's: the user's policy, or what is said nearest to the probe."""
    section = task.file.components[component]
    return policy or probe.equivalence or section.equivalence or task.file.grading.equivalence


def obligations(task: Task, problem: Problem, policy: Equivalence | None) -> tuple[str, ...]:
    """The names (`Finding.name`) of the checks that must have been made and passed before a submission passes.

    Args:
        policy: the user's about equivalence; None: the task's.
    """
    return tuple(_obligations(task, problem, policy))


def _obligations(task: Task, problem: Problem, policy: Equivalence | None) -> Iterator[str]:
    if task.file.imports.forbidden:
        yield "no-forbidden-names"
    for component, section in task.file.components.items():
        yield f"component-present:{component}"
        for probe in section.probes:
            yield f"component-works:{component}.{probe.method}"
            if equivalence_of(task, component, probe, policy) is Equivalence.REQUIRED:
                yield f"equivalence:{component}.{probe.method}"
    yield from remade_names(task)
    if problem.witness is not None:
        yield "answer-witness"
    if problem.control is not None:
        yield "control"
    if problem.agreement is not None:
        yield "same-in-any-order"


def remade_names(task: Task) -> tuple[str, ...]:
    """The names (`Finding.name`) of the findings about arrays of the answer that a component makes (`remade.py`)."""
    return tuple(f"answer-remade:{name}" for name, section in task.file.answer.items() if section.made_by is not None)
