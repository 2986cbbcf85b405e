"""What a parsing sandbox says of a source: plain facts, of sizes that the host bounded."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntaxFacts:
    """A source without its names, order and form.

    Attributes:
        lines: how many it has, as Python counts them.
        shapes: how often each shape of a piece of syntax stands in it, by hash. A piece is a node of the syntax tree with
            its children and theirs; names of the file's own are left out, those from modules are written out in full.
        matches: by the name of a rule that is found in it, the first place, cut; hostile text. None where no rule could be
            looked for.
        regions: shapes of the function in which a part was seen (rules named `part/?`), by the name of the rule.
        no_matches: why no rule could be looked for; empty where they were. Hostile text.
        refused: rules that ast-grep refuses, by name, and why; they were not looked for. Hostile text.
        error: why it cannot be parsed; empty where it can.
    """

    lines: int = 0
    shapes: Mapping[str, int] = field(default_factory=dict)
    matches: Mapping[str, str] | None = None
    regions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    no_matches: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
