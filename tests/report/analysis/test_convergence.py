"""Convergence: what changes nothing in a program changes no figure, and known families come out as they were made."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from runner.job.parse import read_facts
from runner.records.syntax import SyntaxFacts
from runner.report.analysis import convergence
from runner.report.analysis.convergence import changes, convergence_of, kept_share, vendi_score

STARTER = """import numpy as np

def simulate(points):
    total = 0.0
    for i in range(len(points)):
        for j in range(len(points)):
            total += abs(points[i] - points[j])
    return {"total": np.array(total)}
"""
# Ways to do it; {x}, {y}: names of the file's own; {np}: what numpy is called.
FAMILIES = (
    "def {x}(points):\n    {y} = {np}.abs(points[:, None] - points[None, :])\n    return {{'total': {y}.sum()}}\n",
    "def {x}(points):\n    {y} = {np}.sort(points)\n    w = {np}.arange(len({y})) * 2 - len({y}) + 1\n"
    "    return {{'total': 2 * {np}.dot(w, {y})}}\n",
    "def {x}(points):\n    {y} = [{np}.linalg.norm(points - p, ord=1) for p in points]\n"
    "    while {y} and {y}[-1] < 0:\n        {y}.pop()\n    return {{'total': sum({y})}}\n",
    "class {x}:\n    def __call__(self, points):\n        {y} = {np}.histogram(points, bins=64)\n"
    "        return {{'total': {np}.einsum('i,j->', *{y})}}\n",
)


@pytest.fixture(scope="module")
def syntax_of() -> Callable[[str], SyntaxFacts]:
    """The text that runs inside, run here: it parses what this test wrote itself."""
    inside: dict[str, Any] = {}
    path = Path(__file__).parents[3] / "runner" / "sandbox" / "inside" / "syntax.py"
    exec(path.read_text(), inside)

    def parse(source: str) -> SyntaxFacts:
        import json

        return read_facts(json.dumps(inside["syntax_of"](source.encode())).encode())

    return parse


def variants(family: str) -> Iterator[str]:
    """The same program under other names, in another order, layout and dress."""
    helper = "\n\ndef unused(a, b):\n    return a + b\n"
    for imported, alias in (("import numpy as np", "np"), ("import numpy", "numpy"), ("import numpy as n_p", "n_p")):
        text = family.format(x="simulate", y="pairs", np=alias)
        yield f"{imported}\n\n{text}{helper}"
        renamed = family.format(x="run_it", y="alle", np=alias)
        yield f"# A comment.\n{imported}\n{helper}\n\n{renamed}"
        yield f'"""A docstring."""\n{imported}\n\n\n' + text.replace("(points):", "( points ):") + helper


def test_other_names_order_layout_and_aliases_are_the_same_syntax(syntax_of: Callable[[str], SyntaxFacts]) -> None:
    for family in FAMILIES:
        found = [syntax_of(variant) for variant in variants(family)]
        assert len(found) == 9 and all(facts.error == "" for facts in found)
        assert all(facts.shapes == found[0].shapes for facts in found[1:])


PLAIN = """import numpy as np

class Work:
    rate = 3

    def go(self, x, axis=0):
        y = np.diff(x, axis=axis) * self.rate
        return np.linalg.norm(y)


def run(x):
    return Work().go(x, axis=1)
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import numpy as np\n", "import numpy\nnp = numpy\n"),
        ("import numpy as np\n", "import numpy\nlibrary = numpy\nnp = library\n"),
        ("        y = np.diff(", "        library = np\n        y = library.diff("),
        ("        y = np.diff(", "        steps = np.diff\n        y = steps("),
        ("rate", "speed"),
        ("axis=0):\n        y = np.diff(x, axis=axis)", "along=0):\n        y = np.diff(x, axis=along)"),
        ("        y = np.", "        y: object\n        y = np."),
        ("class Work", "class Play"),
    ],
)
def test_what_a_file_calls_its_own_or_a_modules_changes_no_shape(
    syntax_of: Callable[[str], SyntaxFacts], before: str, after: str
) -> None:
    dressed = PLAIN.replace(before, after)
    if "along" in after:
        dressed = dressed.replace("go(x, axis=1)", "go(x, along=1)")
    dressed = dressed.replace("Work()", "Play()") if "Play" in after else dressed
    assert before in PLAIN and syntax_of(dressed).shapes == syntax_of(PLAIN).shapes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def run", "import numba\n@numba.njit\ndef run"),
        ("def run", "from functools import lru_cache\n@lru_cache(None)\ndef run"),
        ("axis=axis)", "n=axis)"),
        ("go(x, axis=1)", "go(x, 1)"),
        ("import numpy as np\n", "import numpy\nnp = numpy\nnp = run\n"),
    ],
)
def test_what_changes_a_program_changes_its_shapes(
    syntax_of: Callable[[str], SyntaxFacts], before: str, after: str
) -> None:
    assert before in PLAIN and changes(syntax_of(PLAIN), syntax_of(PLAIN.replace(before, after)))


