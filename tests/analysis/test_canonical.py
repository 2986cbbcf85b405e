"""The canonical text: one form for what can be written in several, and no more of it than there was."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


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
    ],
)
def test_a_name_that_is_more_than_another_name_stays(canonical: Callable[[str], str], text: str) -> None:
    assert canonical(text) == text


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
