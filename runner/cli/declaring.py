"""How a flag is declared: once, as a field of a dataclass; a command takes one object of them.

`takes` gives typer a function with a parameter for each field. Names that flags had before are still understood
(`OLD_NAMES`), and not listed.
"""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import typer

Options = TypeVar("Options")


# What a flag was called before, by what it is called now.
OLD_NAMES = {
    "jobs": "concurrency",
    "put": "upload",
    "wall-s": "time-limit",
    "working-s": "working-limit",
    "dollars": "cost-limit",
    "job-dollars": "job-cost-limit",
    "require-quiet": "max-noise",
    "take-last": "grade-last",
}
# The same of values.
OLD_VALUES = {"report": "reported", "enforce": "required"}
JOB, AGENT, MODEL, LIMITS, GRADING, OUTPUT = "Job", "Agent", "Model", "Limits", "Grading", "Output"
HOSTS = "Hosts"


def flag(name: str, text: str, panel: str, metavar: str = "", **more: Any) -> Any:
    """A flag of the command line; a switch has no metavar."""
    return typer.Option(name, help=text, rich_help_panel=panel, metavar=metavar, **more)


def takes(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Decorate a function of one options object, so that typer sees a parameter for each field."""

    def decorate(function: Callable[[Options], None]) -> Callable[..., None]:
        def command(context: typer.Context, **values: Any) -> None:
            given = frozenset(name for name in values if _is_given(context, name))
            function(_object(options, values, given))

        parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
        parameters += _parameters(options)
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        return command

    return decorate


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether a flag stands on the command line; what the environment or a default says is not a flag of the user's."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def flags_in(options: type[Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, annotation, default) of every flag of a dataclass and of those that it holds, in order."""
    hints = get_type_hints(options, include_extras=True)
    for item in fields(options):
        if is_dataclass(hints[item.name]):
            yield from flags_in(hints[item.name])
        elif item.name != "given":
            yield item.name, hints[item.name], item.default


def _parameters(options: type[Any]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if default is MISSING else default,
            annotation=annotation,
        )
        for name, annotation, default in flags_in(options)
    ]


def _object(options: type[Options], values: Mapping[str, Any], given: frozenset[str]) -> Options:
    hints = get_type_hints(options)
    made: dict[str, Any] = {}
    for item in fields(options):  # type: ignore[arg-type]
        if item.name == "given":
            made["given"] = given
        elif is_dataclass(hints[item.name]):
            made[item.name] = _object(hints[item.name], values, given)
        else:
            made[item.name] = _expanded(values[item.name])
    return options(**made)


def _expanded(value: Any) -> Any:
    """A path with `~` as the user's home."""
    if isinstance(value, Path):
        return Path(expand_home(str(value)))
    if isinstance(value, list | tuple):
        return [_expanded(entry) for entry in value]
    return value


def expand_home(text: str) -> str:
    """The same with `~` at its beginning as the user's home; as it is where there is none."""
    return os.path.expanduser(text)  # noqa: PTH111 (Path.expanduser raises where there is no home)


def current_name(name: str) -> str:
    """What a flag, or a value of one, is called now, by any name that it had; for click, without dashes."""
    return (OLD_NAMES | OLD_VALUES).get(name, name)
