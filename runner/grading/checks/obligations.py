"""Which checks a submission must have passed: those that its task defines. A check that was not made is not a passed one."""

from collections.abc import Iterator

from runner.tasks.problem import Problem
from runner.tasks.task import Task


def obligations(task: Task, problem: Problem) -> tuple[str, ...]:
    """The names (`Finding.name`) of the checks that must have been made and passed before a submission passes."""
    return tuple(_obligations(task, problem))


def _obligations(task: Task, problem: Problem) -> Iterator[str]:
    if task.file.imports.forbidden:
        yield "no-forbidden-names"
    for component, section in task.file.components.items():
        yield f"component-present:{component}"
        for probe in section.probes:
            yield f"component-works:{component}.{probe.method}"
    if problem.witness is not None:
        yield "answer-witness"
    if problem.control is not None:
        yield "control"
    if problem.agreement is not None:
        yield "same-in-any-order"
