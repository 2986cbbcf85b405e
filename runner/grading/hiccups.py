"""Samples that are taken once more within a round: when, and which of a candidate's samples count. Pure.

A sample of milliseconds that takes many times as long as the file's others was either held up by the host or is the
file's own doing, and its time alone cannot say which. So the round's samples are taken once more, on the same data: what
the data or the file bring about comes again, what the host did does not. Each slow sample asks for a block of repeats, and
so does one among these; a few are forgiven, once every one of them has its block. (A sequential test of the share of slow
samples, one in thirty against one in six; Wald, 1945.) An audit that is slow, but not that much, is repeated, too; there
all samples count, and say more surely whether the data made it slow.

All of this follows from recorded times alone, so that a verdict can be computed again from its record.
"""

import math
import statistics
from collections.abc import Sequence

from runner.grading.schedule import REPEATS, SLOW_AUDIT_REPEATS
from runner.records.grading import Ending, Sample

# Endings whose time counts: a sample that was cut took at least that long.
TIMED = (Ending.ANSWERED, Ending.CUT)
# A sample is slow that takes this many times the file's median. chosen: of the 600 candidate samples of a recorded trace
# (`bench/traces`) the slowest took 1.7 times the median one.
HICCUP_FACTOR = 2.0
# Seconds over the median that a hiccup of the host can take. chosen: the longest that was seen took 0.1 s; a file that is
# itself longer than this is not slowed by a hiccup to where it would matter.
HICCUP_S_MAX = 0.5
# Slow samples that are forgiven in one grading. chosen: busy hosts show one in some thirty samples of milliseconds, so one
# in fifty gradings has more; a file that is slow in one sample of six hardly gets so far.
HICCUPS_MAX = 3
# An audit whose samples take this many times the file's median is repeated. chosen: between what hosts make of a few
# samples (4 % in the recorded trace) and a data set that costs a file its target.
SLOW_AUDIT_FACTOR = 1.15
# Slow audits that are repeated in one grading. chosen: a file that is slow now and then would gain by more, since repeats
# are counted with what they repeat.
SLOW_AUDITS_MAX = 3


def repeats_due(samples: Sequence[Sample], run: int, number: int) -> int:
    """How many more samples the run needs in round `number`, of which all samples so far are there; 0: none.

    Args:
        samples: of the rounds up to this one.
    """
    past = [sample for sample in samples if sample.run == run and sample.round <= number]
    slow, taken = _slow(past, number), _repeats(past, number)
    if slow:
        forgivable = all(_may_be_the_hosts(sample, past) for sample in slow)
        due = forgivable and sum(map(len, _by_round(past))) <= HICCUPS_MAX and taken < REPEATS * len(slow)
        return REPEATS if due else 0
    measured = any(sample.round == number and sample.side == "baseline" for sample in samples)
    if measured or taken or _slow_audits(past) >= SLOW_AUDITS_MAX or not _slow_audit(past, number):
        return 0
    return SLOW_AUDIT_REPEATS


def counted_samples(samples: Sequence[Sample], run: int) -> list[Sample]:
    """The candidate's samples whose times count: all of them, repeats too, but for slow ones that their repeats excuse."""
    mine = [s for s in samples if s.run == run and s.side in ("candidate", "repeat") and s.ending in TIMED]
    excused: list[Sample] = []
    for slow in _by_round(mine):
        past = [sample for sample in mine if sample.round <= slow[0].round]
        forgivable = all(_may_be_the_hosts(sample, past) for sample in slow)
        if forgivable and _repeats(mine, slow[0].round) >= REPEATS * len(slow):
            excused += slow if len(excused) + len(slow) <= HICCUPS_MAX else []
    return [sample for sample in mine if not any(sample is slow for slow in excused)]


def _by_round(mine: Sequence[Sample]) -> list[list[Sample]]:
    """The slow samples of each round that has some."""
    rounds = sorted({sample.round for sample in mine})
    return [slow for number in rounds if (slow := _slow(mine, number))]


def _repeats(mine: Sequence[Sample], number: int) -> int:
    return sum(sample.round == number and sample.side == "repeat" for sample in mine)


def _slow(mine: Sequence[Sample], number: int) -> list[Sample]:
    """The samples of a round, repeats among them, that took far longer than the file's samples up to it."""
    limit_s = _limit_s([sample for sample in mine if sample.round <= number])
    return [
        s
        for s in mine
        if s.round == number and s.side in ("candidate", "repeat") and s.ending in TIMED and s.seconds > limit_s
    ]


def _may_be_the_hosts(slow: Sample, past: Sequence[Sample]) -> bool:
    return slow.ending is Ending.ANSWERED and slow.seconds - _limit_s(past) / HICCUP_FACTOR <= HICCUP_S_MAX


def _slow_audits(mine: Sequence[Sample]) -> int:
    """How many rounds were repeated without a slow sample."""
    return sum(0 < _repeats(mine, number) < REPEATS for number in {sample.round for sample in mine})


def _slow_audit(past: Sequence[Sample], number: int) -> bool:
    logs = [math.log(s.seconds) for s in past if s.round == number and s.side == "candidate" and s.ending in TIMED]
    return bool(logs) and sum(logs) / len(logs) > math.log(SLOW_AUDIT_FACTOR * _limit_s(past) / HICCUP_FACTOR)


def _limit_s(past: Sequence[Sample]) -> float:
    """Seconds past which a sample is slow."""
    seconds = [s.seconds for s in past if s.side == "candidate" and s.ending in TIMED]
    return HICCUP_FACTOR * statistics.median(seconds) if seconds else float("inf")
