"""A .dockerignore as a stranger wrote it: what of the files beside it is left out of a build. Pure.

Its patterns are matched in time that grows with their length: a regular expression made of one can take for ever.
"""

import fnmatch
import re
from collections.abc import Mapping
from typing import TypeVar

from runner.faults import TaskFault

IGNORE = ".dockerignore"
PATTERNS_MAX = 1000  # chosen
PATTERN_CHARS_MAX = 1000  # chosen
DEEP = "**"  # any number of folders

File = TypeVar("File")


def without_ignored(files: Mapping[str, tuple[bytes, File]]) -> dict[str, tuple[bytes, File]]:
    """The files, by path, that are not left out; the Dockerfile never is.

    Raises:
        TaskFault: there are too many patterns, or too long ones.
    """
    if IGNORE not in files:
        return dict(files)
    ignored: set[str] = set()
    for is_exception, pattern in _patterns(files[IGNORE][0].decode("utf-8-sig", "replace")):
        covered = {path for path in files if _covers(pattern, path.split("/"))}
        ignored = ignored - covered if is_exception else ignored | covered
    return {path: entry for path, entry in files.items() if path not in ignored or path == "Dockerfile"}


def _patterns(text: str) -> list[tuple[bool, list[re.Pattern[str] | None]]]:
    """(whether it takes back what others leave out, a form for each of its folders; None: any number of them)."""
    # A form feed, say, ends no line: the engine splits at line feeds alone.
    lines = [line.strip() for line in text.split("\n") if line.strip() and not line.startswith("#")]
    if len(lines) > PATTERNS_MAX or any(len(line) > PATTERN_CHARS_MAX for line in lines):
        raise TaskFault(
            cause=f"{IGNORE} has more than {PATTERNS_MAX} patterns, or one of more than {PATTERN_CHARS_MAX} characters",
            hint="make it shorter",
        )
    found = [(line.startswith("!"), _steps(line.removeprefix("!"))) for line in lines]
    return [(is_exception, [_form(step) for step in steps]) for is_exception, steps in found if steps]


def _steps(pattern: str) -> list[str]:
    steps: list[str] = []
    for step in pattern.split("/"):
        name = step.strip()
        if name == "..":
            steps = steps[:-1]
        elif name.startswith(DEEP) and name.strip("*"):
            # As the engine reads it: at the beginning any path that ends so (`**.pyc`), later any number of folders.
            steps += [DEEP, name.lstrip("*") if steps else f"*{name.lstrip('*')}"]
        elif name not in ("", "."):
            steps.append(name)
    return steps


def _form(step: str) -> re.Pattern[str] | None:
    return None if step == DEEP else re.compile(fnmatch.translate(step.replace("[^", "[!")))


def _covers(pattern: list[re.Pattern[str] | None], path: list[str]) -> bool:
    """Whether a pattern names a path, or a folder above it."""
    reached = _passed(pattern, {0})
    for name in path:
        if len(pattern) in reached:
            break
        reached = _passed(pattern, set(_next(pattern, reached, name)))
    return len(pattern) in reached


def _next(pattern: list[re.Pattern[str] | None], reached: set[int], name: str) -> list[int]:
    """How far into the pattern one can be after one more name."""
    steps = [(place, pattern[place]) for place in reached]
    return [
        place if form is None else place + 1 for place, form in steps if form is None or form.match(name) is not None
    ]


def _passed(pattern: list[re.Pattern[str] | None], reached: set[int]) -> set[int]:
    """The same, with what any number of folders, or none, leads to."""
    found = set(reached)
    for place, form in enumerate(pattern):
        if place in found and form is None:
            found.add(place + 1)
    return found
