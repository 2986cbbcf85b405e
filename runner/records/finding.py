"""Finding: what one named check saw."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["pass", "fail", "warn"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check on one submission.

    Attributes:
        check: the check's name, as the documentation lists it.
        subject: `safety` (an `unsafe` outcome when it fails), `component` (`missing_component`) or `form` (`crashed`).
        mark: `warn` is advice and decides nothing.
        text: one sentence; may hold names from the submission, so hostile text.
    """

    check: str
    subject: Literal["safety", "component", "form"]
    mark: Mark
    text: str
