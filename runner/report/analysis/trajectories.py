"""How each run went: when there was a file, when one that passes, what it had used by then, and what ended it.

And how those that passed differ from those that failed in what they used and wrote; a difference of medians, no cause.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from runner.records.outcome import OutcomeKind, properties
from runner.records.run import Run, best_so_far


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPath:
    """How a run went.

    Attributes:
        run: its number.
        ended: why its episode ended, as recorded; its outcome where it had none.
        turns, tokens, dollars: what its episode used.
        first_file: the turn after which there was a file; None where there was none, or it was not kept.
        first_passing: the turn after which there was one that passes; None where none did, or no state was graded.
        states, graded: states of the file, and those that were graded.
        best: by turn of each graded state, the best speed-up so far of one that passes; None before there is one.
    """

    run: int
    ended: str
    turns: int
    tokens: int
    dollars: float
    first_file: int | None
    first_passing: int | None
    states: int
    graded: int
    best: tuple[tuple[int, float | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """What those that passed used or wrote, against those that failed.

    Attributes:
        what: the figure, with its unit.
        passed, failed: medians; None where none passed, or none failed.
    """

    what: str
    passed: float | None
    failed: float | None


def paths_of(runs: Sequence[Run]) -> tuple[RunPath, ...]:
    """Of the runs that had an episode."""
    return tuple(_path(run) for run in runs if run.episode is not None)


def _path(run: Run) -> RunPath:
    episode, states = run.episode, run.snapshots
    assert episode is not None
    graded = [state for state in states if state.outcome is not None]
    passing = [s.turn for s in graded if s.outcome is not None and s.outcome.kind is OutcomeKind.PASSED]
    best = zip((state.turn for state in graded), best_so_far(graded), strict=True)
    return RunPath(
        run=run.number,
        ended=episode.ending or run.outcome.kind.value,
        turns=episode.turns,
        tokens=episode.usage.total,
        dollars=episode.dollars,
        first_file=states[0].turn if states else None,
        first_passing=min(passing, default=None),
        states=len(states),
        graded=len(graded),
        best=tuple(best),
    )


def contrasts_of(runs: Sequence[Run], lines: Mapping[int, int]) -> tuple[Contrast, ...]:
    """Passed against failed, over the runs that count.

    Args:
        lines: of each submission that was parsed, by run.
    """
    values: dict[str, dict[int, float]] = {
        "turns": {run.number: run.episode.turns for run in runs if run.episode},
        "tokens": {run.number: run.episode.usage.total for run in runs if run.episode},
        "US dollars": {run.number: run.episode.dollars for run in runs if run.episode},
        "seconds": {run.number: run.episode.seconds for run in runs if run.episode},
        "bytes of the file": {run.number: run.submission.bytes for run in runs if run.submission},
        "lines of the file": dict(lines),
    }
    counted = {run.number: run.outcome.kind is OutcomeKind.PASSED for run in runs if properties(run.outcome).counts}
    found = [
        Contrast(
            what=what,
            passed=_median([value for run, value in of.items() if counted.get(run) is True]),
            failed=_median([value for run, value in of.items() if counted.get(run) is False]),
        )
        for what, of in values.items()
    ]
    return tuple(contrast for contrast in found if contrast.passed or contrast.failed)


def _median(values: Sequence[float]) -> float | None:
    return float(median(values)) if values else None
