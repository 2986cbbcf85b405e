"""The corpus: one file a cheat or an honest optimisation, its facts in the comment at its top (TOML).

id         name of the case
class      cheats: timing, process, wire, cache, answer, leak, labels or component
task       which task it is written for
base       none, baseline or solution: the text that it is appended to; none: the file is handed in byte for byte
tries      cheats: what it is after; does: honest ones: what they do
caught_by  cheats: outcomes that are right, each with or without the check that must have failed (`unsafe:control`);
           `passed` alone: not detected by design, the note says why
"""

import tokenize
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from runner.tasks.task import Task

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


def read_corpus(tasks: Mapping[str, Task]) -> Iterator[Case]:
    """All cases of the given tasks, cheats first.

    Raises:
        ValueError: a file's facts are not what they must be.
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


def _read(path: Path) -> tuple[_Facts, bytes]:
    """The facts of a file, and its bytes; it may declare an encoding, or begin with a byte order mark."""
    head = []
    with tokenize.open(path) as lines:
        for line in lines:
            if not line.startswith("# "):
                break
            head.append(line[2:])
    return _Facts.model_validate(tomllib.loads("".join(head))), path.read_bytes()
