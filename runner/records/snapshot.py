"""Snapshot: the submission's file as it was after a turn that changed it."""

import hashlib
from dataclasses import dataclass, field

from runner.records.usage import Usage


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the file, with what had been spent by then.

    Attributes:
        turn: after which it was taken, from 1.
        content: at most the submission's size cap; kept beside the transcript, not in results.json.
        working_s: seconds of the agent's work.
    """

    turn: int
    content: bytes = field(repr=False)
    usage: Usage = Usage()
    dollars: float = 0.0
    working_s: float = 0.0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()
