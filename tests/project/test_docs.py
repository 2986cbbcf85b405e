"""The documents are true: generated pages are what the code says, links lead somewhere, commands are understood."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from runner.cli.app import app
from runner.cli.default_command import with_command
from runner.faults import Fault
from runner.grading.checks.catalogue import CATALOGUE
from runner.records.outcome import Outcome, OutcomeKind
from runner.records.run import Run
from runner.store.results import run_json
from tests.documents import commands_in, documents
from tests.project.reference_pages import RUN_KEYS


@pytest.fixture(scope="module")
def architecture(project: Path) -> str:
    return (project / "ARCHITECTURE.md").read_text()


# Generated pages


@pytest.mark.slow
def test_the_generated_pages_are_what_the_code_says(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.project.reference_pages", "--check"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_row_of_a_generated_page_has_a_meaning(project: Path) -> None:
    rows = [
        line
        for page in (project / "docs" / "reference").glob("*.md")
        for line in page.read_text().splitlines()
        if line.startswith("| `")
    ]
    assert len(rows) > 200 and [row for row in rows if row.split(" | ")[-1].strip(" |") == ""] == []


def test_every_key_of_a_run_stands_in_the_reference() -> None:
    run = Run(number=1, outcome=Outcome(OutcomeKind.NO_SUBMISSION, ""))
    assert run_json(run).keys() == RUN_KEYS.keys()


@pytest.mark.slow
def test_every_check_that_the_code_makes_stands_in_the_catalogue_and_the_other_way_round(project: Path) -> None:
    """The names are the first arguments of what makes a finding, wherever it stands in grading/."""
    makers = {"Finding", "_advice", "_finding"}
    calls = [
        node
        for path in (project / "runner" / "grading").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers
    ]
    firsts = [call.args[0] if call.args else next(k.value for k in call.keywords if k.arg == "check") for call in calls]
    names = {first.value for first in firsts if isinstance(first, ast.Constant)}
    assert names == CATALOGUE.keys()


# The console's copies


def test_the_console_of_ten_runs_is_kept_and_is_short(project: Path) -> None:
    lines = (project / "docs" / "console" / "ten-runs.txt").read_text().splitlines()
    assert 40 < len(lines) <= 140
    assert [line for line in lines if re.match(r"[✓✗?!] Run \d+: ", line)] != []
    assert "  Pass Rate: 40.0%" in lines and lines[-2].startswith("Analysis: ") and lines[-1].startswith("Report: ")


# Commands


def subcommands() -> dict[str, Any]:
    """Every command by name."""
    root: Any = typer.main.get_command(app)
    return dict(root.commands)


def test_every_flag_has_a_help_text() -> None:
    params = [param for command in subcommands().values() for param in command.params]
    assert len(params) > 50 and [param.name for param in params if not getattr(param, "help", None)] == []


def test_there_are_commands_in_the_documents(project: Path) -> None:
    found = [command for document in documents(project) for command in commands_in(document)]
    assert len(found) > 30


def understood(command: str, project: Path) -> str:
    """Why a command line is not understood; empty where it is. Nothing is started."""
    words = command.split()
    if words[:3] == ["python", "-m", "runner"]:
        return _not_parsed(words[3:])
    if words[:2] == ["python", "-m"]:
        module = project / words[2].replace(".", "/")
        found = module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
        return "" if found else "no such module"
    if words[0] == "python":
        return "" if (project / words[1]).is_file() else "no such file"
    return ""


def _not_parsed(arguments: list[str]) -> str:
    try:
        root: Any = typer.main.get_command(app)
        name, command, rest = root.resolve_command(typer.Context(root), with_command(arguments))
        command.make_context(name, [word.strip("'\"") for word in rest])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.slow
def test_every_command_in_a_document_is_understood(project: Path) -> None:
    found = {command for document in documents(project) for command in commands_in(document)}
    targets = {word for command in found if command.startswith("make ") for word in command.split()[1:]}
    done = subprocess.run(["make", "-n", *sorted(targets)], cwd=project, capture_output=True, text=True, check=False)
    assert len(targets) >= 8 and done.returncode == 0, done.stderr
    reasons = {command: understood(command, project) for command in sorted(found)}
    assert {command: reason for command, reason in reasons.items() if reason} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in (Path(__file__).parents[2] / "bench").glob("*.py")))
def test_every_benchmark_starts_from_a_clean_checkout(project: Path, tmp_path: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(project / "bench" / name), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and (name == "project_path.py" or "usage: " in done.stdout), done.stderr


# What the documents say of the code


def test_every_kind_of_fault_says_what_happened_and_what_to_do() -> None:
    def below(kind: type[Fault]) -> list[type[Fault]]:
        return [kind, *(found for child in kind.__subclasses__() for found in below(child))]

    assert {kind.exit_status for kind in below(Fault)} <= {2, 3, 130}
    with pytest.raises(TypeError):
        Fault("only one")  # type: ignore[call-arg,misc]


def test_every_link_in_a_document_leads_to_a_file(project: Path) -> None:
    links = [
        (document, target)
        for document in documents(project)
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    ]
    assert len(links) > 20
    assert [(d.name, target) for d, target in links if not (d.parent / target).exists()] == []


def test_every_page_of_docs_is_linked_from_its_index(project: Path) -> None:
    index = (project / "docs" / "README.md").read_text()
    pages = [page.relative_to(project / "docs").as_posix() for page in (project / "docs").rglob("*.md")]
    assert [page for page in pages if page != "README.md" and f"]({page})" not in index] == []


def test_the_readme_is_short_and_shows_the_picture(project: Path) -> None:
    text = (project / "README.md").read_text()
    assert len(text.splitlines()) <= 150 and "](docs/images/overview.svg)" in text


def map_of(architecture: str) -> dict[str, set[str]]:
    """What each room may import, from the code map, in its order; a room may import itself."""
    section = architecture.split("## Code map")[1].split("\n## ")[0]
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `")
    ]
    assert len(lines) <= 25
    rooms = [re.findall(r"`([a-z_]+)(?:/|\.py)`", line[0]) for line in lines]
    allowed: dict[str, set[str]] = {}
    for number, (names, line) in enumerate(zip(rooms, lines, strict=True)):
        below = {room for later in rooms[number + 1 :] for room in later}
        written = below if line[2] == "all below" else set(re.findall(r"[a-z_]+", line[2])) - {"nothing"}
        assert written <= below, (names, written - below)
        allowed |= {name: written | set(names) for name in names}
    return allowed


def rooms_imported(path: Path) -> set[str]:
    """Rooms of the package that a module imports."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom | ast.Import)]
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("runner.")}


