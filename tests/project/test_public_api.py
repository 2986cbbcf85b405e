"""What other programs may import from `runner`: every name resolves, has its type in the stub, and costs nothing before."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import runner


@pytest.mark.parametrize("name", sorted(runner.PUBLIC))
def test_a_public_name_is_what_its_module_defines(name: str) -> None:
    found = getattr(runner, name)
    assert found.__module__ == runner.PUBLIC[name] and found.__name__ == name


def test_the_stub_declares_the_same_names_from_the_same_modules(project: Path) -> None:
    stub = (project / "runner" / "__init__.pyi").read_text()
    assert {name: module for module, name in re.findall(r"from (\S+) import (\w+) as", stub)} == runner.PUBLIC


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Trun'"):
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
