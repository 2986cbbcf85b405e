"""Habits of engineers that no rule asks about: a file that has one is run, answers, and fails no rule about its text."""

import json
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.grading.checks.source import check_source, parse_report
from runner.grading.sample import parse
from runner.job.setup import load_task
from runner.settings import Settings
from runner.tasks.task import Array
from tests.sandbox.test_checker import facts
from tests.sandbox.test_driver import load_driver

ANSWER = (Array("out", "float64", (2, 3)),)
X = np.arange(6.0).reshape(2, 3)
NP = "import numpy as np\n"
OUT = "return {'out': np.asarray(x) * steps}\n"
PLAIN = f"def simulate(x, steps):\n    {OUT}"
# Ways to define the function that is called.
DEFINED = {
    "as it is": PLAIN,
    "annotations that are not evaluated": f"def simulate(x: Nowhere, steps: int) -> dict[str, Nowhere]:\n    {OUT}",
    "partial": f"import functools\ndef _run(scale, x, steps):\n    {OUT}simulate = functools.partial(_run, 1.0)\n",
    "callable object": f"class Run:\n    def __call__(self, x, steps):\n        {OUT}simulate = Run()\n",
    "bound method": f"class Run:\n    def go(self, x, steps):\n        {OUT}simulate = Run().go\n",
    "class method": f"class Run:\n    @classmethod\n    def go(cls, x, steps):\n        {OUT}simulate = Run.go\n",
    "positional parameters": f"def simulate(x, steps, /):\n    {OUT}",
    "keyword parameters in another order": f"def simulate(*, steps, x):\n    {OUT}",
    "defaults": f"def simulate(x, steps=1, *, scale=2.0):\n    {OUT}",
    "any arguments": f"def simulate(*given):\n    x, steps = given\n    {OUT}",
    "any names": f"def simulate(**given):\n    x, steps = given['x'], given['steps']\n    {OUT}",
    "other names": "def simulate(positions, count):\n    return {'out': positions * count}\n",
    "decorated": f"def timed(f):\n    def inner(*a, **k):\n        return f(*a, **k)\n    return inner\n@timed\n{PLAIN}",
    "decorated by numpy": "@np.errstate(all='ignore')\ndef simulate(a, n):\n    return {'out': a * n}\n",
    "overloads": f"from typing import overload\n@overload\ndef simulate(x: int, steps: int) -> dict: ...\n{PLAIN}",
    "a module's getattr": f"def _run(x, steps):\n    {OUT}def __getattr__(name):\n    return _run\n",
    "a class that is a dict": "class simulate(dict):\n    def __init__(self, x, steps):\n        self['out'] = x * steps\n",
    "a cached helper": f"import functools\n@functools.lru_cache\ndef _half(n):\n    return n / 2\n{PLAIN}",
    "a data class": f"import dataclasses\n@dataclasses.dataclass(slots=True)\nclass State:\n    x: 'np.ndarray'\n{PLAIN}",
}
# What stands around it.
AROUND = {
    "a guarded relative import": f"try:\n    from . import fast\nexcept ImportError:\n    fast = None\n{PLAIN}",
    "imports for a type checker": f"import typing\nif typing.TYPE_CHECKING:\n    import pandas\n{PLAIN}",
    "a main guard": f"{PLAIN}if __name__ == '__main__':\n    raise SystemExit(simulate(None, 1))\n",
    "names of its module": f"print(__file__, __name__, __doc__, __spec__)\n{PLAIN}",
    "its own folder": f"from pathlib import Path\nHERE = Path(__file__).resolve().parent\n{PLAIN}",
    "logging": f"import logging\nlog = logging.getLogger(__name__)\nlog.warning('ready')\n{PLAIN}",
    "numpy's settings": f"np.seterr(all='raise')\nnp.set_printoptions(precision=3)\nnp.random.seed(0)\n{PLAIN}",
    "strict warnings": f"import warnings\nwarnings.simplefilter('error')\n{PLAIN}",
    "a raised recursion limit": f"import sys\nsys.setrecursionlimit(10**4)\n{PLAIN}",
    "asyncio": f"import asyncio\nasync def _run(x, steps):\n    {OUT}simulate = lambda *given: asyncio.run(_run(*given))\n",
    "pickled classes of its own": f"import copy, pickle\nclass A:\n    pass\npickle.loads(pickle.dumps(A()))\n{PLAIN}",
    "a table of numbers": f"TABLE = [{'1.0, ' * 20000}]\n{PLAIN}",
    "hints that are looked up": f"import typing\nclass A:\n    x: 'list[A]'\ntyping.get_type_hints(A)\n{PLAIN}",
    "words in other scripts": f'"""\u0645\u0631\u062d\u0628\u0627 \u200f \u2192 \U0001f680"""\n{PLAIN}',
    "Greek names": "def simulate(x, steps):\n    \u0394 = x * steps\n    return {'out': \u0394}\n",
    "no line's end": "def simulate(x, steps): return {'out': x * steps}",
    "form feeds and tabs": "\x0cdef simulate(x, steps):\n\treturn {'out': x * steps}\n\x0c",
}
# Forms of one answer.
ANSWERED = {
    "lists": "(x * steps).tolist()",
    "a list of arrays": "[row * steps for row in x]",
    "another order": "np.asfortranarray(x * steps)",
    "a view backwards": "(x * steps)[::-1, ::-1]",
    "a broadcast": "np.broadcast_to(np.float64(3), (2, 3))",
    "a matrix": "np.asmatrix(x * steps)",
    "a masked array": "np.ma.masked_array(x * steps)",
    "its own input, changed and locked": "[x.__imul__(steps), x.setflags(write=False)][0]",
    "memory of ctypes": "np.ctypeslib.as_array((__import__('ctypes').c_double * 6)(*range(6))).reshape(2, 3)",
    "a buffer": "memoryview(x * steps)",
    "rows of the standard library": "[__import__('array').array('d', row) for row in x * steps]",
    "scalars of numpy": "[[np.float64(1)] * 3, [np.float64(2)] * 3]",
}
HABITS = {
    **DEFINED,
    **AROUND,
    **{form: f"def simulate(x, steps):\n    return {{'out': {value}}}\n" for form, value in ANSWERED.items()},
}
ENCODED = {
    "line ends of Windows": (NP + PLAIN).replace("\n", "\r\n").encode(),
    "line ends of old": (NP + PLAIN).replace("\n", "\r").encode(),
    "mixed line ends": (NP + PLAIN).replace(":\n", ":\r\n").encode(),
    "a mark in front": b"\xef\xbb\xbf" + (NP + PLAIN).encode(),
    "latin-1": f"# -*- coding: latin-1 -*-\n# caf\xe9\n{NP}{PLAIN}".encode("latin-1"),
}
FILES = {
    **ENCODED,
    **{name: f"from __future__ import annotations\n{NP}{text}".encode() for name, text in HABITS.items()},
}


