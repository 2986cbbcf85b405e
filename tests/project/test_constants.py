"""A number that decides something says where it comes from, on its line or right above."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "runner"
MODULES = [path for path in sorted(ROOT.rglob("*.py")) if not {"cheats", "honest", "hostile"} & set(path.parts)]


def constants(text: str) -> Iterator[tuple[str, int]]:
    """(name, line) of what is assigned a number at the top of a module, in capitals."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            capitals = [name.id for name in names if isinstance(name, ast.Name) and name.id.lstrip("_").isupper()]
            if capitals and _holds_a_number(node.value):
                yield capitals[0], node.lineno


def _holds_a_number(value: ast.expr) -> bool:
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    return any(_is_number(part) for part in parts)


def _is_number(value: ast.expr) -> bool:
    if isinstance(value, ast.BinOp):
        return _is_number(value.left) or _is_number(value.right)
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)


def is_explained(lines: list[str], number: int) -> bool:
    """Whether a comment stands on the line, or on the one above it or above the constants that go before it."""
    at = number - 1
    if "#" in lines[at]:
        return True
    while (
        at > 0
        and lines[at - 1].strip()
        and not lines[at - 1].startswith((" ", ")", "def ", "class ", "import ", "from "))
    ):
        at -= 1
        if lines[at].startswith("#"):
            return True
    return False


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_number_of_a_module_says_where_it_comes_from(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines()
    assert [name for name, line in constants(text) if not is_explained(lines, line)] == []


def test_a_number_without_a_reason_is_found() -> None:
    text = '"""Doc."""\n\nLIMIT = 3 * 1024\n\n# Chosen.\nA = 1\nB = 2\n\nC, D = 1, 2  # why\nNAME = "x"\n'
    found = {name: is_explained(text.splitlines(), line) for name, line in constants(text)}
    assert found == {"LIMIT": False, "A": True, "B": True, "C": True}
