"""What the parser inside says of a text: read as Python reads it, whole, and with every name followed to where it leads."""

import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.sandbox import wire

pytestmark = pytest.mark.slow  # parses texts of some MiB

BYTES_MAX = 1 << 20
Facts = Callable[..., dict[str, Any]]


def load_checker() -> Facts:
    """The parser, as a sandbox runs it."""
    inside = types.ModuleType("inside")
    text = (Path(wire.__file__).parent / "inside" / "checker.py").read_text(encoding="utf-8")
    exec(compile(text, "checker.py", "exec"), inside.__dict__)
    found: Facts = inside.facts_of
    return found


facts_of = load_checker()


def facts(text: str | bytes) -> dict[str, Any]:
    return facts_of(text if isinstance(text, bytes) else text.encode(), BYTES_MAX)


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbfx = 1\n",
        b"\xef\xbb\xbf# coding: utf-8\nx = 1\n",
        b"# coding: latin-1\nx = '\xe9'  # \xe4\n",
        b"#!/usr/bin/env python3\n# -*- coding: cp1252 -*-\nx = '\x80'\n",
        b"\x0cx = 1\n\x0c\ndef f():\n    return 2\n",
        b"x = 1\r\ny = 2\r\n",
        "x = 1  # \u05e9\u200f (1)\u200e \u05d0\n".encode(),
    ],
)
def test_what_python_reads_is_a_text(source: bytes) -> None:
    found = facts(source)
    assert "x" in found["bound"] and found["bidi"] == [] and found["cut"] == []


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        (b"x = '\xe9'", "text", "utf-8"),
        (b"x = 1\0", "text", "NUL"),
        (b"# coding: nothing-known\nx = 1", "text", "nothing-known"),
        (b"\xef\xbb\xbf# coding: latin-1\nx = 1", "text", "encoding"),
        (b"def f(:", "syntax", "SyntaxError"),
        (b"x = " + b"(" * 5000 + b")" * 5000, "syntax", "nested"),
    ],
)
def test_what_python_does_not_read_is_none(source: bytes, kind: str, words: str) -> None:
    assert words in facts(source)[kind]


def test_a_text_that_runs_is_never_called_broken_because_it_cannot_be_taken_apart() -> None:
    deep = "x = " + "-" * 900 + "1"
    compile(deep, "deep", "exec")
    assert not {"text", "syntax"} & set(facts(deep))


# Names, and where they lead


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import os\nos.system('x')", {"os", "os.system"}),
        ("import os as o\no.system('x')", {"os.system"}),
        ("from os import system as s\ns('x')", {"os.system"}),
        ("import os\nif 1:\n    a = os\n    b = a.path\n    b.join('x')", {"os.path.join"}),
        ("from os import *\nsystem('x')", {"os.system"}),
        ("from numpy.f2py import os as q\nq.system('x')", {"os.system", "numpy.f2py.os.system"}),
        ("import numpy as np\nnp.f2py.os.system('x')", {"os.system"}),
        ("__import__('os').system('x')", {"os.system", "__import__"}),
        ("import importlib as i\ni.import_module('os').system('x')", {"os.system"}),
        ("import os\ngetattr(os, 'system')('x')", {"os.system"}),
        ("import os\nvars(os)['system']('x')\nos.__dict__['fork']()", {"os.system", "os.fork"}),
        ("import sys\nsys.modules['os'].system('x')", {"os.system"}),
        ("__builtins__['exec']('x')\nimport builtins as b\nb.eval('x')", {"exec", "eval"}),
        ("from tempfile import _os as o\nrun = o.system\nrun('x')", {"os.system"}),
        ("import wave\nwave.builtins.eval('x')", {"eval"}),
        ("run = exec\nrun('x')", {"exec"}),
        ("import os\na, (b, c) = 1, (os, 2)\nb.system('x')", {"os.system"}),
        ("import os\n[a, b] = [os.path, 2]\na.join('x')", {"os.path.join"}),
        ("import os\n(o := os).system('x')", {"os.system"}),
        ("import os\n(os if 1 else None).system('x')\n(os and os).fork()", {"os.system", "os.fork"}),
        ("__import__(name='os').system('x')", {"os.system"}),
        ("import importlib as i\ni.import_module(name='os').system('x')", {"os.system"}),
        ("import importlib as i\ni.import_module('.path', 'os').join('x')", {"os.path.join"}),
        ("import importlib as i\ni.import_module('.path', package='os').join('x')", {"os.path.join"}),
        ("import importlib as i\ni.import_module('..c', 'a.b').run('x')", {"a.c.run"}),
        ("class A:\n    if 0: exec = 1\n    exec('x')", {"exec"}),
    ],
)
def test_a_name_is_followed_to_where_it_leads(text: str, names: set[str]) -> None:
    import numpy.f2py  # noqa: F401  # a module that a task loaded before

    assert names <= set(facts(text)["names"])


