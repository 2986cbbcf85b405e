"""strategies.toml: the parts of a task's problem, and the ways in which each is known to be solved.

A way is recognised by patterns of ast-grep's language, matched in a sandbox against the canonical text of a submission, in
which what can be written in several ways is written in one (`runner/sandbox/inside/syntax.py`): names from modules in full
(`numpy.diff`), whatever they were imported as; `x.mean(0)` for `numpy.mean(x, 0)`; `a @ b`, `a - b`, `x.T` and `x ** 2` for
the functions; names that are bound once, and helpers that only return something, as what they stand for.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from runner.faults import TaskFault
from runner.tasks.ast_grep_rules import check_rule
from runner.tasks.schema import Section
from runner.tasks.task import Task
from runner.tasks.toml_faults import explain, read_toml
from runner.tasks.toml_lines import line_of

NAME = "strategies.toml"
REFERENCE = "docs/reference/strategies-toml.md"
# All rules go to the parser in the head of one frame, which holds 64 KiB (`sandbox/wire.py`). chosen: with room to spare.
RULES_BYTES_MAX = 48 * 1024
# What the analysis itself calls those that took no known way (`report/analysis/strategies.py`).
RESERVED = re.compile(r"not-seen|novel(-\d+)?")
Title = Annotated[str, Field(min_length=1, max_length=80)]


def _check_id(way: str) -> str:
    if RESERVED.fullmatch(way):
        raise ValueError("means a submission in which no known way is found: choose another name")
    return way


Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40), AfterValidator(_check_id)]
# A pattern, or one with what has to stand in it or around it: a rule of ast-grep (`has`, `inside`, `not`, `all`, `any`).
Rule = Annotated[Any, AfterValidator(check_rule)]
Definition = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$", max_length=200)]


class Strategy(Section):
    """One way to solve a part."""

    id: Id
    """Names it in records."""
    title: Title
    """Names it for a reader."""
    about: str = ""
    """One line."""
    patterns: list[Rule] = Field(min_length=1)
    """Patterns or rules of ast-grep; one that is found is enough."""
    outside: list[str] = Field(default_factory=list)
    """Kinds of syntax (such as `list_comprehension`) inside which a pattern does not count."""
    donor: str = Field(default="", max_length=20_000)
    """Python text that solves the part in this way: functions and methods under the baseline's names, with the imports that
    they need. `analyze --measure` puts it into the best run's file where no run took this way, and grades that."""


class Part(Section):
    """A part of the problem that has to be solved."""

    name: Title
    """What it is called."""
    about: str = ""
    """What is slow in the starter."""
    seen: list[Rule] = Field(default_factory=list)
    """Patterns or rules that say that the part is there at all, though in no known way; without any, that is not told."""
    definitions: list[Definition] = Field(default_factory=list)
    """The baseline's functions and methods (`Class.method`) that the part consists of; empty: those in which one of its
    patterns is found. `analyze --measure` puts them back one part at a time."""
    strategy: list[Strategy] = Field(min_length=1)
    """The ways that are known."""


class _File(Section):
    part: list[Part] = Field(min_length=1)


def load_strategies(task: Task) -> tuple[Part, ...]:
    """The task's parts; none where it has no strategies.toml.

    Raises:
        TaskFault: the file is wrong: it says on which line, and which key.
    """
    path = task.folder / NAME
    if not path.exists():
        return ()
    text, raw = read_toml(path, REFERENCE)
    try:
        parts = tuple(_File.model_validate(raw).part)
    except ValidationError as error:
        raise explain(path, text, raw, error, _File, REFERENCE)[0] from error
    _check_names(path, text, parts)
    size = len(json.dumps(rules_of(parts), ensure_ascii=False).encode())
    if size > RULES_BYTES_MAX:
        raise TaskFault(
            cause=f"{path}: its patterns and rules take {size} bytes; {RULES_BYTES_MAX} is the most",
            hint="leave some out, or say several in one rule",
        )
    return parts


def _check_names(path: Path, text: str, parts: Sequence[Part]) -> None:
    """Each part, and each way of a part, must have a name of its own: records go by these."""
    seen: dict[str, int | None] = {}
    for place, part in enumerate(parts):
        named: list[tuple[str, str, tuple[str | int, ...]]] = [
            (part.name, f"part {part.name!r}", ("part", place, "name"))
        ]
        named += [
            (
                f"{part.name}/{way.id}",
                f"strategy {way.id!r} of part {part.name!r}",
                ("part", place, "strategy", n, "id"),
            )
            for n, way in enumerate(part.strategy)
        ]
        for name, words, key in named:
            line = line_of(text, key)
            if name in seen:
                raise TaskFault(
                    cause=f"{path}, line {line}: there is another {words}, on line {seen[name]}",
                    hint="give each a name of its own",
                )
            seen[name] = line


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
