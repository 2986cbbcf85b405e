"""Submission: the bytes of the one file that an agent handed in."""

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Submission:
    """One file, as bytes; nobody on the host ever reads them as source.

    Attributes:
        path: as the agent named it; hostile text.
        content: the file's bytes.
        sha256: of the content, hex.
        snapshot_turn: the turn after which it was taken, where nothing was submitted and the last state of the file is
            graded instead; None for what was handed in.
    """

    path: str
    content: bytes = field(repr=False)
    snapshot_turn: int | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()
