"""Pure decisions about a job: when to grade, what its exit status is."""

from collections.abc import Sequence

EPISODES_PER_CPU = 4  # chosen: an episode waits for its model most of the time
# The rest is for the measuring, the engine, and us.
MEMORY_SHARE = 0.6


def grade_now(waiting_since: Sequence[float], episodes_left: int, now: float, grade_after_s: float | None) -> bool:
    """Whether the submissions that wait are graded now.

    Args:
        waiting_since: when each waiting submission came, in seconds of the clock that `now` is of.
        episodes_left: episodes that are not over.
        grade_after_s: longest wait of a submission while episodes go on; None: until all are over.
    """
    if not waiting_since:
        return False
    if episodes_left == 0:
        return True
    return grade_after_s is not None and now - min(waiting_since) >= grade_after_s


def episodes_at_a_time(runs: int, cpus: int, memory_bytes: int, sandbox_bytes: int, *, io_bound: bool) -> int:
    """How many episodes run side by side where nobody says: by the host's CPUs and memory.

    Args:
        io_bound: the agents mostly wait for a model, so that a CPU serves several.
    """
    by_cpu = cpus * EPISODES_PER_CPU if io_bound else min(4, cpus)
    by_memory = int(MEMORY_SHARE * memory_bytes // sandbox_bytes)
    return max(1, min(runs, by_cpu, by_memory))
