"""Runs that stand out: the best, the near miss, the shortest, the closest to the starter."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.records.outcome import OutcomeKind
from runner.records.run import Run
from runner.report.analysis.targets import highest_target


@dataclass(frozen=True, slots=True, kw_only=True)
class NotableRun:
    """A run that stands out.

    Attributes:
        title: in what.
        run: its number.
        detail: the figures that say so.
    """

    title: str
    run: int
    detail: str


def notable_runs(
    runs: Sequence[Run], target: float | None, kept: Mapping[int, float], lines: Mapping[int, int]
) -> list[NotableRun]:
    """The runs that stand out, as far as there are any.

    Args:
        kept: by run, the share of the starter's syntax that its submission still has, 0 to 1.
        lines: of each submission that was parsed, by run.
    """
    passed = [run for run in runs if run.outcome.kind is OutcomeKind.PASSED]
    found = [_best(passed), _near_miss(runs, target), _shortest(passed, lines), _closest_to_the_starter(passed, kept)]
    return [run for run in found if run is not None]


def _best(passed: Sequence[Run]) -> NotableRun | None:
    measured = [(run.speedup.estimate, run) for run in passed if run.speedup is not None]
    if not measured:
        return None
    estimate, run = max(measured, key=lambda entry: entry[0])
    return NotableRun(title="Best", run=run.number, detail=f"{estimate:.2f}x")


def _near_miss(runs: Sequence[Run], target: float | None) -> NotableRun | None:
    """The fastest of those that only their speed kept from passing, with its distance in resolutions."""
    if target is None:
        return None
    slow = [(run.speedup, run) for run in runs if run.speedup is not None and _only_its_speed_failed(run, target)]
    if not slow:
        return None
    speedup, run = max(slow, key=lambda entry: entry[0].estimate)
    distance = math.log(target / speedup.estimate)
    detail = f"{speedup.estimate:.2f}x against {target:g}x"
    if distance > 0.0 and speedup.resolution is not None and speedup.resolution > 1.0:
        detail += f", {distance / math.log(speedup.resolution):.1f} times what could be told"
    return NotableRun(title="Near miss", run=run.number, detail=detail)


def _only_its_speed_failed(run: Run, target: float) -> bool:
    if run.outcome.kind is OutcomeKind.INCONCLUSIVE:
        return highest_target(run, target) is not None
    return run.outcome.kind in (OutcomeKind.TOO_SLOW, OutcomeKind.UNSTABLE)


def _shortest(passed: Sequence[Run], lines: Mapping[int, int]) -> NotableRun | None:
    sized = [(run.submission.bytes, run) for run in passed if run.submission is not None]
    if not sized:
        return None
    size, run = min(sized, key=lambda entry: entry[0])
    said = f"{lines[run.number]} lines, " if run.number in lines else ""
    return NotableRun(title="Shortest", run=run.number, detail=f"{said}{size} bytes")


def _closest_to_the_starter(passed: Sequence[Run], kept: Mapping[int, float]) -> NotableRun | None:
    shares = [(kept[run.number], run) for run in passed if run.number in kept]
    if not shares:
        return None
    share, run = max(shares, key=lambda entry: entry[0])
    return NotableRun(
        title="Most conservative", run=run.number, detail=f"keeps {100 * share:.0f} % of the starter's syntax"
    )
