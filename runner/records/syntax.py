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
        error: why it cannot be parsed; empty where it can.
    """

    lines: int = 0
    shapes: Mapping[str, int] = field(default_factory=dict)
    matches: Mapping[str, str] | None = None
    error: str = ""
