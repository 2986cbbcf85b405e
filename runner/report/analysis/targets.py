"""Where the target lies: the pass rate as a function of the target, and which targets would give a wanted rate.

A submission passes at every target up to the lower bound of its interval (the lowest of its bounds, where several must lie
above the target), if nothing but its speed is in question; so the pass rate is the share of submissions whose bound is at
least the target. A run that failed for another reason never passes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

from runner.records.outcome import OutcomeKind, properties
from runner.records.run import Run

LEVEL = 0.95  # the usual one
# Outcomes that speed alone decided.
BY_SPEED = (OutcomeKind.PASSED, OutcomeKind.TOO_SLOW, OutcomeKind.UNSTABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPoint:
    """The pass rate from a target on, up to the next one.

    Attributes:
        target: speed-up asked for; the rate holds for all targets up to this one, and down to the point before.
        rate: share of the counted runs that would pass.
        low, high: a band that holds the whole curve with 95 % (Smirnov's exact bound for this number of runs).
    """

    target: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCurve:
    """The pass rate as a function of the target.

    Attributes:
        runs: how many runs it rests on.
        target: the one that was asked for; None where quality alone counts.
        ceiling: the highest rate that any target gives: the share of runs that nothing but speed can fail.
        half_width: the whole curve is known to within this much, 0 to 1, with 95 %.
        points: by falling target.
        other_failures: (outcome, runs) that no target would let pass, the most frequent first.
    """

    runs: int
    target: float | None
    ceiling: float
    half_width: float
    points: tuple[TargetPoint, ...]
    other_failures: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRange:
    """Targets that would give a wanted pass rate with these runs.

    Attributes:
        low, high: the rate is in the wanted range for targets over `low`, up to `high`; None where there is none, and `high`
            where no target is too high.
        reason: in words, where there is no range with two ends.
    """

    low: float | None
    high: float | None
    reason: str = ""


def highest_target(run: Run, target: float) -> float | None:
    """The highest target at which a run would pass: 0 at none; None where the run cannot say.

    At the target that was asked for this agrees with the verdict. A run whose bounds reach it, and that failed all the
    same, was not failed by its speed (its times vary, say, or one data set is slow). An inconclusive run says it where
    only its speed was in doubt: then its quality and its checks were fine.
    """
    if run.outcome.kind in BY_SPEED:
        bound = _bound(run)
        if bound is None:
            return None
        if run.outcome.kind is OutcomeKind.PASSED:
            return max(bound, target)
        return bound if bound < target else 0.0
    if run.outcome.kind is OutcomeKind.INCONCLUSIVE:
        bound = _bound(run) if _is_accurate(run) else None
        return bound if bound is not None and bound < target else None
    return 0.0 if properties(run.outcome).counts else None


def _bound(run: Run) -> float | None:
    """The highest target that all bounds of a run's speed-up lie above; None where they are not known."""
    measurement = run.grading.measurement if run.grading is not None else None
    if measurement is None or measurement.speedup is None or measurement.speedup.low is None:
        return None
    others = (measurement.median_ratio, measurement.total_ratio, measurement.audit.low if measurement.audit else None)
    return min([measurement.speedup.low, *(bound for bound in others if bound is not None)])


def _is_accurate(run: Run) -> bool:
    quality = run.grading.quality if run.grading is not None else None
    return quality is not None and quality.accurate is True


def target_curve(runs: Sequence[Run], target: float | None) -> TargetCurve | None:
    """The curve of a job's runs; None where no run can say anything.

    Args:
        target: the one that was asked for.
    """
    if target is None:
        return None
    found = [(run, highest) for run in runs if (highest := highest_target(run, target)) is not None]
    if not found:
        return None
    bounds = [highest for _, highest in found]
    count, half = len(bounds), kolmogorov_half_width(len(bounds))
    points = []
    for bound in sorted({bound for bound in bounds if bound > 0.0}, reverse=True):
        rate = sum(other >= bound for other in bounds) / count
        points.append(TargetPoint(target=bound, rate=rate, low=max(0.0, rate - half), high=min(1.0, rate + half)))
    others = Counter(run.outcome.kind.value for run, highest in found if highest == 0.0)
    return TargetCurve(
        runs=count,
        target=target,
        ceiling=sum(bound > 0.0 for bound in bounds) / count,
        half_width=half,
        points=tuple(points),
        other_failures=tuple(others.most_common()),
    )


def kolmogorov_half_width(count: int, level: float = LEVEL) -> float:
    """Half the width of a band that holds a whole distribution function with this level.

    Twice Smirnov's exact one-sided tail: a little wide, since both sides are rarely exceeded at once.
    """
    return float(special.smirnovi(count, (1.0 - level) / 2.0))


def rate_at(curve: TargetCurve, target: float) -> float:
    """The share of runs that would pass at a target."""
    return next((point.rate for point in reversed(curve.points) if point.target >= target), 0.0)


def range_for(curve: TargetCurve, want: tuple[float, float]) -> TargetRange:
    """The targets that give a wanted pass rate.

    Args:
        want: lowest and highest rate, 0 to 1.
    """
    if want[0] <= 0.0:  # every target past the fastest run gives no pass, and none is wanted, too
        low = next((point.target for point in curve.points if point.rate > want[1]), 0.0)
        return TargetRange(low=low, high=None, reason=f"any target over {low:.1f}x")
    inside = [number for number, point in enumerate(curve.points) if want[0] <= point.rate <= want[1]]
    if inside:
        last = inside[-1] + 1
        below = curve.points[last].target if last < len(curve.points) else 0.0
        return TargetRange(low=below, high=curve.points[inside[0]].target)
    if curve.ceiling < want[0]:
        return TargetRange(
            low=None, high=None, reason=f"no target passes more than {100 * curve.ceiling:.0f} % of these runs"
        )
    return TargetRange(low=None, high=None, reason=f"{curve.runs} runs are too few: no target gives a rate in between")
