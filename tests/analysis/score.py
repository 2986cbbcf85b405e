"""How well the flagship's patterns name labelled snippets: precision and recall, on those held back and on the others.

`python -m tests.analysis.score` parses them in a sandbox, as the analysis does, and prints a table. `held_back.toml` was
written before the patterns and is never used to tune them.
"""

import argparse
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.job.parse import build_parser_spec, parse_sources
from runner.job.setup import load_task
from runner.records.syntax import SyntaxFacts
from runner.report.analysis.strategies import ways_of
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.settings import DEFAULT_TASK, Settings
from runner.tasks.strategies import Part, load_strategies, rules_of

FOLDER = Path(__file__).parent
FILES = ("held_back", "labelled", "reference")
Parse = Callable[[Mapping[str, bytes], Mapping[str, Any]], Mapping[str, SyntaxFacts]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A piece of a submission that solves one part.

    Attributes:
        name: file and place.
        part: which one it solves.
        ways: how, by ids of strategies.toml; `novel` or `not-seen`.
        source: its text.
    """

    name: str
    part: str
    ways: frozenset[str]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Over (snippet, way) pairs.

    Attributes:
        right: pairs that were labelled and named.
        named, labelled: pairs that were named, and that should have been.
        wrong: (snippet, labelled, named) of those that differ.
    """

    right: int
    named: int
    labelled: int
    wrong: tuple[tuple[str, str, str], ...]

    @property
    def precision(self) -> float:
        """The share of the named pairs that are right."""
        return self.right / self.named

    @property
    def recall(self) -> float:
        """The share of the labelled pairs that were named."""
        return self.right / self.labelled


def snippets_of(name: str) -> list[Snippet]:
    """The labelled snippets of a file."""
    entries = tomllib.loads((FOLDER / f"{name}.toml").read_text())["snippet"]
    return [
        Snippet(name=f"{name}-{n}", part=entry["part"], ways=frozenset(entry["ways"]), source=entry["source"])
        for n, entry in enumerate(entries, 1)
    ]


def named_ways(part: str, parts: Sequence[Part], facts: SyntaxFacts) -> frozenset[str]:
    """The ways that are found of a part."""
    known = next(entry for entry in parts if entry.name == part)
    return frozenset(ways_of(part, [strategy.id for strategy in known.strategy], facts))


def score(snippets: Sequence[Snippet], parts: Sequence[Part], facts: Mapping[str, SyntaxFacts]) -> Score:
    """How the snippets are named."""
    named = {snippet.name: named_ways(snippet.part, parts, facts[snippet.name]) for snippet in snippets}
    return Score(
        right=sum(len(snippet.ways & named[snippet.name]) for snippet in snippets),
        named=sum(map(len, named.values())),
        labelled=sum(len(snippet.ways) for snippet in snippets),
        wrong=tuple(
            (s.name, "+".join(sorted(s.ways)), "+".join(sorted(named[s.name])))
            for s in snippets
            if s.ways != named[s.name]
        ),
    )


def parts_of_the_flagship() -> tuple[Part, ...]:
    """Those that its strategies.toml names."""
    return load_strategies(load_task(Settings(), DEFAULT_TASK))


def score_of(name: str, parse: Parse) -> Score:
    """The score over a file's snippets."""
    snippets, parts = snippets_of(name), parts_of_the_flagship()
    sources = {snippet.name: snippet.source.encode() for snippet in snippets}
    return score(snippets, parts, parse(sources, rules_of(parts)))


def parse_in_a_sandbox(sources: Mapping[str, bytes], rules: Mapping[str, Any]) -> Mapping[str, SyntaxFacts]:
    """As the analysis does."""
    settings = Settings()
    engine = find_engine(settings)
    return parse_sources(Fleet(engine, "score"), build_parser_spec(engine, settings, print), sources, rules)


def lines(parse: Parse) -> Iterator[str]:
    """The table, and what was named otherwise than labelled."""
    yield f"{'snippets':12} {'pairs':>6} {'precision':>10} {'recall':>8}"
    for name in FILES:
        found = score_of(name, parse)
        yield f"{name:12} {found.labelled:6} {found.precision:10.3f} {found.recall:8.3f}"
        yield from (f"  {snippet}: labelled {wanted}, named {got}" for snippet, wanted, got in found.wrong)


def main() -> int:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print("\n".join(lines(parse_in_a_sandbox)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
