"""The canonical text: one form for what can be written in several, and no more of it than there was."""

import ast
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.populations import inside_parser


@pytest.fixture(scope="module")
def canonical() -> Callable[[str], str]:
    """The text that runs inside, run here, on what this test wrote itself."""
    inside: dict[str, Any] = {}
    exec((Path(__file__).parents[2] / "runner" / "sandbox" / "inside" / "syntax.py").read_text(), inside)
    return lambda text: inside["canonical_text"](ast.parse(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import numpy as np\ny = np.diff(x)", "numpy.diff(x)"),
        ("from numpy import diff as d\ny = d(x)", "numpy.diff(x)"),
        ("import numpy as np\ny = np.mean(x, axis=0)", "x.mean(axis=0)"),
        ("import numpy as np\ny = np.dot(a, b.T)", "a @ b.T"),
        ("y = a.dot(b)", "a @ b"),
        ("import torch\ny = torch.sub(a, b, out=c)", "a - b"),
        ("import numpy as np\ny = np.square(a - b)", "(a - b) ** 2"),
        ("import numpy as np\ny = x[:, np.newaxis]", "x[:, None]"),
        ("y = -a + b", "b - a"),
        ("import numpy as np\nnorm = np.linalg.norm\ny = norm(x)", "y = numpy.linalg.norm(x)"),
        ("def f(t):\n    a, b = t[2:], t[:-2]\n    return a - b", "return t[2:] - t[:-2]"),
        ("def h(a, b):\n    return a - b\n\ny = h(p, q)", "y = p - q"),
        (
            "class C:\n    def h(self, a):\n        return a.T\n    def g(self, x):\n        return self.h(x)",
            "return x.T",
        ),
        ("h = lambda a, b: a - b\ny = h(p, q)", "y = p - q"),
        ("def h(a, b):\n    c = b.T\n    d = a @ c\n    return d\n\ny = h(p, q)", "y = p @ q.T"),
        ("def h(a):\n    a = a.T\n    return a\n\ny = h(p)", "y = p.T"),
        ("def h(a, b=1, *, c=2):\n    return a[b:c]\n\ny = h(p)", "y = p[1:2]"),
        ("def h(a, b=1, *, c=2):\n    return a[b:c]\n\ny = h(p, c=3)", "y = p[1:3]"),
        ("def h(a, b):\n    return a - b\n\ny = h(b=p, a=q)", "y = q - p"),
        (
            "class C:\n    def h(self, a, b=0):\n        return a.sum(b)\n    def g(self, x):\n        return self.h(x)",
            "return x.sum(0)",
        ),
        (
            "class C:\n    @staticmethod\n    def h(a):\n        return a.T\n    def g(self, x):\n        return self.h(x)",
            "return x.T",
        ),
        ("def f(x: int) -> int:\n    'Said.'\n    y: int = x\n    return y", "def f(x):\n    y = x\n    return x"),
    ],
)
def test_what_can_be_written_in_several_ways_is_written_in_one(
    canonical: Callable[[str], str], text: str, said: str
) -> None:
    assert said in canonical(text)


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    y = g(x)\n    y += 1\n    return y",
        "def f(x):\n    y = zeros(3)\n    y[0] = x\n    return y",
        "def f(x):\n    total = a + b\n    return total",
        "def f(x):\n    for y in x:\n        y = g(y)\n    return y",
        "def f(x):\n    x = g(x)\n    return x",
        "s.add(y)",
        "def h(a, b):\n    return a - b\ny = h(p)",
        "def h(a, b):\n    return a - b\ny = h(p, q, r)",
        "def h(a, b):\n    return a - b\ny = h(p, c=q)",
        "def h(a, b):\n    return a - b\ny = h(p, **q)",
        "def h(a, *b):\n    return a - b\ny = h(p, q)",
        "def h(a):\n    print(a)\n    return a.T\ny = h(p)",
        "def h(a):\n    return h(a.T)\ny = h(p)",
        "h = lambda a: a.T\nh = lambda a: a\ny = h(p)",
    ],
)
def test_a_name_that_is_more_than_another_name_stays(canonical: Callable[[str], str], text: str) -> None:
    assert canonical(text).replace("\n\n", "\n") == text


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["a0 = x", *(f"a{n} = f(a{n - 1}, a{n - 1}, a{n - 1}, a{n - 1}, a{n - 1})" for n in range(1, 500))]),
        "def h(a):\n    return f(a, a, a, a, a, a)\n\n" + "\n".join(f"y = {'h(' * 12}1{')' * 12}" for _ in range(40)),
        "def h(a):\n    return g(a)\n\ndef g(a):\n    return h(a)\n\ny = h(1)",
    ],
)
def test_no_text_grows_beyond_measure(canonical: Callable[[str], str], text: str) -> None:
    assert len(canonical(text)) < 60 * len(text)


