"""The corpus: one file a cheat or an honest optimisation, its facts in the comment at its top (TOML).

id         name of the case
class      cheats: timing, process, wire, cache, answer, leak, labels or component
task       which task it is written for
base       none, baseline or solution: the text that it is appended to; none: the file is submitted byte for byte
tries      cheats: what it is after; does: honest ones: what they do
caught_by  cheats: outcomes that are right, each with or without the check that must have failed (`unsafe:control`);
           `passed` alone: not detected by design, the note says why
"""

import tokenize
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.faults import TaskFault
from runner.tasks.task import REFERENCE, Task, submission_at
from runner.tasks.toml_faults import read_toml

FOLDER = Path(__file__).parent


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    task: str
    base: Literal["none", "baseline", "solution"]
    kind: str = Field(default="honest", alias="class")
    tries: str = ""
    does: str = ""
    caught_by: list[str] = []
    note: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One file of the corpus.

    Attributes:
        expected: outcomes that are right, `outcome` or `outcome:check`.
        content: the whole submission.
    """

    id: str
    kind: str
    task: str
    says: str
    expected: tuple[str, ...]
    note: str
    content: bytes

    @property
    def is_honest(self) -> bool:
        return self.kind == "honest"

    @property
    def is_undetected(self) -> bool:
        """Whether it is one of those that are not detected by design."""
        return not self.is_honest and self.expected == ("passed",)


def is_expected(expected: Iterable[str], outcome: str, failed: Collection[str]) -> bool:
    """Whether an outcome is one of those that are right for a case.

    Args:
        expected: each `outcome` or `outcome:check`.
        failed: names of the checks that failed.
    """
    pairs = (one.partition(":") for one in expected)
    return any(outcome == kind and (not check or check in failed) for kind, _, check in pairs)


def read_corpus(tasks: Mapping[str, Task]) -> Iterator[Case]:
    """All cases of the given tasks: ours, cheats first, and those that lie with the tasks.

    Raises:
        ValueError: a file's facts are not what they must be.
        TaskFault: a task's own cases are not.
    """
    for folder in ("cheats", "honest"):
        for path in sorted((FOLDER / folder).glob("*.py")):
            facts, own = _read(path)
            if facts.task in tasks:
                task = tasks[facts.task]
                base = {"none": b"", "baseline": task.baseline + b"\n", "solution": (task.oracle or b"") + b"\n"}[
                    facts.base
                ]
                expected = tuple(facts.caught_by) or ("passed",)
                yield Case(
                    facts.id, facts.kind, facts.task, facts.tries or facts.does, expected, facts.note, base + own
                )
    for task in tasks.values():
        yield from own_cases(task)


class _OwnCase(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    kind: str = Field(default="honest", alias="class")
    tries: str = ""
    does: str = ""
    file: str
    caught_by: list[str] = []
    note: str = ""


class _OwnCases(BaseModel):
    model_config = ConfigDict(extra="forbid")

    case: list[_OwnCase] = []


def own_cases(task: Task) -> list[Case]:
    """The cases that lie with a task, in cases/cases.toml and the files (or folders) beside it.

    Raises:
        TaskFault: the file is not what it must be, or names one that is not there.
    """
    path = task.folder / "cases" / "cases.toml"
    if not path.exists():
        return []
    raw = read_toml(path, REFERENCE)[1]
    try:
        listed = _OwnCases.model_validate(raw).case
    except ValidationError as error:
        raise TaskFault(cause=f"{path} is not a list of cases: {error}", hint="fix the file") from error
    return [_own_case(task, path, entry) for entry in listed]


def _own_case(task: Task, path: Path, entry: _OwnCase) -> Case:
    content = submission_at(path.parent / entry.file)
    if content is None:
        raise TaskFault(cause=f"{path}: {entry.id} names {entry.file}, which is not beside it", hint="add the file")
    expected = tuple(entry.caught_by) or ("passed",)
    return Case(entry.id, entry.kind, task.name, entry.tries or entry.does, expected, entry.note, content)


def _read(path: Path) -> tuple[_Facts, bytes]:
    """The facts of a file, and its bytes; it may declare an encoding, or begin with a byte order mark."""
    head = []
    with tokenize.open(path) as lines:
        for line in lines:
            if not line.startswith("# "):
                break
            head.append(line[2:])
    return _Facts.model_validate(tomllib.loads("".join(head))), path.read_bytes()
