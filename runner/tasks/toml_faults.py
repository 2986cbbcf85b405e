"""A TOML file of a task folder: read, and what is wrong with it explained by line and key, with the nearest right one."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from runner.faults import TaskFault
from runner.tasks.schema import Section
from runner.tasks.toml_lines import line_of

NUMBER_BITS_MAX = 4096  # of a whole number; chosen: far over any, and under what Python writes (4,300 digits)
VALUE_MAX = 300  # characters of a wrong value that are repeated; chosen: more is found by its line


def read_toml(path: Path, reference: str) -> tuple[str, dict[str, Any]]:
    """A file's text, and what it says.

    Args:
        reference: the page that describes it.

    Raises:
        TaskFault: it is not TOML, or not there.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise TaskFault(cause=f"{path} is not a file", hint=f"put one there; see {reference}")
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a mark in front
        raw = tomllib.loads(text)
        _check_numbers(raw)
        return text, raw
    except UnicodeDecodeError as error:
        raise TaskFault(cause=f"{path} is not UTF-8: byte {error.start} is wrong", hint="write it in UTF-8") from error
    except (ValueError, RecursionError) as error:  # of tomllib, and of the numbers that it reads
        raise TaskFault(cause=f"{path} is not valid TOML: {error}", hint="fix the line that it names") from error
    except OSError as error:
        raise TaskFault(cause=f"{path} cannot be read: {error.strerror}", hint=f"add it; see {reference}") from error


def _check_numbers(raw: Mapping[str, Any]) -> None:
    """Refuse whole numbers, as TOML writes them to other bases, that Python writes in no decimals, not even in a message.

    Raises:
        ValueError: there is one.
    """
    waiting: list[tuple[str, Any]] = list(raw.items())
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}", inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{name}.{place}", inner) for place, inner in enumerate(value)]
        elif isinstance(value, int) and value.bit_length() > NUMBER_BITS_MAX:
            raise ValueError(f"{name} is a number of {value.bit_length()} bits")


def explain(
    path: Path, text: str, raw: Mapping[str, Any], error: ValidationError, model: type[Section], reference: str
) -> list[TaskFault]:
    """Each thing that is wrong, with its line, its key and the nearest right one.

    Args:
        raw: what the file says.
        model: of the whole file.
        reference: the page that describes it.
    """
    # Unknown keys first: a misspelt one is also a missing one, and its name tells more.
    errors = sorted(error.errors(include_url=False), key=lambda entry: entry["type"] != "extra_forbidden")
    faults: dict[object, TaskFault] = {}
    for entry in errors:
        at = _in_file(raw, entry["loc"]) if entry["type"] != "missing" else entry["loc"]
        fault = _explain_one(path, text, entry, at, model, reference)
        # Of a value that fits none of several forms, the first says enough.
        faults.setdefault(at if at != entry["loc"] else str(fault), fault)
    return list(faults.values())


def _in_file(raw: Any, loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where something is wrong, by the names of the file alone: without the checker's own, such as that of a form."""
    for place, part in enumerate(loc):
        found = part in raw if isinstance(raw, dict) else isinstance(raw, list) and isinstance(part, int)
        if not found:
            return loc[:place]
        raw = raw[part]
    return loc


def _explain_one(
    path: Path, text: str, entry: Any, loc: tuple[int | str, ...], model: type[Section], reference: str
) -> TaskFault:
    key, line = ".".join(str(part) for part in loc), line_of(text, loc)
    where = f"{path}, line {line}" if line is not None else f"{path}"
    if entry["type"] == "extra_forbidden":
        right = difflib.get_close_matches(str(loc[-1]), _keys_at(loc[:-1], model), n=1)
        hint = f"did you mean {right[0]!r}?" if right else f"known keys: {', '.join(_keys_at(loc[:-1], model))}"
        return TaskFault(cause=f"{where}: unknown key {key}", hint=hint)
    if entry["type"] == "missing":
        return TaskFault(cause=f"{where}: {key} is missing", hint=f"add it; see {reference}")
    said = str(entry["msg"]).removeprefix("Value error, ")  # the library's own words before ours
    value = repr(entry["input"])
    value = value if len(value) <= VALUE_MAX else f"{value[:VALUE_MAX]}..."
    return TaskFault(cause=f"{where}: {key} = {value}: {said}", hint="fix the value")


def _keys_at(loc: tuple[int | str, ...], model: type[Section]) -> list[str]:
    """The keys that the model allows at a place in the file."""
    kind: Any = model
    for part in loc:
        kind = kind.model_fields[part].annotation if _is_section(kind) and part in kind.model_fields else kind
        if not _is_section(kind):
            sections = [argument for argument in get_args(kind) if _is_section(argument)]
            kind = sections[0] if sections else kind
    return list(kind.model_fields) if _is_section(kind) else []


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)
