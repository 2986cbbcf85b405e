"""Sample: one fresh container, one call, one time."""

from dataclasses import dataclass, field
from typing import Literal

Side = Literal["baseline", "candidate", "sentinel", "control"]
Ending = Literal["answered", "cut", "crashed", "timed_out", "out_of_memory", "bad_answer"]
Origin = Literal["host", "engine", "guest"]
HOST, ENGINE, GUEST = ({"origin": origin} for origin in ("host", "engine", "guest"))


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen of one call; each field says where it comes from.

    Origins: `host` (its clock, its keys, its decisions), `engine` (its accounting, outside the container), `guest` (claimed
    by the container: shown, and never used for a verdict).

    Attributes:
        side: whose file ran; the sentinel is the oracle's, counts for nobody and shows the host's noise; a control is a
            candidate's on data whose right outcome is known, and is not timed.
        run: the run that the candidate belongs to; 0 for the other sides.
        round: number of the round, from 1.
        position: order within the round, from 0.
        ending: how it ended; `cut` is stopped by the host because it was already far too slow, and counts for time.
        seconds: host monotonic clock, from *go* to the last byte of the complete answer (or to the end that came instead).
        quality: mean of the answer's quality values; None without an answer.
        cpuset: where it ran.
        started_s: seconds since the grading began.
        cpu_s: CPU seconds of the whole container from *go* on; None where they could not be read, as below.
        throttled_s: seconds in which its CPU quota held it back.
        memory_peak_bytes: highest memory use of the container.
        pids_peak: most processes and threads at one time.
        written_bytes: to disks, by the whole container; what goes to a tmpfs shows as memory.
        load: the host's load average over one minute, at the end.
        steal_s: CPU seconds that the hypervisor took from the measuring CPU meanwhile.
        mhz: frequency of the measuring CPU.
        detail: what went wrong, in the guest's words where it had some: hostile text.
    """

    side: Side = field(metadata=HOST)
    run: int = field(metadata=HOST)
    round: int = field(metadata=HOST)
    position: int = field(metadata=HOST)
    ending: Ending = field(metadata=HOST)
    seconds: float = field(metadata=HOST)
    quality: float | None = field(default=None, metadata=HOST)
    cpuset: str = field(default="", metadata=HOST)
    started_s: float = field(default=0.0, metadata=HOST)
    cpu_s: float | None = field(default=None, metadata=ENGINE)
    throttled_s: float | None = field(default=None, metadata=ENGINE)
    memory_peak_bytes: int | None = field(default=None, metadata=ENGINE)
    pids_peak: int | None = field(default=None, metadata=ENGINE)
    written_bytes: int | None = field(default=None, metadata=ENGINE)
    load: float | None = field(default=None, metadata=HOST)
    steal_s: float | None = field(default=None, metadata=HOST)
    mhz: float | None = field(default=None, metadata=HOST)
    detail: str = field(default="", metadata=GUEST)
