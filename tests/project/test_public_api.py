"""What other programs may import from `runner`: every name resolves, has its type in the stub, and costs nothing before."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import runner
from tests.documents import documents


@pytest.mark.parametrize("name", sorted(runner.__all__))
def test_a_public_name_can_be_imported_and_is_ours(name: str) -> None:
    found = getattr(runner, name)
    assert found.__module__.startswith("runner.") and found.__name__ == name


def test_what_the_documents_import_from_the_package_is_public(project: Path) -> None:
    pages = [page.read_text() for page in documents(project)]
    names = {
        name.strip(" ,\n")
        for text in pages
        for group in re.findall(r"^from runner import (\(.*?\)|.*?$)", text, re.DOTALL | re.MULTILINE)
        for name in group.strip("()").split(",")
    } - {""}
    assert len(names) > 10 and names <= set(runner.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Trun"):
        runner.Trun  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_loads_no_other_package(project: Path) -> None:
    code = "import sys, runner; print([m for m in ('numpy', 'docker', 'pydantic', 'typer') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_ships_its_types_and_its_data(project: Path) -> None:
    assert (project / "runner" / "py.typed").is_file()
    declared = (project / "pyproject.toml").read_text()
    for pattern in ("py.typed", "__init__.pyi", "prompts/*.md"):
        assert f'"{pattern}"' in declared
