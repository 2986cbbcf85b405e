"""Whose files are measured, and what a measurement costs. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.faults import UsageFault
from runner.grading.measurement import measured_rounds
from runner.grading.schedule import SAMPLES_PER_ROUND
from runner.records.outcome import OutcomeKind
from runner.records.run import Run
from runner.report.analysis.notable import notable_runs

BEST, MEDIAN, NEAR_MISS, SOLUTION_NAME = "best", "median", "near-miss", "solution"
USUAL = (BEST, MEDIAN, NEAR_MISS)
# Verdicts that rest on speed: the checks had nothing against these files.
SPEED_DECIDED = (OutcomeKind.PASSED, OutcomeKind.TOO_SLOW, OutcomeKind.UNSTABLE, OutcomeKind.INCONCLUSIVE)
ROUNDS_USUAL = 3  # of a file that was not graded; chosen: the first look of a grading
# Seconds that one more container adds. chosen: of a whole job of the flagship on two CPUs (start, imports, death); an
# estimate for a reader, nothing rests on it.
CONTAINER_S = 2.5


@dataclass(frozen=True, slots=True)
class Cost:
    """What a measurement takes.

    Attributes:
        lengths: times that the baseline takes.
        containers: that are started for it.
    """

    lengths: float = 0.0
    containers: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.lengths + other.lengths, self.containers + other.containers)

    def words(self, baseline_s: float | None) -> str:
        """For a reader; minutes where the baseline's time is known."""
        if not self.containers:
            return "nothing"
        lengths = f"{self.lengths:.0f} times the baseline's run, {self.containers} containers"
        if baseline_s is None:
            return lengths
        return (
            f"about {max(1.0, (self.lengths * baseline_s + self.containers * CONTAINER_S) / 60.0):.0f} min ({lengths})"
        )


def ablation_cost(rounds: int, parts: int, speedup: float | None) -> Cost:
    """Of a file with `parts` variants: together these take what the baseline takes, and the file's own time each."""
    own = (parts + 1) / max(1.0, speedup or 1.0)
    controls = 1.0 + own
    lengths = rounds * (1.0 + SAMPLES_PER_ROUND * (1.0 + own)) + controls
    return Cost(lengths, rounds * (2 + SAMPLES_PER_ROUND * (parts + 1)) + 2 * (parts + 1))


def pairs_cost(rounds: int, parts: int, speedup: float | None) -> Cost:
    """Of all pairs of parts: each part is put back once with each other one."""
    pairs = parts * (parts - 1) // 2
    own = (pairs + SAMPLES_PER_ROUND) / max(1.0, speedup or 1.0)
    return Cost(rounds * (1.0 + (parts - 1) + own) + parts, rounds * (2 + SAMPLES_PER_ROUND + pairs) + 2 * (pairs + 1))


def verdicts_cost(files: int, speedup: float | None, data_sets: int) -> Cost:
    """Of full verdicts on files that share their rounds."""
    own = files / max(1.0, speedup or 1.0)
    samples = ROUNDS_USUAL * (2 + files * SAMPLES_PER_ROUND) + files * (3 + 2 * data_sets)
    return Cost(ROUNDS_USUAL * (1.0 + SAMPLES_PER_ROUND * own) + 2 * own * data_sets, samples if files else 0)


def baseline_seconds(runs: Iterable[Run]) -> float | None:
    """The baseline's time in the job's gradings; None where nothing was measured."""
    found = [run.grading.measurement.baseline_s for run in runs if run.grading and run.grading.measurement]
    times = sorted(seconds for seconds in found if seconds is not None)
    return times[len(times) // 2] if times else None


def rounds_of(run: Run | None) -> int:
    """As many rounds as the file's own grading took."""
    if run is None or run.grading is None or run.grading.measurement is None:
        return ROUNDS_USUAL
    return max(2, measured_rounds(run.grading.measurement.samples) or ROUNDS_USUAL)


def chosen_runs(runs: Sequence[Run], target: float | None, names: Sequence[str]) -> dict[int, tuple[str, ...]]:
    """Why each run is chosen, by its number: by `best`, `median`, `near-miss`, or its own number.

    Raises:
        UsageFault: a name is none of these, or a run that there is not.
    """
    stands_out = {run.title: run.run for run in notable_runs(runs, target, {}, {})}
    known = {BEST: stands_out.get("Best"), MEDIAN: _median(runs), NEAR_MISS: stands_out.get("Near miss")}
    numbers = {run.number for run in runs}
    found: dict[int, list[str]] = {}
    for name in names:
        number = known[name] if name in known else _number(name, numbers)
        if number is not None:
            found.setdefault(number, []).append(name if name in known else "")
    return {number: tuple(name for name in why if name) for number, why in sorted(found.items())}


def _number(name: str, numbers: set[int]) -> int:
    if not name.isdecimal() or int(name) not in numbers:
        raise UsageFault(
            cause=f"--of {name}: is neither best, median, near-miss or solution, nor a run of this job",
            hint="`python -m runner show JOB` lists its runs",
        )
    return int(name)


def _median(runs: Sequence[Run]) -> int | None:
    """The middle one by speed, of those that the checks had nothing against; the slower of two."""
    measured = [
        (run.speedup.estimate, run.number)
        for run in runs
        if run.outcome.kind in SPEED_DECIDED and run.speedup is not None
    ]
    return sorted(measured)[(len(measured) - 1) // 2][1] if measured else None


def title_of(number: int, why: Sequence[str]) -> str:
    """`run 3 (best, median)`."""
    return f"run {number} ({', '.join(why)})" if why else f"run {number}"


def untaken_ways(taken: Mapping[int, set[str]], runs: Sequence[Run], ways: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The ways that no passed run took, each with the failed runs that did.

    Args:
        taken: by run, the ways (`part/way`) that its file takes.
    """
    passed = {run.number for run in runs if run.outcome.kind is OutcomeKind.PASSED}
    by_way = {way: [number for number, mine in sorted(taken.items()) if way in mine] for way in ways}
    return {way: tuple(numbers) for way, numbers in by_way.items() if not passed & set(numbers)}
