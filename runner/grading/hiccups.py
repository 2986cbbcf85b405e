"""Samples that are taken once more within a round: when, and which of a candidate's samples count. Pure.

A sample of milliseconds that takes many times as long as the file's others was either held up by the host or is the
file's own doing, and its time alone cannot say which. So the round's samples are taken once more, on the same data: what
the data or the file bring about comes again, what the host did does not. Whoever is slow now and then has two such slow
samples forgiven at the most, and only where all repeats were fast. An audit that is slow as a whole is repeated, too; there
all samples count, and say more surely whether the data made it slow.

All of this follows from recorded times alone, so that a verdict can be computed again from its record.
"""

import math
import statistics
from collections.abc import Sequence

from runner.records.grading import Ending, Sample

# Endings whose time counts: a sample that was cut took at least that long.
TIMED = (Ending.ANSWERED, Ending.CUT)
# A sample is slow that takes this many times the file's median. chosen: of the 600 candidate samples of a recorded trace
# (`bench/traces`) the slowest took 1.7 times the median one.
HICCUP_FACTOR = 2.0
# Seconds over the median that a hiccup of the host can take. chosen: the longest that was seen took 0.1 s; a file that is
# itself longer than this is not slowed by a hiccup to where it would matter.
HICCUP_S_MAX = 0.5
# Slow samples that are forgiven in one grading. chosen: busy hosts show one in some thirty samples of milliseconds; a file
# that is slow in one sample of six shows more than two of them in nearly every grading.
HICCUPS_MAX = 2
# An audit whose samples take this many times the file's median is repeated. chosen: between what hosts make of a few
# samples (4 % in the recorded trace) and a data set that costs a file its target.
SLOW_AUDIT_FACTOR = 1.15
# Slow audits that are repeated in one grading. chosen: a file that is slow now and then would gain by more, since repeats
# are counted with what they repeat.
SLOW_AUDITS_MAX = 1


def repeat_due(samples: Sequence[Sample], run: int, number: int) -> bool:
    """Whether the samples of the run in round `number`, which are all there, are to be repeated.

    Args:
        samples: of the rounds up to this one.
    """
    past = [sample for sample in samples if sample.run == run and sample.round <= number]
    repeated, hiccups = _repeated(past), _hiccups(past)
    if number in repeated:
        return False
    if _hiccup(past, number) is not None and len(hiccups) < HICCUPS_MAX:
        return True
    if len(repeated) - len(hiccups) >= SLOW_AUDITS_MAX:
        return False
    measured = any(sample.round == number and sample.side == "baseline" for sample in samples)
    return not measured and _slow_audit(past, number)


def counted_samples(samples: Sequence[Sample], run: int) -> list[Sample]:
    """The candidate's samples whose times count: all of them, repeats too, but for a slow one that its repeats excuse."""
    mine = [s for s in samples if s.run == run and s.side in ("candidate", "repeat") and s.ending in TIMED]
    excused = [_excused(mine, number) for number in _hiccups(mine)[:HICCUPS_MAX]]
    return [sample for sample in mine if not any(sample is slow for slow in excused)]


def _repeated(mine: Sequence[Sample]) -> list[int]:
    return sorted({sample.round for sample in mine if sample.side == "repeat"})


def _hiccups(mine: Sequence[Sample]) -> list[int]:
    """The rounds that were repeated for one slow sample."""
    return [n for n in _repeated(mine) if _hiccup([sample for sample in mine if sample.round <= n], n) is not None]


def _slow_audit(past: Sequence[Sample], number: int) -> bool:
    logs = [math.log(s.seconds) for s in past if s.round == number and s.side == "candidate" and s.ending in TIMED]
    return bool(logs) and sum(logs) / len(logs) > math.log(SLOW_AUDIT_FACTOR * _limit_s(past) / HICCUP_FACTOR)


def _excused(mine: Sequence[Sample], number: int) -> Sample | None:
    past = [sample for sample in mine if sample.round <= number]
    repeats = [sample for sample in past if sample.round == number and sample.side == "repeat"]
    limit_s = _limit_s(past)
    return _hiccup(past, number) if all(sample.seconds <= limit_s for sample in repeats) else None


def _hiccup(past: Sequence[Sample], number: int) -> Sample | None:
    """The one slow sample of a round, if it can be the host's doing."""
    timed = [s for s in past if s.side == "candidate" and s.ending in TIMED]
    limit_s = _limit_s(timed)
    slow = [s for s in timed if s.round == number and s.seconds > limit_s]
    if len(slow) != 1 or slow[0].ending is not Ending.ANSWERED:
        return None
    return slow[0] if slow[0].seconds - limit_s / HICCUP_FACTOR <= HICCUP_S_MAX else None


def _limit_s(past: Sequence[Sample]) -> float:
    """Seconds past which a sample is slow."""
    seconds = [s.seconds for s in past if s.side == "candidate" and s.ending in TIMED]
    return HICCUP_FACTOR * statistics.median(seconds) if seconds else float("inf")