@pytest.fixture(scope="module")
def driver() -> types.ModuleType:
    return load_driver()


@pytest.mark.parametrize("habit", FILES)
def test_a_file_with_an_honest_habit_answers(
    driver: types.ModuleType, tmp_path: Path, habit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, layout = FILES[habit], [["out", "float64", [2, 3]]]
    head: dict[str, Any] = {"entry": "simulate", "answer": layout}
    monkeypatch.setitem(sys.modules, "submission", types.ModuleType("submission"))
    limit = sys.getrecursionlimit()
    try:
        with warnings.catch_warnings(), np.errstate(), np.printoptions():
            warnings.simplefilter("ignore")
            module = driver.load(source, str(tmp_path / "fast.py"))
            body = driver.to_bytes(driver.call_entry(module, head, {"x": X.copy(), "steps": 3}), layout)
    finally:
        sys.setrecursionlimit(limit)
    assert isinstance(parse(body, ANSWER), dict)


@pytest.mark.slow
@pytest.mark.parametrize("habit", FILES)
def test_no_rule_about_texts_fails_an_honest_habit(habit: str) -> None:
    task = load_task(Settings(), "slow_nbody")
    report = parse_report(json.dumps(facts(FILES[habit])).encode())
    assert [finding.text for finding in check_source(task, report) if finding.mark == "fail"] == []
