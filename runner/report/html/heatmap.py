"""The similarity of submissions as a map of squares, ordered by the groups in which they do the same. Pure."""

from collections import defaultdict
from dataclasses import dataclass

from runner.report.analysis.convergence import Convergence

LEVELS = 10  # chosen: more shades cannot be told apart
# Pixels of a square: chosen so that ten runs fit on a phone with their figures, and two hundred on a screen.
SIDE, SIDE_MIN, WIDE = 30, 4, 640
FIGURES_MAX = 12  # runs; chosen: with more, a square has no room for its figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """A group's outline, in squares from the top left."""

    at: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """A square map, one row and column a run.

    Attributes:
        runs: in the order of the rows.
        shades: (level 0 to `LEVELS`, path in units of a square) of the squares of each shade.
        figures: (percent, level of its shade) by row, where there is room for them.
        groups: outlines of the groups of more than one run.
        side: pixels of a square.
    """

    runs: tuple[int, ...]
    shades: tuple[tuple[int, str], ...]
    figures: tuple[tuple[tuple[int, int], ...], ...]
    groups: tuple[Square, ...]
    side: int

    @property
    def size(self) -> int:
        """Pixels of the whole map."""
        return self.side * len(self.runs)


def heatmap(found: Convergence) -> Heatmap | None:
    """The map of a job's submissions; None with fewer than two."""
    if len(found.runs) < 2:
        return None
    order = [run for group in found.groups for run in group]
    places = [found.runs.index(run) for run in order]
    rows = [[found.similarity[row][column] for column in places] for row in places]
    paths: dict[int, list[str]] = defaultdict(list)
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            paths[_level(value)].append(f"M{x} {y}h1v1h-1z")
    few = len(order) <= FIGURES_MAX
    return Heatmap(
        runs=tuple(order),
        shades=tuple((level, "".join(paths[level])) for level in sorted(paths)),
        figures=tuple(tuple((round(100 * value), _level(value)) for value in row) for row in rows) if few else (),
        groups=tuple(_outlines(found)),
        side=SIDE if few else max(SIDE_MIN, min(SIDE, WIDE // len(order))),
    )


def _level(value: float) -> int:
    return round(LEVELS * value)


def _outlines(found: Convergence) -> list[Square]:
    outlines, at = [], 0
    for group in found.groups:
        if len(group) > 1:
            outlines.append(Square(at=at, size=len(group)))
        at += len(group)
    return outlines