@pytest.mark.parametrize(
    "text",
    [
        "def f(exec):\n    return exec(1)",
        "def f(module):\n    return module.system('x')",
        "note = 'os.system'",
        "import numpy\nnumpy.system('x')",
        "import os\na, b = 1, os\na.system('x')",
        "import os\na, *b = os, 1, 2\nb.system('x')",
    ],
)
def test_what_only_looks_like_a_name_is_none(text: str) -> None:
    assert not {"exec", "os.system", "system"} & set(facts(text)["names"])


@pytest.mark.parametrize(
    ("text", "imports"),
    [
        ("import a.b as c, d", {"a.b", "d"}),
        ("from sklearn import preprocessing", {"sklearn.preprocessing"}),
        ("from a.b import *", {"a.b.*"}),
        ("from . import x\nfrom ..y import z", {".x", "..y.z"}),
        ("def f():\n    class A:\n        import deep", {"deep"}),
        ("__import__('a')\nimport importlib\nimportlib.import_module('b.c')", {"a", "b.c"}),
        ("from numpy.f2py import os", {"numpy.f2py.os", "os"}),
        ("import importlib\nimportlib.import_module('.b', package='a')\n__import__(name='c')", {"a.b", "c"}),
        ("import importlib\nimportlib.import_module('...b', 'a.c')", {"...b"}),
        ("import importlib\nimportlib.import_module('.b', package=unknown)", {".b"}),
    ],
)
def test_every_way_to_import_shows(text: str, imports: set[str]) -> None:
    assert imports <= set(facts(text)["imports"])


def test_an_import_behind_many_others_shows() -> None:
    found = facts("".join(f"import allowed{n}\n" for n in range(3000)) + "import os\n")
    assert len(found["imports"]) == 3001 and "os" in found["imports"] and found["cut"] == []


def test_a_star_import_of_what_is_not_loaded_is_said_to_be_unseen() -> None:
    assert facts("from foreign import *")["unseen"] == ["the names that `from foreign import *` binds (line 1)"]
    assert facts("from heapq import *\nheappush([], 1)")["unseen"] == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("if 1:\n    def run(): pass", "run"),
        ("run, other = 1, 2", "run"),
        ("[run, *rest] = 1, 2", "run"),
        ("for run in (1, 2): pass", "run"),
        ("import a.b as run", "run"),
        ("try:\n    from a import run\nexcept ImportError:\n    run = None", "run"),
        ("def f():\n    global run\n    run = 1", "run"),
        ("run: int = 1", "run"),
        ("(run := 1)", "run"),
    ],
)
def test_whatever_the_module_binds_is_bound(text: str, name: str) -> None:
    assert name in facts(text)["bound"]


def test_what_a_function_binds_for_itself_is_not_bound_by_the_module() -> None:
    assert facts("def f():\n    run = 1\nclass A:\n    run = 2")["bound"] == ["A", "f"]


# Bytes


@pytest.mark.parametrize("bytes_max", [4096, 20_000, 100_000])
def test_a_report_keeps_to_its_bytes_and_says_what_was_cut(bytes_max: int) -> None:
    many = "".join(f"import module_{n}\nmodule_{n}.call_{n}('text {n}')\n" for n in range(2000))
    found = facts_of(many.encode(), bytes_max)
    assert len(json.dumps(found)) <= bytes_max
    counts = {"imports": 2000, "names": 4000, "bound": 2000, "called": 2000, "strings": 2000}
    assert {name for name, count in counts.items() if len(found[name]) < count} == set(found["cut"]) & set(counts)
    assert "strings" in found["cut"]


@pytest.mark.parametrize(
    "text",
    [
        "import " + "a" * 60_000 + " as x\n" + "\n".join(f"x.a{n}" for n in range(20_000)),
        "\n".join(f"a{n} = a{n + 1}" for n in range(10_000)),
        "x" + ".a" * 900,
        "\n".join(f"a = b{n}; b{n} = a.c; import q as b{n}" for n in range(3_000)),
        "x = '" + "\\x01" * 60_000 + "'\n" + "\n".join(f"y = '\U0001f600{n}'" for n in range(9_000)),
    ],
)
def test_a_text_made_to_outgrow_the_report_does_not(text: str) -> None:
    assert len(json.dumps(facts(text))) <= BYTES_MAX


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_facts(source: bytes) -> None:
    found = facts(source)
    assert {"text"} == set(found) or {"syntax"} == set(found) or "imports" in found
