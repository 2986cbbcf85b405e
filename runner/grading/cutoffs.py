"""How long a candidate's samples may take before they are stopped. Pure."""

from collections.abc import Sequence

from runner.records.grading import Ending, Sample

# A candidate that takes this many times what the target allows is stopped: it can only be too slow. chosen; the cutoff
# counts as its time, and at a third of the target no interval of a few rounds reaches the target. Larger wastes time on
# hopeless files, smaller stops some that one bad moment of the host made slow.
CUTOFF_FACTOR = 3.0
# No candidate is stopped before: at the small scales below this, the call itself and a hiccup of the host weigh too much.
# chosen.
CUTOFF_S_MIN = 0.5
# A control may take this many times as long as a timed sample before it is cut, and the next one as long as the task's limit
# allows. chosen: the time of the baseline, or near it; a training that stops once it has learnt enough takes all its epochs.
CONTROL_FACTOR = 10.0


def cutoff_s(baseline_s: float | None, target: float | None) -> float | None:
    """Seconds after which a candidate is stopped; None while no baseline has been measured, and without a target."""
    if target is None or baseline_s is None:
        return None
    return max(CUTOFF_S_MIN, CUTOFF_FACTOR * baseline_s / target)


def control_cutoff_s(cutoff: float | None, samples: Sequence[Sample], run: int) -> float | None:
    """Seconds after which a run's control is stopped; None once one was: then it has as long as the task's limit allows.

    Args:
        cutoff: of a timed sample.
    """
    was_stopped = any(s.side == "control" and s.run == run and s.ending is Ending.CUT for s in samples)
    return None if was_stopped or cutoff is None else CONTROL_FACTOR * cutoff