def test_the_code_map_names_every_room(architecture: str, project: Path) -> None:
    found = {path.name.removesuffix(".py") for path in (project / "runner").iterdir() if path.name[0] not in "_."}
    assert map_of(architecture).keys() == found - {"py.typed"}


@pytest.mark.slow
def test_every_room_imports_only_what_the_code_map_says(architecture: str, project: Path) -> None:
    allowed = map_of(architecture)
    modules = [
        p for p in (project / "runner").rglob("*.py") if not {"inside", "cheats", "honest", "hostile"} & set(p.parts)
    ]
    arrows = {
        (path.relative_to(project / "runner").parts[0].removesuffix(".py"), room)
        for path in modules
        for room in rooms_imported(path)
    }
    assert len(arrows) > 40
    assert [(a, b) for a, b in sorted(arrows) if a in allowed and b not in allowed[a]] == []


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
    tops = [path for path in project.iterdir() if path.name not in {".venv", "output", "build"}]
    paths = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top])]
    texts = [path for path in paths if path.suffix in {".py", ".md", ".toml"} and path.name != "test_docs.py"]
    assert len(texts) > 500
    for path in texts:
        assert not words.search(path.read_text()), (path, words.search(path.read_text()))


def test_the_words_are_the_fields_own(project: Path) -> None:
    """Words that a native engineer would stop at; what reads old records has one, and the changelog tells of that."""
    nouns = "folder|file|job|address|engine|action"
    words = re.compile(rf"\bmend|outturn|\bthe_[a-z]+\(|taken again|hands? in\b|(?<!there )is no ({nouns})\b", re.I)
    files = [*project.glob("*.md"), *(project / "docs").rglob("*"), *(project / "runner").rglob("*")]
    texts = [path for path in files if path.suffix in {".py", ".pyi", ".md", ".txt", ".toml"}]
    found = {path.name for path in texts if words.search(path.read_text())}
    assert found == {"results.py", "CHANGELOG.md"} and words.search("is no job")