def test_two_files_that_only_put_different_decorators_before_a_function_are_not_the_same(
    syntax_of: Callable[[str], SyntaxFacts],
) -> None:
    compiled = PLAIN.replace("def run", "import numba\n@numba.njit\ndef run")
    kept = PLAIN.replace("def run", "import functools\n@functools.lru_cache\ndef run")
    starter = syntax_of(PLAIN)
    found = convergence_of(starter, {1: syntax_of(compiled), 2: syntax_of(kept), 3: starter})
    assert found.groups == ((1,), (2,), (3,)) and kept_share(starter, syntax_of(compiled)) < 1.0


def test_known_families_come_out_as_groups_and_their_number_as_that_of_distinct_solutions(
    syntax_of: Callable[[str], SyntaxFacts],
) -> None:
    sources = [(k, variant) for k, family in enumerate(FAMILIES) for variant in variants(family)]
    submissions = {number: syntax_of(source) for number, (_, source) in enumerate(sources, 1)}
    found = convergence_of(syntax_of(STARTER), submissions)
    truth = [k for k, _ in sources]
    labels = [next(g for g, group in enumerate(found.groups) if run in group) for run in found.runs]
    assert adjusted_rand_score(truth, labels) >= 0.9
    assert found.distinct == pytest.approx(len(FAMILIES), rel=0.15)
    assert found.mean is not None and found.low is not None and found.high is not None
    assert found.low <= found.mean <= found.high


def test_equal_files_converge_wholly_and_different_ones_do_not(syntax_of: Callable[[str], SyntaxFacts]) -> None:
    starter, one, other = syntax_of(STARTER), *(syntax_of(next(variants(family))) for family in FAMILIES[:2])
    assert convergence_of(starter, {1: one, 2: one, 3: one}).mean == pytest.approx(1.0)
    apart = convergence_of(starter, {1: one, 2: other})
    assert apart.mean is not None and apart.mean < 0.9 and apart.low is None
    assert changes(starter, starter) == {} and kept_share(starter, starter) == 1.0


def test_a_file_that_does_not_parse_is_named_and_left_out(syntax_of: Callable[[str], SyntaxFacts]) -> None:
    found = convergence_of(syntax_of(STARTER), {1: syntax_of("def ("), 2: syntax_of(STARTER)})
    assert found.runs == (2,) and "SyntaxError" in found.not_parsed[1] and found.mean is None


@pytest.mark.parametrize(
    "source", ["", "(" * 90 + ")" * 90, "x = " + "-" * 3000 + "1", "\x00", "\ufeffx = 1", "if 1:\n\tx\n        y"]
)
def test_any_text_gives_facts_or_a_reason(syntax_of: Callable[[str], SyntaxFacts], source: str) -> None:
    facts = syntax_of(source)
    assert bool(facts.error) or facts.shapes is not None


def test_the_effective_number_of_items_is_1_for_equal_ones_and_n_for_different_ones() -> None:
    assert vendi_score(np.ones((5, 5))) == pytest.approx(1.0) and vendi_score(np.eye(5)) == pytest.approx(5.0)


@pytest.mark.slow
@pytest.mark.parametrize("shares", [[1.0], [0.9, 0.1], [0.6, 0.2, 0.1, 0.1], [0.1] * 10])
@pytest.mark.parametrize("runs", [3, 5, 10])
def test_the_interval_holds_the_true_convergence_in_nine_of_ten_jobs(
    monkeypatch: pytest.MonkeyPatch, shares: list[float], runs: int
) -> None:
    """Jobs whose submissions are of some kinds, each drawn with its share; those of a kind are 90 % alike, others 20 %."""
    monkeypatch.setattr(convergence, "REPLICATES", 200)
    rng, held, jobs = random.Random(5), 0, 100
    truth = 0.2 + 0.7 * sum(share**2 for share in shares)
    for _ in range(jobs):
        kinds = np.array(rng.choices(range(len(shares)), shares, k=runs))
        similarity = np.where(kinds[:, None] == kinds[None, :], 0.9, 0.2)
        np.fill_diagonal(similarity, 1.0)
        low, high = convergence.bootstrap_bounds(similarity)
        held += low <= truth <= high
    assert held >= 0.9 * jobs


def test_few_submissions_are_not_said_to_tell_how_far_such_converge(syntax_of: Callable[[str], SyntaxFacts]) -> None:
    starter, one = syntax_of(STARTER), syntax_of(next(variants(FAMILIES[0])))
    few = convergence_of(starter, dict.fromkeys(range(1, 4), one))
    many = convergence_of(starter, dict.fromkeys(range(1, 31), one))
    assert (few.mean, few.low, few.high) == (1.0, 0.0, 1.0) and not few.is_told
    assert many.low is not None and many.low > 0.8 and many.is_told
    assert not convergence_of(starter, {1: one, 2: one}).is_told


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=3, max_size=8))
def test_the_mean_lies_in_its_interval_whatever_the_submissions_are(counts: list[list[int]]) -> None:
    rows = [Counter({str(key): count for key, count in enumerate(row) if count}) for row in counts]
    facts = {run: SyntaxFacts(shapes=row) for run, row in enumerate(rows, 1)}
    found = convergence_of(SyntaxFacts(), facts)
    assert found.mean is not None and found.low is not None and found.high is not None
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0
