"""The documents name everything that there is: commands, flags, outcomes, checks, keys of task.toml, settings."""

import ast
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from runner.cli.app import app
from runner.faults import Fault
from runner.records.outcome import OutcomeKind
from runner.tasks.schema import Section, TaskFile

OUTCOMES = [kind.value for kind in OutcomeKind]


@pytest.fixture(scope="module")
def readme(project: Path) -> str:
    return (project / "README.md").read_text()


@pytest.fixture(scope="module")
def architecture(project: Path) -> str:
    return (project / "ARCHITECTURE.md").read_text()


def commands() -> dict[str, Any]:
    """Every command by name; the main job's is empty."""
    root: Any = typer.main.get_command(app)
    return {"": root, **root.commands}


def flags() -> list[str]:
    hidden = {"--help", "--install-completion", "--show-completion"}
    found = {opt for command in commands().values() for param in command.params for opt in param.opts}
    return sorted(opt for opt in found - hidden if opt.startswith("--"))


@pytest.mark.parametrize("name", [name for name in commands() if name])
def test_every_command_stands_in_the_readme(readme: str, name: str) -> None:
    assert f"`python -m runner {name}" in readme


@pytest.mark.parametrize("flag", flags())
def test_every_flag_stands_in_the_readme_and_has_a_help_text(readme: str, flag: str) -> None:
    assert f"`{flag}" in readme
    params = [param for command in commands().values() for param in command.params if flag in param.opts]
    assert all(getattr(param, "help", None) for param in params)


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_outcome_stands_in_the_readme(readme: str, name: str) -> None:
    assert f"`{name}`" in readme


def test_every_check_stands_in_the_readme(readme: str, project: Path) -> None:
    texts = [path.read_text() for path in (project / "runner" / "grading" / "checks").glob("*.py")]
    names = set(re.findall(r'(?:Finding|_advice)\(\s*"([a-z-]+)"', "".join(texts)))
    assert len(names) >= 9
    assert [name for name in names if f"`{name}`" not in readme] == []


def keys(section: type[Section]) -> set[str]:
    found: set[str] = set()
    for name, about in section.model_fields.items():
        found.add(name)
        kinds = [about.annotation, *get_args(about.annotation)]
        kinds += [inner for kind in kinds for inner in get_args(kind)]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, Section):
                found |= keys(kind)
    return found


@pytest.mark.parametrize("key", sorted(keys(TaskFile)))
def test_every_key_of_a_task_stands_in_the_architecture(architecture: str, key: str) -> None:
    assert re.search(rf"`\[?{key}[\].`]|[\[`]{key}\b", architecture)


def test_every_kind_of_fault_says_what_happened_and_what_to_do() -> None:
    def below(kind: type[Fault]) -> list[type[Fault]]:
        return [kind, *(found for child in kind.__subclasses__() for found in below(child))]

    assert {kind.exit_status for kind in below(Fault)} <= {2, 3, 130}
    with pytest.raises(TypeError):
        Fault("only one")  # type: ignore[call-arg,misc]


def test_every_file_that_a_document_links_to_exists(project: Path) -> None:
    for document in project.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (project / target).exists(), (document.name, target)


def map_of(architecture: str) -> list[list[str]]:
    """The rooms of the code map, line by line."""
    section = architecture.split("## Code map")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [re.findall(r"`([a-z_]+)(?:/|\.py)`", line.split("|")[1]) for line in lines]


def rooms_imported(path: Path) -> set[str]:
    """Rooms of the package that a module imports."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom | ast.Import)]
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("runner.")}


def test_the_code_map_names_every_room_on_at_most_25_lines(architecture: str, project: Path) -> None:
    rooms = map_of(architecture)
    found = {path.name.removesuffix(".py") for path in (project / "runner").iterdir() if not path.name.startswith("_")}
    assert {room for line in rooms for room in line} == found - {"py.typed"}
    assert len(rooms) <= 25


def test_no_room_imports_one_that_stands_above_it_in_the_code_map(architecture: str, project: Path) -> None:
    height = {room: number for number, line in enumerate(map_of(architecture)) for room in line}
    modules = [p for p in (project / "runner").rglob("*.py") if not {"inside", "cheats", "honest"} & set(p.parts)]
    arrows = {
        (path.relative_to(project / "runner").parts[0].removesuffix(".py"), room)
        for path in modules
        for room in rooms_imported(path)
    }
    assert len(arrows) > 40
    assert [(a, b) for a, b in sorted(arrows) if a in height and a != b and height[b] < height[a]] == []


def test_every_figure_of_the_benchmarks_names_the_command_that_prints_it(project: Path) -> None:
    text = (project / "BENCHMARKS.md").read_text()
    sections = text.split("\n## ")[1:]
    assert sections
    for section in sections:
        found = re.search(r"`(?:python )?(bench/[a-z_]+\.py|make run|make redteam)", section)
        assert found, section.splitlines()[0]
        assert found[1].startswith("make ") or (project / found[1]).exists()


def test_the_project_speaks_of_itself_alone(project: Path) -> None:
    words = re.compile(r"\b(pypi\.org|TODO|FIXME|XXX|/work/|session [0-9]|issue [0-9#]|as an AI)\b")
    for path in [p for p in project.rglob("*") if p.suffix in {".py", ".md", ".toml"} and ".venv" not in p.parts]:
        if path.name != "test_docs.py" and "output" not in path.relative_to(project).parts:
            assert not words.search(path.read_text()), (path, words.search(path.read_text()))
