"""Whether a sample of the baseline or the sentinel was held up by something else on its CPU. Pure.

Both are files of the task, and what they take of the CPU is known: a time that is much longer than the CPU time, and not
by the quota, was spent waiting. Where a file waits by itself (it sleeps, it reads), it waits as long again. What is more
than that is the host's, or was brought about by another container; it is measured again, since it would speak for every
candidate of the round.
"""

from dataclasses import dataclass

from runner.sandbox.cgroup import ResourceUsage

# Share of a sample's time that may pass without CPU time, besides what the file itself waits. chosen: what ordinary hosts
# show is under a tenth; a neighbour that takes its turns on the CPU makes it a half.
STALL_SHARE_MAX = 0.25
# Seconds under which no wait is looked at. chosen: hiccups of the host and the way through the engine are shorter.
STALL_S_MIN = 0.5
# How often one sample is repeated. chosen: a file that waits by itself shows it the second time; more is no hiccup.
STALL_REPEATS_MAX = 2


@dataclass
class OwnWaits:
    """The smallest share of waiting that was seen of each side: what a file waits by itself can be no more than that."""

    shares: dict[str, float]

    def held_up(self, side: str, seconds: float, used: ResourceUsage) -> bool:
        """Whether this sample waited much longer than its side does; False where nobody knows. It is remembered."""
        if used.cpu_s is None or seconds <= 0.0:
            return False
        waited_s = max(0.0, seconds - used.cpu_s - (used.throttled_s or 0.0))
        own_share = self.shares.get(side, 0.0)
        self.shares[side] = min(self.shares.get(side, 1.0), waited_s / seconds)
        return waited_s > STALL_S_MIN and waited_s > (own_share + STALL_SHARE_MAX) * seconds
