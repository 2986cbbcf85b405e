"""Variants of a file: what is put in place of what, what is refused, and that no word of a parser leaves the file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.job.parse import build_parser_spec
from runner.job.variants import Ask, Edit, Places, asker, locate, read_edits, splice, swap
from runner.sandbox import wire
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from runner.tasks.strategies import SEEN, load_strategies, rules_of
from runner.tasks.task import find_task

BYTES_MAX = 1 << 20
BASELINE = b'''"""Slow."""
import math

SIZE = 4


def helper(x):
    return math.sqrt(x) * SIZE


class Work:
    """All of it."""

    def first(self, values):
        """One by one."""
        return [helper(value) for value in values]

    def second(self, values):
        return sorted(values)


def run(values):
    return Work().second(Work().first(values))
'''
FAST = b"""import numpy as np
from math import inf
SIZE, WIDTH = 4, 2

@np.vectorize
def helper(x):
    return x

def _scaled(x):
    return np.sqrt(x) * SIZE

class Work:
  def first(self, values):
    # many at once
    return self._all(_scaled(values))

  def _all(self, values):
    return values.copy()

  def second(self, values): return np.sort(values)

def run(values):
    return Work().second(Work().first(values))
"""


def inside() -> dict[str, Any]:
    """The text that runs inside, run here: it parses what this test wrote itself."""
    made: dict[str, Any] = {}
    for name in ("syntax.py", "swap.py"):
        exec((Path(wire.__file__).parent / "inside" / name).read_text(encoding="utf-8"), made)
    return made


INSIDE = inside()


@pytest.fixture(scope="module")
def parser_spec(engine: Engine) -> SandboxSpec:
    return build_parser_spec(engine, Settings(), print)


def ask(head: Mapping[str, Any], body: bytes) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(json.dumps(INSIDE["swapped"](body, head["lengths"], head["names"])))
    return found


def swapped(names: Sequence[str], target: bytes = FAST, donor: bytes = BASELINE) -> str:
    made = swap(ask, target, donor, BASELINE, names, BYTES_MAX)
    return made if isinstance(made, str) else made.decode()


def test_a_method_is_put_back_with_what_it_needs_and_nothing_else_changes() -> None:
    made = swapped(["Work.second"])
    # It stands in a class that indents by two.
    body = "def second(self, values):\n      return sorted(values)"
    assert made == FAST.decode().replace("def second(self, values): return np.sort(values)", body)


def test_what_the_file_lacks_comes_along_in_front_of_what_changes() -> None:
    made = swapped(["Work.first"], target=FAST.replace(b"helper", b"other"))
    brought = "import math\ndef helper(x):\n    return math.sqrt(x) * SIZE\n\nclass Work:"
    assert made.replace("\n\n\n", "\n").count(brought) == 1
    assert "return [helper(value) for value in values]" in made and "def _all(self, values):" in made


def test_the_other_way_round_helpers_and_methods_come_along() -> None:
    made = swapped(["Work.first"], target=BASELINE, donor=FAST)
    assert "def _scaled(x):" in made and "def _all(self, values):" in made and "import numpy as np" in made
    assert "sorted(values)" in made and "def helper(x):\n    return math.sqrt" in made


@pytest.mark.parametrize(
    ("names", "target", "said"),
    [
        (["Work.third"], FAST, "the file has no Work.third"),
        (["Work.first"], b"def first(values):\n    return values\n", "the file has no Work.first"),
        (["Work.first"], FAST.replace(b"first(self, values)", b"first(self, values, more)"), "takes other parameters"),
        (["Work.first"], FAST.replace(b"SIZE, WIDTH = 4", b"SIZE, WIDTH = 5").replace(b"helper", b"x"), "SIZE is some"),
        (["Work.first"], FAST.replace(b"def helper(x):", b"def x(helper):") + b"math = 3\n", "math is something else"),
        (["Work.first"], b"class Work\n", "SyntaxError"),
    ],
)  # fmt: skip
def test_what_would_be_a_guess_is_refused(names: list[str], target: bytes, said: str) -> None:
    assert said in swapped(names, target=target)


@pytest.mark.parametrize(
    "same",
    [
        b"import os.path as path",
        b"from os import path",
        b"import math\nimport os.path as path",
        b"from os import path as path",
    ],
)
def test_one_import_may_be_written_in_several_ways(same: bytes) -> None:
    donor = BASELINE.replace(b"import math", b"import math\nimport os.path as path").replace(
        b"sorted(values)", b"path.join(values)"
    )
    made = swapped(["Work.second"], target=same + b"\n" + BASELINE.replace(b"import math", b""), donor=donor)
    assert "path.join(values)" in made
    assert made.startswith(same.decode()) and "import os.path" not in made[len(same) :]


def test_another_import_of_that_name_is_refused() -> None:
    donor = BASELINE.replace(b"import math", b"import os.path as math")
    assert "math is something else in the file" in swapped(
        ["Work.first"], target=BASELINE.replace(b"helper", b"x"), donor=donor
    )


def test_state_that_the_file_does_not_have_is_refused() -> None:
    donor = FAST.replace(b"self._all(", b"self.scale * (").replace(
        b"  def first", b"  def __init__(self):\n    self.scale = 2\n  def first"
    )
    assert "it uses self.scale, which the file does not set" in swapped(["Work.first"], target=BASELINE, donor=donor)


def test_a_helper_of_the_same_name_that_does_something_else_is_refused() -> None:
    target = BASELINE + b"\n\ndef _scaled(x):\n    return 0\n"
    assert "_scaled is something else in the file" in swapped(["Work.first"], target=target, donor=FAST)


@pytest.mark.slow
def test_every_part_of_the_flagships_solution_can_be_put_back_and_so_can_all_the_rest(project: Path) -> None:
    folder = project / "problem_data" / "slow_ml_training_complex"
    baseline = (folder / "baseline.py").read_bytes()
    oracle = (folder / "solution" / "optimized_ml_training.py").read_bytes()
    names = [f"ComplexFeatureExtractor.{name}" for name in ("custom_normalize", "extract_gradients")]
    for target, donor, swapped_names in (
        (oracle, baseline, names[:1]),
        (oracle, baseline, names),
        (baseline, oracle, names),
    ):
        made = swap(ask, target, donor, baseline, swapped_names, BYTES_MAX)
        assert isinstance(made, bytes) and compile(made, "variant", "exec") and made != target


def test_every_donor_of_the_flagship_fits_into_its_solution(project: Path) -> None:
    task = find_task("slow_ml_training_complex", project / "problem_data")
    ways = {way.id: way.donor.encode() for part in load_strategies(task) for way in part.strategy if way.donor}
    assert {"left-out", "z-score", "magnitude", "diff"} <= set(ways) and task.oracle is not None
    for donor in ways.values():
        names = [name for name in INSIDE["Source"](donor).definitions if "." in name]
        made = swap(ask, task.oracle, donor, task.baseline, names, BYTES_MAX)
        assert isinstance(made, bytes) and compile(made, "variant", "exec") and made != task.oracle


# What the host makes of a parser's word

EDITS = st.lists(st.builds(Edit, st.integers(-3, 40), st.integers(-3, 40), st.text(max_size=5)), max_size=6)


@pytest.mark.slow
@given(content=st.binary(max_size=30), edits=EDITS)
def test_edits_change_what_they_name_or_nothing(content: bytes, edits: list[Edit]) -> None:
    made = splice(content, edits, BYTES_MAX)
    bounds = [position for edit in edits for position in (edit.start, edit.end)]
    if bounds == sorted(bounds) and all(0 <= position <= len(content) for position in bounds):
        removed = sum(edit.end - edit.start for edit in edits)
        added = sum(len(edit.text.encode("utf-8", "replace")) for edit in edits)
        assert isinstance(made, bytes) and len(made) == len(content) - removed + added
    else:
        assert made == "what its parser said is out of bounds"


def test_a_variant_is_no_larger_than_the_task_allows() -> None:
    assert splice(b"abc", [Edit(3, 3, "x" * 8)], 10) == "it would have 11 bytes, the task allows 10"


@pytest.mark.parametrize(
    "raw", [None, {}, [1], [[1, 2]], [[1, 2, 3]], [[True, 2, "x"]], [["1", 2, "x"]], [[0, 0, ""]] * 1000]
)
def test_edits_of_another_form_are_not_read(raw: Any) -> None:
    assert read_edits(raw) == "what its parser said cannot be read"


def test_a_parser_that_says_nonsense_makes_no_variant() -> None:
    for said in ("gone", {}, {"edits": [[5, 1, ""]]}, {"edits": [[0, 99, ""]]}, {"refused": ""}):
        assert isinstance(swap(lambda head, body, said=said: said, b"x", b"y", b"z", ["f"], 10), str)


def test_places_of_another_form_are_not_read() -> None:
    for said in (
        "gone",
        {"error": "x"},
        {},
        {"definitions": [], "places": {}},
        {"definitions": {"a": 1}, "places": {}},
    ):
        nonsense: Ask = lambda head, body, said=said: said  # noqa: E731
        assert locate(nonsense, b"", {}).error


def test_what_a_definition_uses_is_followed() -> None:
    places = Places(definitions={"a": ("b", "x"), "b": ("c",), "c": (), "x": ("y",), "y": ()})
    assert places.reached(["a"], apart=["x"]) == {"a", "b", "c"}
    assert places.reached(["nothing"]) == set()


# In a sandbox


def test_the_parts_of_the_flagship_stand_where_its_patterns_are_found(
    fleet: Fleet, parser_spec: SandboxSpec, project: Path
) -> None:
    task = find_task("slow_ml_training_complex", project / "problem_data")
    rules = rules_of(load_strategies(task))
    in_sandbox = asker(fleet, parser_spec)
    places = locate(in_sandbox, task.baseline, rules)
    assert places.found["normalisation/as-in-the-starter"] == ("ComplexFeatureExtractor.custom_normalize",)
    assert places.found["activation/as-in-the-starter"] == ("ComplexNN.custom_activation",)
    assert "ComplexFeatureExtractor.custom_normalize" in places.reached(["train_and_predict"])
    assert task.oracle is not None
    made = swap(in_sandbox, task.oracle, task.baseline, task.baseline, ["ComplexNN.custom_activation"], BYTES_MAX)
    assert isinstance(made, bytes) and b".item() > 0" in made
    assert locate(in_sandbox, b"def f(:", rules).error.startswith("SyntaxError")
    for part in load_strategies(task):
        for way in part.strategy:
            found = locate(in_sandbox, way.donor.encode(), rules).found if way.donor else {}
            ways = [name for name in found if not name.endswith(f"/{SEEN}")]
            assert not way.donor or ways == [f"{part.name}/{way.id}"]
