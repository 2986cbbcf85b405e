"""The flagship's patterns on labelled snippets, on the scripted runs, and under changes that change no class."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from runner.job.parse import build_parser_spec, parse_sources
from runner.records.syntax import SyntaxFacts
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings
from runner.tasks.strategies import rules_of
from tests.analysis import score
from tests.analysis.variants import VARIANTS

Parse = Callable[[Mapping[str, bytes]], Mapping[str, SyntaxFacts]]
PARTS = score.parts_of_the_flagship()


@pytest.fixture(scope="module")
def parse(engine: Engine) -> Iterator[Parse]:
    """Parse in a sandbox, with the flagship's rules."""
    fleet, spec = Fleet(engine, "test-corpus"), build_parser_spec(engine, Settings(), print)
    yield lambda sources: parse_sources(fleet, spec, sources, rules_of(PARTS))
    fleet.stop()


def test_the_corpus_is_large_enough_and_names_only_known_parts_and_ways() -> None:
    known = {part.name: {strategy.id for strategy in part.strategy} | {"novel", "not-seen"} for part in PARTS}
    sizes = {name: len(score.snippets_of(name)) for name in score.FILES}
    assert sizes["held_back"] >= 20 and sum(sizes.values()) >= 60
    for name in score.FILES:
        for snippet in score.snippets_of(name):
            assert snippet.ways <= known[snippet.part] and compile(snippet.source, snippet.name, "exec"), snippet.name


@pytest.mark.parametrize(("name", "least"), [("held_back", 0.9), ("labelled", 0.95), ("reference", 1.0)])
def test_labelled_snippets_are_named_as_they_are_labelled(parse: Parse, name: str, least: float) -> None:
    found = score.score_of(name, lambda sources, rules: parse(sources))
    assert found.precision >= least and found.recall >= least, found.wrong


def intended(project: Path) -> dict[str, dict[str, str]]:
    """By run, the intended way of each part."""
    table = tomllib.loads((project / "tests" / "analysis" / "intended.toml").read_text())
    return {run: dict(zip(table["parts"], ways, strict=True)) for run, ways in table["runs"].items()}


def scripted_submissions(project: Path) -> dict[str, bytes]:
    """By run, the file that the flagship's scripted episode writes."""
    folder = project / "problem_data" / "slow_ml_training_complex" / "episodes"
    episodes = {run: (folder / f"{run:>02}.toml").read_text() for run in intended(project)}
    files = {run: re.findall(r'content_of = "([^"]+)"', text)[0] for run, text in episodes.items()}
    return {run: (folder / file).read_bytes() for run, file in files.items()}


def test_the_scripted_runs_are_named_as_they_were_written_to_be(parse: Parse, project: Path) -> None:
    wanted, facts = intended(project), parse(scripted_submissions(project))
    pairs = [
        (run, part, way, score.named_ways(part, PARTS, facts[run]))
        for run, ways in wanted.items()
        for part, way in ways.items()
    ]
    wrong = [pair for pair in pairs if pair[3] != {pair[2]}]
    assert len(pairs) == 8 * len(PARTS) and len(wrong) <= 0.05 * len(pairs), wrong


def test_the_starter_is_named_as_the_starter(parse: Parse, project: Path) -> None:
    baseline = (project / "problem_data" / "slow_ml_training_complex" / "baseline.py").read_bytes()
    facts = parse({"starter": baseline})["starter"]
    assert [set(score.named_ways(part.name, PARTS, facts)) for part in PARTS] == [
        {"as-in-the-starter"}, {"pixel-by-pixel"}, {"as-in-the-starter"}, {"as-in-the-starter"}, {"autograd"}, {"adam"},
        {"index-slices"},
    ]  # fmt: skip


@pytest.mark.parametrize("change", VARIANTS, ids=lambda change: change.__name__)
def test_what_changes_nothing_in_a_program_changes_no_class(
    parse: Parse, change: Callable[[str], str], project: Path
) -> None:
    snippets = [snippet for name in score.FILES for snippet in score.snippets_of(name)]
    sources = {snippet.name: snippet.source for snippet in snippets}
    sources |= {f"run {run}": text.decode() for run, text in scripted_submissions(project).items()}
    changed = {name: change(text) for name, text in sources.items()}
    assert sum(changed[name] != text for name, text in sources.items()) >= 20
    before = parse({name: text.encode() for name, text in sources.items()})
    after = parse({name: text.encode() for name, text in changed.items()})
    pairs = {name: (set(facts.matches or {}), set(after[name].matches or {})) for name, facts in before.items()}
    assert {name: pair for name, pair in pairs.items() if pair[0] != pair[1]} == {}


def test_a_variant_is_still_a_program_that_differs() -> None:
    text = "import numpy as np\n\n\ndef f(x):\n    y = np.mean(x)\n    return y\n\n\ndef g(x):\n    return f(x)\n"
    changed = [change(text) for change in VARIANTS]
    assert len(set(changed) - {text}) == len(VARIANTS) and all(ast.parse(source) for source in changed)
