"""A file that is the answer: read here, by bounded readers of three plain forms, and held to what the task declares. Pure.

What is read is small, since its size is checked first, and its form is ours: numbers in lines (csv), numbers in JSON, or a
text that is handed on as it is. Nothing is guessed: other columns, other counts, quotes or words are a reason.
"""

import codecs
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.grading.sample import out_of_range
from runner.records.untrusted_json import InvalidJson, check_size, parse_object
from runner.tasks.kinds import TEXT, of_bytes
from runner.tasks.task import Array

INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
CELL_CHARS_MAX = 64  # chosen: a float64 with all its digits has 24
SHOWN_CHARS_MAX = 40  # chosen: enough of a cell to find it
# Of the structure of a JSON answer, over one for each number: brackets and commas of rows, and the names.
JSON_SLACK = 1024  # chosen
Read = dict[str, NDArray[np.generic]] | str


def read_answer(form: str, content: bytes, declared: Sequence[Array], bytes_max: int) -> Read:
    """The arrays that a file holds; or why it is not the declared answer, which may quote the file: hostile text.

    Args:
        form: csv, json or text (which gives the one array `text`, its bytes).
        bytes_max: the largest file that is looked at.
    """
    if len(content) > bytes_max:
        return f"the file has {len(content)} bytes, {bytes_max} are allowed"
    if form == "text":
        return {TEXT: of_bytes(content)}
    read = _read_csv(content, declared) if form == "csv" else _read_json(content, declared)
    if isinstance(read, str):
        return read
    for array in declared:
        if (reason := out_of_range(array, read[array.name])) is not None:
            return reason
    return read


def _read_csv(content: bytes, declared: Sequence[Array]) -> Read:
    rows = declared[0].shape[0]
    ends = content.count(b"\n")
    if ends > rows + 1:
        return f"the file has more than {rows + 1} lines: a line of names and {rows} of values are asked for"
    try:
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        return f"the file is not UTF-8: {error.reason} at byte {error.start}"
    names = [name.strip() for name in lines[0].split(",", len(declared))]
    if sorted(names) != sorted(array.name for array in declared):
        return f"the first line is {_quoted(lines[0])}, asked for were the names {', '.join(a.name for a in declared)}"
    if len(lines) != rows + 1:
        return f"the file has {len(lines) - 1} lines of values, asked for were {rows}"
    values: dict[str, list[int | float | bool]] = {name: [] for name in names}
    dtypes = {array.name: array.dtype for array in declared}
    for number, line in enumerate(lines[1:], 2):
        cells = line.split(",", len(names))
        if len(cells) != len(names):
            return f"line {number} has {line.count(',') + 1} values, asked for were {len(names)}"
        for name, cell in zip(names, cells, strict=True):
            value = _number(cell.strip(), dtypes[name])
            if value is None:
                return f"line {number}: {name} is {_quoted(cell)}, asked for was {dtypes[name]}"
            values[name].append(value)
    return _arrays(values, declared)


def _number(cell: str, dtype: str) -> int | float | bool | None:
    """A cell's value; None where it has none of this type."""
    if dtype == "bool":
        return {"true": True, "false": False, "1": True, "0": False}.get(cell.lower())
    if not dtype.startswith("float"):
        return int(cell) if INTEGER.fullmatch(cell) else None
    if len(cell) > CELL_CHARS_MAX or "_" in cell or not cell.isascii():
        return None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _read_json(content: bytes, declared: Sequence[Array]) -> Read:
    count = sum(math.prod(array.shape) for array in declared)
    rows = sum(math.prod(array.shape[:-1]) for array in declared)
    content = content.removeprefix(codecs.BOM_UTF8)  # as in a csv
    try:
        check_size(content, values_max=count + 3 * rows + JSON_SLACK)
        found = parse_object(content, unique_keys=True)
    except InvalidJson as error:
        return f"the file cannot be taken as JSON: {error}"
    wanted = sorted(array.name for array in declared)
    if sorted(found) != wanted:
        names = ", ".join(map(_quoted, sorted(found)[: len(wanted) + 1]))
        return f"the object has the keys {names or 'of nothing'}, asked for were {', '.join(wanted)}"
    for array in declared:
        if (reason := _misfit(found[array.name], array, array.shape)) is not None:
            return f"{array.name}: {reason}"
    return _arrays(found, declared)


def _misfit(value: Any, array: Array, shape: tuple[int, ...]) -> str | None:
    """Why a value of JSON has not the form of an array's part; None: it has."""
    if shape:
        if not isinstance(value, list) or len(value) != shape[0]:
            got = f"an array of {len(value)}" if isinstance(value, list) else type(value).__name__
            return f"{got} stands where an array of {shape[0]} was asked for"
        return next((reason for part in value if (reason := _misfit(part, array, shape[1:])) is not None), None)
    if array.dtype == "bool":
        fits = isinstance(value, bool)
    else:
        fits = isinstance(value, int if not array.dtype.startswith("float") else int | float)
        fits = fits and not isinstance(value, bool)
    return None if fits else f"{_quoted(str(value))} stands where a value of {array.dtype} was asked for"


def _arrays(values: dict[str, Any], declared: Sequence[Array]) -> Read:
    arrays: dict[str, NDArray[np.generic]] = {}
    for array in declared:
        try:
            with np.errstate(over="ignore"):  # what becomes infinite is refused as such
                arrays[array.name] = np.asarray(values[array.name], np.dtype(array.dtype)).reshape(array.shape)
        except (OverflowError, ValueError):
            return f"{array.name} holds values that {array.dtype} cannot hold"
    return arrays


def _quoted(text: str) -> str:
    return repr(text[:SHOWN_CHARS_MAX]) + ("..." if len(text) > SHOWN_CHARS_MAX else "")
