"""The texts that are joined into one program, and share its names."""

import ast
from collections.abc import Iterator

import pytest

from runner.sandbox.container import INSIDE
from runner.sandbox.fleet import PROGRAMS

# What a program replaces on purpose of the one that it is made from.
REPLACED = {"forkserver": {"main"}, "profiler": {"Driver"}}


def top_level_names(text: str) -> Iterator[str]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name))


@pytest.mark.parametrize("starts_a_guest", ["driver.py", "shell.py", "piped.py"])
def test_wherever_a_guest_runs_there_is_the_fence_around_it(starts_a_guest: str) -> None:
    programs = [files for files in PROGRAMS.values() if starts_a_guest in files]
    assert programs and all("fence.py" in files[: files.index(starts_a_guest)] for files in programs)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_text_of_a_program_takes_a_name_of_another(program: str) -> None:
    owners: dict[str, set[str]] = {}
    for file in PROGRAMS[program]:
        for name in top_level_names((INSIDE / file).read_text(encoding="utf-8")):
            owners.setdefault(name, set()).add(file)
    assert {name for name, files in owners.items() if len(files) > 1} == REPLACED.get(program, set())
