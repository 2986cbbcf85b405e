"""strategies.toml: the parts of a task's problem, and the ways in which each is known to be solved.

A way is recognised by patterns of ast-grep's language, matched in a sandbox against the canonical text of a submission, in
which what can be written in several ways is written in one (`runner/sandbox/inside/syntax.py`): names from modules in full
(`numpy.diff`), whatever they were imported as; `x.mean(0)` for `numpy.mean(x, 0)`; `a @ b`, `a - b`, `x.T` and `x ** 2` for
the functions; names that are bound once, and helpers that only return something, as what they stand for.
"""

import tomllib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.faults import TaskFault
from runner.tasks.task import Task

NAME = "strategies.toml"
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
Pattern = Annotated[str, Field(min_length=1, max_length=300)]
# A pattern, or one with what has to stand in it or around it: a rule of ast-grep (`has`, `inside`, `not`, `all`, `any`).
Rule = Pattern | Annotated[dict[str, Any], Field(min_length=1, max_length=8)]
Definition = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$", max_length=200)]


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
    patterns: list[Rule] = Field(min_length=1)
    """Patterns or rules of ast-grep; one that is found is enough."""
    outside: list[str] = []
    """Kinds of syntax (such as `list_comprehension`) inside which a pattern does not count."""
    donor: str = Field(default="", max_length=20_000)
    """Python text that solves the part in this way: functions and methods under the baseline's names, with the imports that
    they need. `analyze --measure` puts it into the best run's file where no run took this way, and grades that."""


class Part(_Section):
    """A part of the problem that has to be solved."""

    name: str
    """What it is called."""
    about: str = ""
    """What is slow in the starter."""
    seen: list[Rule] = []
    """Patterns or rules that say that the part is there at all, though in no known way; without any, that is not told."""
    definitions: list[Definition] = []
    """The baseline's functions and methods (`Class.method`) that the part consists of; empty: those in which one of its
    patterns is found. `analyze --measure` puts them back one part at a time."""
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


SEEN = "?"  # in place of a way: the part is there at all


def rules_of(parts: tuple[Part, ...]) -> dict[str, dict[str, Any]]:
    """The rules of ast-grep: for every strategy by `part/strategy`, and by `part/?` for being there at all."""
    ways = {f"{part.name}/{strategy.id}": _rule(strategy) for part in parts for strategy in part.strategy}
    return ways | {f"{part.name}/{SEEN}": _any(part.seen) for part in parts if part.seen}


def _any(rules: list[Rule]) -> dict[str, Any]:
    return {"any": [{"pattern": rule} if isinstance(rule, str) else rule for rule in rules]}


def _rule(strategy: Strategy) -> dict[str, Any]:
    found = _any(list(strategy.patterns))
    if not strategy.outside:
        return found
    apart = [{"not": {"inside": {"kind": kind, "stopBy": "end"}}} for kind in strategy.outside]
    return {"all": [found, *apart]}
