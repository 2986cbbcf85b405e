"""The hostile cases: one file each under hostile/, by category; its facts in the comment at its top (TOML).

inside     what happens inside the sandbox, in words
outcome    how it must end, one of `OUTCOMES`
evidence   a regular expression that is found in what came back
timeout_s  seconds that the command may take
then       calls of tools after it, each a table with `tool`; the last one's result is what counts
neighbour  a Python program that another sandbox runs while this one still holds what it took, and
sees       a regular expression that is found in what that one printed
image      lines of a Dockerfile after FROM, for a sandbox on such an image

The rest of the file is what an agent would run: Python (`.py`) or the shell's (`.sh`).
"""

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

FOLDER = Path(__file__).parent / "hostile"
# How a case can end, with what it means.
OUTCOMES = {
    "answered": "the command ended by itself: what it tried was refused, or harmed nobody",
    "timed out": "the command was ended at its limit",
    "out of memory": "the kernel ended a process of the command's for memory",
    "signalled": "the command ended by a signal",
    "shell ended": "the shell ended, and the next command got a new one",
    "refused": "the tool refused, and said why",
    "submitted": "the file was collected as it is",
    "not started": "no sandbox is made of such an image",
}
# What no case may come to.
BROKEN = {
    "sandbox ended": "PID 1 ended, or could start no shell any more",
    "crippled": "the next command did not work as it must",
    "fault": "the engine or the runner failed",
}


TIMEOUT_S = 10.0  # chosen: of a command that does not say how long it takes


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inside: str = Field(min_length=1)
    outcome: str
    evidence: str = Field(min_length=1)
    timeout_s: float = TIMEOUT_S
    then: list[dict[str, Any]] = []
    neighbour: str = ""
    sees: str = ""
    image: str = ""

    @field_validator("outcome")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in OUTCOMES:
            raise ValueError(f"the outcomes are {', '.join(OUTCOMES)}")
        return value

    @field_validator("evidence", "sees")
    @classmethod
    def _compiles(cls, value: str) -> str:
        re.compile(value)
        return value


@dataclass(frozen=True, slots=True)
class HostileCase:
    """One file.

    Attributes:
        id: `category/name`.
        command: for the shell of the sandbox.
    """

    id: str
    command: str
    inside: str
    outcome: str
    evidence: str
    timeout_s: float
    then: tuple[dict[str, Any], ...]
    neighbour: str
    sees: str
    image: str

    @property
    def category(self) -> str:
        """The folder that it lies in."""
        return self.id.partition("/")[0]


def read_hostile(folder: Path = FOLDER) -> list[HostileCase]:
    """Every case, by id.

    Raises:
        ValueError: a file's header is not as it must be; names the file.
    """
    return [_read(path) for path in sorted(folder.glob("*/*")) if path.suffix in (".py", ".sh")]


def slowed(case: HostileCase, times: float) -> HostileCase:
    """The same case with so many times as long for each of its commands; what tells of such a time, too."""
    if times == 1.0:
        return case
    then = tuple(
        {**call, "timeout_s": times * call.get("timeout_s", TIMEOUT_S)} if call.get("tool") == "bash" else call
        for call in case.then
    )
    evidence = case.evidence.replace(
        f"timed out after {case.timeout_s:g} s", f"timed out after {times * case.timeout_s:g} s"
    )
    return replace(case, timeout_s=times * case.timeout_s, then=then, evidence=evidence)


def _read(path: Path) -> HostileCase:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    count = next((number for number, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    name = f"{path.parent.name}/{path.stem}"
    try:
        facts = _Facts.model_validate(tomllib.loads("".join(line[2:] for line in lines[:count])))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    body = "".join(lines[count:])
    command = body if path.suffix == ".sh" else python_command(body)
    given = facts.model_dump()
    return HostileCase(id=name, command=command, **{**given, "then": tuple(given["then"])})


def python_command(program: str) -> str:
    """A command that runs a Python program."""
    return f"python3 - <<'PROGRAM'\n{program}\nPROGRAM\n"
