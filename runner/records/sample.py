"""Sample: one fresh container, one call, one time."""

from dataclasses import dataclass
from typing import Literal

Side = Literal["baseline", "candidate", "sentinel"]
Ending = Literal["answered", "crashed", "timed_out", "out_of_memory", "bad_answer"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the host saw of one call.

    Attributes:
        side: whose file ran; the sentinel is the oracle's, counts for nobody and shows the host's noise.
        run: the run that the candidate belongs to; 0 for the other sides.
        round: number of the round, from 1.
        position: order within the round, from 0.
        ending: how it ended.
        seconds: host monotonic clock, from *go* to the last byte of the complete answer (or to the end that came instead).
        quality: mean of the answer's quality values; None without an answer.
        detail: what went wrong, in the guest's words where it had some: hostile text.
        cpuset: where it ran.
        started_s: seconds since the grading began.
    """

    side: Side
    run: int
    round: int
    position: int
    ending: Ending
    seconds: float
    quality: float | None = None
    detail: str = ""
    cpuset: str = ""
    started_s: float = 0.0
