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
    """

    path: str
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()
