"""Which way each submission solved each part of the task, how evenly they spread, and what came of each way."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from runner.records.outcome import OutcomeKind
from runner.records.run import Run
from runner.records.syntax import SyntaxFacts
from runner.report.analysis.convergence import groups_of, similarity_of

NOVEL = "novel"  # the part is there, and solved in no known way
NOT_SEEN = "not-seen"  # the part is not there at all
SEEN = "?"  # in place of a way, in the name of the rule that says whether the part is there at all


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPart:
    """A part of the task's problem.

    Attributes:
        ways: titles of the ways in which it is known to be solved, by id.
        seen_known: whether there is a rule that tells if the part is there at all; without one every submission without
            a known way is `novel`.
    """

    name: str
    ways: Mapping[str, str]
    seen_known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way in which some submissions solved a part.

    Attributes:
        id, title: of the way; `novel`, `novel-2`, ... for groups of submissions that solve it in no known way.
        runs: those that took it; one run may take several.
        passed: how many of them passed.
        speedups: lowest and highest estimate among them; None where none was measured.
        lines: median length of their files.
        qualities: lowest and highest among them; None where none was measured.
        excerpt: of a way that is not known: the beginning of the first submission's function, hostile text.
    """

    id: str
    title: str
    runs: tuple[int, ...]
    passed: int
    speedups: tuple[float, float] | None
    lines: float
    excerpt: str = ""
    qualities: tuple[float, float] | None = None

    @property
    def is_known(self) -> bool:
        """Whether the task names it; a group of those in no known way has no identity outside of its job."""
        return self.id != NOVEL and not self.id.startswith(f"{NOVEL}-")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFound:
    """How a part was solved.

    Attributes:
        name: of the part.
        submissions: how many were parsed; what the shares are of.
        ways: those that were taken, the most frequent first.
        not_seen: runs in whose submission the part is not there at all; they are in no way.
        untried: titles of known ways that no submission took.
        effective: the effective number of ways: the exponential of the entropy of their shares, with the correction of
            Miller (1955) and Madow for few runs.
    """

    name: str
    submissions: int
    ways: tuple[Way, ...]
    untried: tuple[str, ...]
    effective: float
    not_seen: tuple[int, ...] = ()

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


def ways_of(part: str, ways: Iterable[str], facts: SyntaxFacts, *, seen_known: bool = True) -> list[str]:
    """The ways that a submission took; `novel`, or `not-seen`, where it took none that is known."""
    matches = facts.matches or {}
    found = [way for way in ways if f"{part}/{way}" in matches]
    return found or [NOVEL if not seen_known or f"{part}/{SEEN}" in matches else NOT_SEEN]


def _part_found(part: KnownPart, runs: Mapping[int, Run], parsed: Mapping[int, SyntaxFacts]) -> PartFound:
    taken: dict[str, list[int]] = {}
    for number, facts in sorted(parsed.items()):
        for way in ways_of(part.name, part.ways, facts, seen_known=part.seen_known):
            taken.setdefault(way, []).append(number)
    not_seen = taken.pop(NOT_SEEN, [])
    groups = list(_novel_groups(part, taken.pop(NOVEL, []), parsed))
    found = [_way(way, part.ways[way], numbers, runs, parsed) for way, numbers in taken.items()]
    for place, numbers in enumerate(groups, 1):
        excerpt = (parsed[numbers[0]].matches or {}).get(f"{part.name}/{SEEN}", "")
        title = "no known way" if len(groups) == 1 else f"no known way ({place})"
        found.append(_way(NOVEL if place == 1 else f"{NOVEL}-{place}", title, numbers, runs, parsed, excerpt))
    return PartFound(
        name=part.name,
        submissions=len(parsed),
        ways=tuple(sorted(found, key=lambda way: -len(way.runs))),
        untried=tuple(title for way, title in part.ways.items() if way not in taken),
        effective=effective_number([len(way.runs) for way in found]),
        not_seen=tuple(not_seen),
    )


def _novel_groups(
    part: KnownPart, numbers: Sequence[int], parsed: Mapping[int, SyntaxFacts]
) -> Iterator[tuple[int, ...]]:
    """Submissions that solve a part in no known way, those together whose functions are alike."""
    if numbers:
        regions = [Counter(parsed[number].regions.get(f"{part.name}/{SEEN}", {})) for number in numbers]
        yield from groups_of(similarity_of(regions), numbers)


def _way(
    way: str,
    title: str,
    numbers: Sequence[int],
    runs: Mapping[int, Run],
    parsed: Mapping[int, SyntaxFacts],
    excerpt: str = "",
) -> Way:
    taken = [runs[number] for number in numbers if number in runs]
    measured = [run.grading.quality.candidate for run in taken if run.grading is not None and run.grading.quality]
    qualities = [quality for quality in measured if quality is not None]
    estimates = [run.speedup.estimate for run in taken if run.speedup is not None]
    return Way(
        id=way,
        title=title,
        runs=tuple(numbers),
        passed=sum(run.outcome.kind is OutcomeKind.PASSED for run in taken),
        speedups=(min(estimates), max(estimates)) if estimates else None,
        lines=median(parsed[number].lines for number in numbers),
        excerpt=excerpt,
        qualities=(min(qualities), max(qualities)) if qualities else None,
    )


def effective_number(counts: Sequence[int]) -> float:
    """The exponential of the entropy of shares, corrected upwards for few observations; 1 to the number of counts."""
    total = sum(counts)
    if not total:
        return 0.0
    entropy = -sum(count / total * math.log(count / total) for count in counts if count)
    return min(float(len(counts)), math.exp(entropy + (len(counts) - 1) / (2.0 * total)))
