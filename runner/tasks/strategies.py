"""strategies.toml: the parts of a task's problem, and the ways in which each is known to be solved.

A way is recognised by patterns of ast-grep's language, matched in a sandbox against the canonical text of a submission:
names from modules are written out in full there (`numpy.diff`), whatever they were imported as.
"""

import tomllib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.faults import TaskFault
from runner.tasks.task import Task

NAME = "strategies.toml"
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
Pattern = Annotated[str, Field(min_length=1, max_length=300)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Strategy(_Section):
    """One way to solve a part."""

    id: Id
    """Names it in records."""
    title: str
    """Names it for a reader."""
    about: str = ""
    """One line."""
    patterns: list[Pattern] = Field(min_length=1)
    """Patterns of ast-grep; one that is found is enough."""
    outside: list[str] = []
    """Kinds of syntax (such as `list_comprehension`) inside which a pattern does not count."""


class Part(_Section):
    """A part of the problem that has to be solved."""

    name: str
    """What it is called."""
    about: str = ""
    """What is slow in the starter."""
    strategy: list[Strategy] = Field(min_length=1)
    """The ways that are known."""


class _File(_Section):
    part: list[Part] = Field(min_length=1)


def load_strategies(task: Task) -> tuple[Part, ...]:
    """The task's parts; none where it has no strategies.toml.

    Raises:
        TaskFault: the file is wrong.
    """
    path = task.folder / NAME
    if not path.is_file():
        return ()
    try:
        return tuple(_File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).part)
    except (OSError, ValueError) as error:
        raise TaskFault(cause=f"{path}: {_first_error(error)}", hint=f"fix {NAME}, or remove it") from error


def _first_error(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def rules_of(parts: tuple[Part, ...]) -> dict[str, dict[str, Any]]:
    """The rules of ast-grep for every strategy, by `part/strategy`."""
    return {f"{part.name}/{strategy.id}": _rule(strategy) for part in parts for strategy in part.strategy}


def _rule(strategy: Strategy) -> dict[str, Any]:
    found: dict[str, Any] = {"any": [{"pattern": pattern} for pattern in strategy.patterns]}
    if not strategy.outside:
        return found
    apart = [{"not": {"inside": {"kind": kind, "stopBy": "end"}}} for kind in strategy.outside]
    return {"all": [found, *apart]}
