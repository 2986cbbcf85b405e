"""What a job has to grade: submissions, and the snapshots of their files where these are asked for. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from runner.grading.context import Candidate
from runner.grading.rounds import Graded
from runner.job.run import EndedEpisode, graded, ungraded
from runner.records.outcome import Infrastructure
from runner.records.run import Run, SnapshotGrade

# Snapshots are candidates of their own; their numbers lie above those of all runs.
SNAPSHOTS_FROM = 100_000


@dataclass
class Batch:
    """Gradings that are taken together; each run comes out when all of its own are known.

    Attributes:
        stored: where each run's submission is kept.
    """

    episodes: Sequence[EndedEpisode]
    stored: dict[int, str]
    with_snapshots: bool = False
    candidates: list[Candidate] = field(default_factory=list)
    _of: dict[int, tuple[int, str]] = field(default_factory=dict)
    _left: dict[int, set[int]] = field(default_factory=dict)
    _known: dict[tuple[int, str], Graded] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for episode in sorted(self.episodes, key=lambda one: one.number):
            self._left[episode.number] = set()
            if episode.submission is not None:
                self._add(episode.number, episode.number, episode.submission.sha256, episode.submission.content)
        if self.with_snapshots:
            for episode in sorted(self.episodes, key=lambda one: one.number):
                for entry in episode.snapshots:
                    number = SNAPSHOTS_FROM + len(self.candidates)
                    self._add(episode.number, number, entry.snapshot.sha256, entry.snapshot.content)

    def _add(self, run: int, candidate: int, sha256: str, content: bytes) -> None:
        if (run, sha256) in self._of.values():
            return  # the same bytes are graded once
        self._of[candidate] = (run, sha256)
        self._left[run].add(candidate)
        self.candidates.append(Candidate(candidate, content))

    def take(self, grading: Graded) -> Run | None:
        """Take in a grading; the run that it completes."""
        run, sha256 = self._of[grading.run]
        self._known[run, sha256] = grading
        self._left[run].discard(grading.run)
        return None if self._left[run] else self._finish(run)

    def give_up(self, fault: Infrastructure) -> list[Run]:
        """The runs that are not complete, with what is known of them; what is not known is a fault of the host's."""
        runs = []
        for run, left in sorted(self._left.items()):
            for candidate in sorted(left):
                self._known[self._of[candidate]] = Graded(candidate, fault)
            if left:
                left.clear()
                runs.append(self._finish(run))
        return runs

    def _finish(self, run: int) -> Run:
        episode = next(one for one in self.episodes if one.number == run)
        snapshots = tuple(self._graded(run, entry) for entry in episode.snapshots)
        if episode.submission is None:
            return ungraded(episode, snapshots)
        grading = self._known[run, episode.submission.sha256]
        return graded(episode, replace(grading, run=run), self.stored.get(run, ""), snapshots)

    def _graded(self, run: int, entry: SnapshotGrade) -> SnapshotGrade:
        grading = self._known.get((run, entry.snapshot.sha256))
        if grading is None:
            return entry
        return replace(entry, outcome=grading.verdict, measurement=grading.measurement, correctness=grading.correctness)
