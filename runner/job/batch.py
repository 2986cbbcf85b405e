"""What a job has to grade: submissions, and the snapshots of their files where these are asked for. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.grading.context import Candidate
from runner.grading.standing import Graded
from runner.job.run_episode import EndedEpisode
from runner.records.grading import Grading
from runner.records.outcome import Outcome
from runner.records.run import Run, SubmissionRecord

# Snapshots are candidates of their own; their numbers are above those of all runs.
SNAPSHOTS_FROM = 100_000


@dataclass
class Batch:
    """Submissions that are graded together; each run comes out when all of its own gradings are known.

    Attributes:
        stored: where each run's submission is kept, by number.
    """

    episodes: Sequence[EndedEpisode]
    stored: Mapping[int, str]
    with_snapshots: bool = False
    candidates: list[Candidate] = field(default_factory=list)
    _of: dict[int, tuple[int, str]] = field(default_factory=dict)
    _open: dict[int, set[int]] = field(default_factory=dict)
    _known: dict[tuple[int, str], Grading] = field(default_factory=dict)

    def __post_init__(self) -> None:
        episodes = sorted(self.episodes, key=lambda episode: episode.number)
        for episode in episodes:
            self._open[episode.number] = set()
            if episode.submission is not None:
                self._add(episode.number, episode.number, episode.submission.sha256, episode.submission.content)
        if self.with_snapshots:
            for episode in episodes:
                for record, content in zip(episode.run.snapshots, episode.snapshots, strict=True):
                    self._add(episode.number, SNAPSHOTS_FROM + len(self.candidates), record.sha256, content)

    def _add(self, run: int, candidate: int, sha256: str, content: bytes) -> None:
        if (run, sha256) in self._of.values():
            return  # the same bytes are graded once
        self._of[candidate] = (run, sha256)
        self._open[run].add(candidate)
        self.candidates.append(Candidate(candidate, content, owner=run))

    def add(self, graded: Graded) -> Run | None:
        """Record a grading; returns the run that it completes."""
        run, sha256 = self._of[graded.run]
        self._known[run, sha256] = graded.grading
        self._open[run].discard(graded.run)
        return None if self._open[run] else self._complete(run)

    def give_up(self, fault: Outcome) -> list[Run]:
        """The runs that are not complete, with what is known of them; what is not known ends with a fault of the host's."""
        runs = []
        for run, candidates in sorted(self._open.items()):
            for candidate in sorted(candidates):
                self._known[self._of[candidate]] = Grading(outcome=fault)
            if candidates:
                candidates.clear()
                runs.append(self._complete(run))
        return runs

    def _complete(self, number: int) -> Run:
        episode = next(episode for episode in self.episodes if episode.number == number)
        gradings = {record.sha256: self._known.get((number, record.sha256)) for record in episode.run.snapshots}
        snapshots = tuple(
            record.graded(grading) if (grading := gradings[record.sha256]) is not None else record
            for record in episode.run.snapshots
        )
        run = replace(episode.run, snapshots=snapshots)
        if episode.submission is None:
            return run
        grading = self._known[number, episode.submission.sha256]
        submission = SubmissionRecord.of(episode.submission, self.stored.get(number, ""))
        return replace(run, outcome=grading.outcome, grading=grading, submission=submission)