@pytest.mark.slow
def test_helpers_that_would_grow_without_bounds_are_left_alone(canonical: Callable[[str], str]) -> None:
    """Each uses what was bound before it eight times."""
    lines = "".join(f"    a{n} = g({', '.join([f'a{n - 1}'] * 8)})\n" for n in range(1, 4))
    source = "".join(f"def h{n}(a0):\n{lines}    return a3\n\ny{n} = h{n}(p)\n" for n in range(200))
    assert "y199 = h199(p)" in canonical(source)


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        f"s = {'a' * 60_000!r}\n" + "f(s)\n" * 5000,
        f"def g():\n    return {'a' * 60_000!r}\n" + "f(g())\n" * 5000,
        "def g(x):\n    return x, x\n" + f"f(g({'a' * 6000!r}))\n" * 20,
    ],
    ids=["name", "helper", "argument"],
)
def test_a_long_text_is_not_written_out_at_each_use(canonical: Callable[[str], str], source: str) -> None:
    assert len(canonical(source)) < 2 * len(source)


# What ast-grep refuses


class Node:
    """What ast-grep finds."""

    def text(self) -> str:
        return "f(1)"


class Root:
    """ast-grep's: it has its own ways to refuse a rule, `Exception` itself and a panic among them."""

    def find(self, **rule: str) -> Node | None:
        said = {
            "panic": Panic("at the wrong place"),
            "unknown": Exception("unknown field `patern`, expected one of `pattern`, `kind`"),
            "wrong": RuntimeError(
                "cannot get matcher\n\nCaused by:\n    0: `rule` is not configured correctly.\n"
                "    1: Rule contains invalid kind matcher.\n    2: Kind `x` is invalid.\n\nStack backtrace:\n   0: <a>"
            ),
            "silent": ValueError(),
        }
        if rule["pattern"] in said:
            raise said[rule["pattern"]]
        return Node() if rule["pattern"] == "f($A)" else None


class Panic(BaseException):
    """As one of Rust's arrives in Python."""


def test_a_rule_that_ast_grep_refuses_costs_itself_alone_and_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("ast_grep_py")
    module.SgRoot = lambda text, language: types.SimpleNamespace(root=Root)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ast_grep_py", module)
    patterns = ("panic", "unknown", "wrong", "silent", "f($A)", "g($A)")
    facts = inside_parser()("f(1)\n", {f"p/{pattern}": {"pattern": pattern} for pattern in patterns})
    assert facts.error == "" and facts.matches == {"p/f($A)": "f(1)"}
    assert facts.refused == {
        "p/panic": "at the wrong place",
        "p/unknown": "unknown field `patern`, expected one of `pattern`, `kind`",
        "p/wrong": "Rule contains invalid kind matcher. Kind `x` is invalid.",
        "p/silent": "ValueError",
    }


@pytest.mark.parametrize("digits", [5_000, 100_000])
def test_an_integer_that_python_does_not_write_in_decimals_costs_nothing(digits: int) -> None:
    facts = inside_parser()(f"import numpy\nx = numpy.diff(0x{'f' * digits})\n", {})
    assert facts.error == "" and facts.shapes


def test_an_integer_that_python_does_not_write_in_decimals_has_a_canonical_text(
    canonical: Callable[[str], str],
) -> None:
    assert canonical(f"import numpy\nx = numpy.diff(0x{'f' * 5000}, 12)\n") == "import numpy\nx = numpy.diff(_, 12)"
