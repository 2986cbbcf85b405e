"""Ways to solve a part that no run took, each put into the best run's file and given a full verdict."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from runner.grading.context import Candidate
from runner.grading.grade import grade_all
from runner.job.measure.bench import Bench, Subject
from runner.job.variants import locate, swap
from runner.records.grading import Grading
from runner.records.measured import MissedWay
from runner.records.outcome import OutcomeKind
from runner.store.results import grading_json
from runner.tasks.strategies import Part, Strategy

DONOR, SOLUTION = "donor", "solution"


@dataclass(frozen=True, slots=True)
class Missed:
    """A way, and the best run's file with it.

    Attributes:
        record: all that is known before it is graded.
        content: None where the file could not be made.
    """

    record: MissedWay
    content: bytes | None = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.record.part}-{self.record.way}"


def missed_ways(bench: Bench, best: Subject, untaken: Mapping[str, tuple[int, ...]]) -> list[Missed]:
    """The ways that there is code for, of those that no passed run took.

    Args:
        untaken: by `part/way`, the failed runs that took it.
    """
    of_solution = _ways_of_solution(bench)
    found = []
    for part in bench.parts:
        for way in part.strategy:
            name = f"{part.name}/{way.id}"
            if name in untaken and (way.donor or name in of_solution):
                found.append(_missed(bench, best, part, way, untaken[name]))
    return found


def _ways_of_solution(bench: Bench) -> set[str]:
    """The ways of the task's solution, as far as they stand where the part does."""
    if bench.task.oracle is None:
        return set()
    places, found = bench.where_solved(bench.task.oracle), set()
    for part in bench.parts:
        own = places.reached(bench.definitions[bench.unit_of(part)])
        ways = (f"{part.name}/{way.id}" for way in part.strategy)
        found |= {way for way in ways if own & set(places.found.get(way, ()))}
    return found


def _missed(bench: Bench, best: Subject, part: Part, way: Strategy, failed: tuple[int, ...]) -> Missed:
    record = MissedWay(
        part=part.name,
        way=way.id,
        title=way.title,
        source=DONOR if way.donor else SOLUTION,
        failed_runs=failed,
        into=best.run,
    )
    made = _with_donor(bench, best, way) if way.donor else _with_solution(bench, best, part)
    if isinstance(made, str):
        return Missed(replace(record, reason=made), None)
    return Missed(record, made)


def _with_solution(bench: Bench, best: Subject, part: Part) -> bytes | str:
    assert bench.task.oracle is not None
    return bench.put_in(best.content, bench.task.oracle, [bench.unit_of(part)])


def _with_donor(bench: Bench, best: Subject, way: Strategy) -> bytes | str:
    """The best run's file with all functions and methods of a donor that the baseline has, too."""
    donor = way.donor.encode()
    given, known = locate(bench.ask, donor, {}), locate(bench.ask, bench.task.baseline, {})
    classes = {name.split(".")[0] for name in known.definitions if "." in name}
    names = [name for name in given.definitions if name in known.definitions and name not in classes]
    if not names:
        return given.error or "the donor has no definition that the baseline has"
    bytes_max = bench.task.file.submission.max_bytes
    return swap(bench.ask, best.content, donor, bench.task.baseline, names, bytes_max)


def grade_missed(bench: Bench, missed: Sequence[Missed]) -> Iterator[tuple[Missed, dict[str, Any] | str]]:
    """A full verdict on each, as soon as it is final, as it is kept; or how the host spoiled it.

    Raises:
        Interrupted: we are stopping.
    """
    made = []
    for each in missed:
        if each.content is None:
            yield each, {"record": asdict(each.record)}
        else:
            made.append(each)
    candidates = [Candidate(run, each.content or b"") for run, each in enumerate(made, 1)]
    for graded in grade_all(bench.context, candidates) if candidates else ():
        each, grading = made[graded.run - 1], graded.grading
        if grading.outcome.kind is OutcomeKind.INFRASTRUCTURE:
            yield each, grading.outcome.reason
        else:
            yield each, {"record": asdict(_graded(each.record, grading)), "evidence": grading_json(grading)}


def _graded(record: MissedWay, grading: Grading) -> MissedWay:
    quality = grading.quality
    return replace(
        record,
        outcome=grading.outcome.kind.value,
        reason=grading.outcome.reason,
        speedup=grading.measurement.speedup if grading.measurement else None,
        quality=quality.candidate if quality else None,
        quality_baseline=quality.baseline if quality else None,
    )
