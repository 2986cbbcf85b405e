"""Whether a sample was held up by something else on its CPU. Pure.

What the measuring CPU worked for others while a sample waited is the host's doing, whoever the sample belongs to, where it
works for others beside the task's own files, too: a file might let the kernel work for it. Of the baseline and the
sentinel, files of the task, more is known: a time that is much longer than the CPU time, and not by the quota, was spent
waiting. Where a file waits by itself (it sleeps, it reads), it waits as long again. What is more than that is the host's,
or was brought about by another container; it is measured again, since it would speak for every candidate of the round.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from runner.records.grading import Ending, Sample
from runner.sandbox.cgroup import ResourceUsage

# Share of a sample's time that may pass without CPU time, besides what the file itself waits. chosen: what ordinary hosts
# show is under a tenth; a neighbour that takes its turns on the CPU makes it a half.
STALL_SHARE_MAX = 0.25
# Seconds under which no wait is looked at. chosen: hiccups of the host and the way through the engine are shorter.
STALL_S_MIN = 0.5
# What the CPU's work is told to where a record does not say: the ticks in which Linux counts (proc(5)).
TICK_S = 0.01
# Who had the CPU in a wait is not said of one that is shorter: in units of what the CPU's work is told to, and in seconds.
# chosen: a sum of two readings is off by two units at most; the way to a sample and back takes a millisecond.
WAIT_UNITS_MIN, WAIT_S_MIN = 3, 0.003
# Share of a wait in which the CPU must have worked for others. chosen: most of it; the rest is the way through the engine.
OTHERS_SHARE_MIN = 0.5
# Share of the time of the task's own files in which the CPU works for others, on a busy host. chosen: an idle one shows
# under 1 %, and a candidate's samples that are held up on that alone are no accident.
BUSY_SHARE_MIN = 0.02
# How often one sample is repeated. chosen: a file that waits by itself shows it the second time; more is no hiccup.
STALL_REPEATS_MAX = 2
# How often samples of one candidate are repeated because others had its CPU. chosen: a host that needs more is too busy to
# measure on.
OTHERS_REPEATS_MAX = 6
# How a sample may end that others kept from its CPU.
HELD_UP = (Ending.ANSWERED, Ending.CUT, Ending.TIMED_OUT)


def held_up_by_others(sample: Sample) -> bool:
    """Whether a sample waited for much of its time, and the CPU worked for others in most of that wait.

    One that was stopped, as far too slow or at the task's limit, may have been that by no doing of its own; other ends say
    what they say.
    """
    if sample.cpu_s is None or sample.others_s is None or sample.ending not in HELD_UP:
        return False
    waited_s = sample.seconds - sample.cpu_s - (sample.throttled_s or 0.0)
    least_s = max(WAIT_UNITS_MIN * _unit_s(sample), WAIT_S_MIN, STALL_SHARE_MAX * sample.seconds)
    return waited_s > least_s and sample.others_s >= OTHERS_SHARE_MIN * waited_s


def host_is_busy(samples: Iterable[Sample]) -> bool:
    """Whether the CPU worked for others beside the samples of the baseline and the sentinel."""
    known = [s for s in samples if s.side in ("baseline", "sentinel") and s.others_s is not None]
    allowed_s = sum(_unit_s(s) + BUSY_SHARE_MIN * s.seconds for s in known)
    return bool(known) and sum(s.others_s or 0.0 for s in known) >= allowed_s


def _unit_s(sample: Sample) -> float:
    return TICK_S if sample.others_unit_s is None else sample.others_unit_s


def own_seconds(sample: Sample) -> float:
    """A sample's time without that in which it waited while the CPU worked for others."""
    if not sample.cpu_s or sample.others_s is None:
        return sample.seconds
    waited_s = max(0.0, sample.seconds - sample.cpu_s - (sample.throttled_s or 0.0))
    return sample.seconds - min(waited_s, max(0.0, sample.others_s - _unit_s(sample)))


def of_its_own(sample: Sample) -> Sample:
    """The sample as it would have been without others (`own_seconds`)."""
    return replace(sample, seconds=own_seconds(sample))


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
