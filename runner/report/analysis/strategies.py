"""Which way each submission solved each part of the task, how evenly they spread, and what came of each way."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from runner.records.outcome import OutcomeKind
from runner.records.run import Run
from runner.records.syntax import SyntaxFacts

NOVEL = "novel"  # a submission in which no known way was found


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPart:
    """A part of the task's problem.

    Attributes:
        ways: titles of the ways in which it is known to be solved, by id.
    """

    name: str
    ways: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way in which some submissions solved a part.

    Attributes:
        id, title: of the way; `novel` for none that is known.
        runs: those that took it; one run may take several.
        passed: how many of them passed.
        speedups: lowest and highest estimate among them; None where none was measured.
        lines: median length of their files.
    """

    id: str
    title: str
    runs: tuple[int, ...]
    passed: int
    speedups: tuple[float, float] | None
    lines: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFound:
    """How a part was solved.

    Attributes:
        name: of the part.
        submissions: how many were parsed; what the shares are of.
        ways: those that were taken, the most frequent first.
        untried: titles of known ways that no submission took.
        effective: the effective number of ways: the exponential of the entropy of their shares, with the correction of
            Miller (1955) and Madow for few runs.
    """

    name: str
    submissions: int
    ways: tuple[Way, ...]
    untried: tuple[str, ...]
    effective: float

    @property
    def leading_share(self) -> float:
        """The share of the submissions that took the most frequent way."""
        return len(self.ways[0].runs) / self.submissions if self.ways and self.submissions else 0.0


def parts_found(
    parts: Sequence[KnownPart], runs: Mapping[int, Run], submissions: Mapping[int, SyntaxFacts]
) -> tuple[PartFound, ...]:
    """How each part was solved, over the submissions that could be parsed.

    Args:
        submissions: by run; matches are named `part/way`.
    """
    parsed = {number: facts for number, facts in submissions.items() if not facts.error and facts.matches is not None}
    return tuple(_part_found(part, runs, parsed) for part in parts) if parsed else ()


def _part_found(part: KnownPart, runs: Mapping[int, Run], parsed: Mapping[int, SyntaxFacts]) -> PartFound:
    taken: dict[str, list[int]] = {}
    for number, facts in sorted(parsed.items()):
        found = [way for way in part.ways if f"{part.name}/{way}" in (facts.matches or {})]
        for way in found or [NOVEL]:
            taken.setdefault(way, []).append(number)
    counts = Counter({way: len(numbers) for way, numbers in taken.items()})
    return PartFound(
        name=part.name,
        submissions=len(parsed),
        ways=tuple(_way(way, part, taken[way], runs, parsed) for way, _ in counts.most_common()),
        untried=tuple(title for way, title in part.ways.items() if way not in taken),
        effective=effective_number(list(counts.values())),
    )


def _way(
    way: str, part: KnownPart, numbers: Sequence[int], runs: Mapping[int, Run], parsed: Mapping[int, SyntaxFacts]
) -> Way:
    taken = [runs[number] for number in numbers if number in runs]
    estimates = [run.speedup.estimate for run in taken if run.speedup is not None]
    return Way(
        id=way,
        title=part.ways.get(way, "no known way"),
        runs=tuple(numbers),
        passed=sum(run.outcome.kind is OutcomeKind.PASSED for run in taken),
        speedups=(min(estimates), max(estimates)) if estimates else None,
        lines=median(parsed[number].lines for number in numbers),
    )


def effective_number(counts: Sequence[int]) -> float:
    """The exponential of the entropy of shares, corrected upwards for few observations; 1 to the number of counts."""
    total = sum(counts)
    if not total:
        return 0.0
    entropy = -sum(count / total * math.log(count / total) for count in counts if count)
    return min(float(len(counts)), math.exp(entropy + (len(counts) - 1) / (2.0 * total)))
