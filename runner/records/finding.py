"""Finding: what one named check saw."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["pass", "fail", "warn"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check on one submission.

    Attributes:
        check: the check's name, as the documentation lists it.
        subject: `safety` (an `unsafe` outcome when it fails), `component` (`missing_component`), `form` (`crashed`) or
            `equivalence` (`not_equivalent`, where the policy is to enforce it).
        mark: `warn` is advice and decides nothing, unless the rules are strict.
        text: one sentence; may hold names from the submission, so hostile text.
        evidence: figures or names behind it; hostile text, too.
        origin: `text` (a parser inside a sandbox, before anything of the file ran), `data` (values that came out,
            compared on the host) or `engine` (its accounting).
    """

    check: str
    subject: Literal["safety", "component", "form", "equivalence"]
    mark: Mark
    text: str
    evidence: str = ""
    origin: Literal["text", "data", "engine"] = "text"
