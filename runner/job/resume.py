"""What a job left that ended before its end, and what is still to do of it.

A run whose outcome the journal calls final is kept as it is. An episode that was over waits to be graded, in rounds that
start over. Every other run is played again, from its beginning or from the turns that its transcript has. A run that ended
for the host's sake has no final outcome: it is graded or played again, too.
"""

import contextlib
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.agents.recorded_answers import recorded_answers, turns_in
from runner.faults import UsageFault
from runner.job.agent_files import files_entry
from runner.job.played_task import task_folder_in
from runner.job.run_episode import EndedEpisode
from runner.records.episode import Submission
from runner.records.events import REPEATED_DOLLARS, BudgetEvent, EndEvent, NoteEvent, ResponseEvent, TurnEvent
from runner.records.outcome import OutcomeKind
from runner.records.run import JobConfig, Run, SubmissionRecord
from runner.store.job_folder import JobFolder, interrupted_transcripts
from runner.store.journal import EntryKind, ReadJournal
from runner.store.results import CHANGED, read_config, read_json, read_run, run_json, submission_bytes
from runner.store.transcript import NAME as TRANSCRIPT
from runner.store.transcript import read_transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What there is of a job.

    Attributes:
        finished: runs whose outcome is final.
        waiting: episodes that are over, to be graded.
        again: numbers of the runs to be played again, of which something is there.
        damage: what could not be read, a sentence each.
        seconds: that the job has taken so far, as far as it was recorded.
        dollars: that its model has cost so far, US dollars.
        task_folder: where its task was; None where that was not recorded.
        files: where its agent's files were, as `files_entry` has it; empty where that was not recorded.
        lock: what it ran with; empty where that was not recorded.
    """

    config: JobConfig
    finished: tuple[Run, ...] = ()
    waiting: tuple[EndedEpisode, ...] = ()
    again: tuple[int, ...] = ()
    damage: tuple[str, ...] = ()
    seconds: float = 0.0
    dollars: float = 0.0
    task_folder: Path | None = None
    files: Mapping[str, Any] = field(default_factory=dict)
    lock: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What is kept, and what is done."""
        left = self.config.runs - len(self.finished) - len(self.waiting)
        return (
            f"{len(self.finished)} of {self.config.runs} runs are final and kept, {len(self.waiting)} are graded, "
            f"{left} are played"
        )


# What is written while a job runs


def begun_entry(config: JobConfig, task_folder: Path) -> dict[str, Any]:
    """What the journal says when a runner begins with a job."""
    return {"job": asdict(config), "task": str(task_folder.absolute()), "files": files_entry(config)}


def submitted_entry(episode: EndedEpisode, stored_at: str) -> dict[str, Any]:
    """What the journal says of an episode that waits to be graded; the bytes are in the run's folder."""
    submission = None
    if episode.submission is not None:
        submission = asdict(SubmissionRecord.of(episode.submission, stored_at))
    return {**run_json(episode.run), "submission": submission}


# What is read afterwards


def read_remains(folder: JobFolder) -> Remains:
    """What a job left, as far as it can be read.

    Raises:
        UsageFault: not even what was asked for can be read, or it was changed.
    """
    found = folder.journal.found
    damage = [f"the journal, {words}" for words in found.damage]
    config = _config(folder.root, found, damage)
    finished = _finished(found, damage)
    if not found.entries:
        _check_only_record(folder.root / "results.json")
    _add_results(folder.root, config, finished, damage)
    waiting = _waiting(folder.root, config, found, finished, damage)
    begun = {number for number in range(1, config.runs + 1) if _transcripts(folder.root, number)}
    return Remains(
        config=config,
        finished=tuple(finished[number] for number in sorted(finished)),
        waiting=tuple(waiting[number] for number in sorted(waiting)),
        again=tuple(sorted(begun - finished.keys() - waiting.keys())),
        damage=tuple(damage),
        seconds=_seconds(folder.root),
        dollars=_dollars(folder.root, config),
        task_folder=task_folder_in(found.entries),
        files=_files(found),
        lock=_optional(folder.root / "lock.json"),
    )


def answers_so_far(folder: JobFolder, remains: Remains) -> dict[int, tuple[ResponseEvent, ...]]:
    """The model's answers in the whole turns of the episodes that are played again, by number of the run."""
    return {number: _answers(_transcripts(folder.root, number)) for number in remains.again}


def _transcripts(root: Path, number: int) -> list[Path]:
    """The transcripts of a run's episodes, the last one first."""
    run_folder = root / f"run_{number}"
    aside = reversed(interrupted_transcripts(run_folder))
    return [path for path in (run_folder / TRANSCRIPT, *aside) if path.is_file()]


def _answers(paths: Iterable[Path]) -> tuple[ResponseEvent, ...]:
    """Those of the last episode; one that still repeated an earlier one's, or had none yet, has not lost the rest."""
    longest: tuple[ResponseEvent, ...] = ()
    for path in paths:
        transcript = read_transcript(path)
        answers = recorded_answers(transcript)
        longest = max(longest, answers, key=turns_in)
        if answers and not any(REPEATED_DOLLARS in note.more for note in transcript.all(NoteEvent)):
            break
    return longest


def _contents(found: ReadJournal, kind: EntryKind) -> Iterator[Mapping[str, Any]]:
    return (entry.content for entry in found.entries if entry.kind == kind)


def _config(root: Path, found: ReadJournal, damage: list[str]) -> JobConfig:
    """What was asked for, as job.json says; as the journal, or results.json without one, does where that cannot be read."""
    begun, source = (
        next((entry["job"] for entry in _contents(found, EntryKind.BEGUN) if "job" in entry), None),
        "the journal",
    )
    if begun is None:
        begun, source = _optional(root / "results.json").get("job"), "results.json"
    raw = _optional(root / "job.json")
    if not raw and begun is not None:
        damage.append(f"job.json cannot be read; what was asked for is taken from {source}")
    if not raw and begun is None:
        raise UsageFault(
            cause=f"{root} does not say what was asked for: its job ended before it began",
            hint="move that folder away, and start a new job",
        )
    try:
        config = read_config(raw or begun or {})
        first = config if begun is None else read_config(begun)
    except (ValueError, TypeError) as error:
        raise UsageFault(cause=f"{root / 'job.json'} does not have the form of a job: {error}", hint=CHANGED) from None
    if _runs_asked(config) != _runs_asked(first):
        raise UsageFault(
            cause=f"{root / 'job.json'} is not what the job began with",
            hint="put back what was there, or start a new job",
        )
    return config


def _files(found: ReadJournal) -> Mapping[str, Any]:
    """Where the agent's files were when the job began."""
    named = (entry.get("files") for entry in _contents(found, EntryKind.BEGUN))
    return next((files for files in named if isinstance(files, dict)), {})


def _runs_asked(config: JobConfig) -> JobConfig:
    """What a job's runs are; how they are played may change from one runner to the next that goes on with them."""
    return replace(config, concurrency=1, fail_under=None, dollars_max=None, preflight=True)


def _finished(found: ReadJournal, damage: list[str]) -> dict[int, Run]:
    """The runs that the journal calls final; of two lines for one run the first holds."""
    runs: dict[int, Run] = {}
    for content in _contents(found, EntryKind.FINISHED):
        try:
            run = read_run(content)
        except ValueError as error:
            damage.append(f"the journal, {error}")
            continue
        if run.number in runs:
            damage.append(f"the journal calls run {run.number} final twice; the first holds")
        runs.setdefault(run.number, run)
    return runs


def _check_only_record(path: Path) -> None:
    """Refuse a job without a journal whose results.json is spoiled: its runs stand there alone, and it is written anew.

    Raises:
        UsageFault: it cannot be read, or a run in it cannot.
    """
    if not path.exists():
        return
    try:
        for raw in read_json(path)["runs"]:
            read_run(raw)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageFault(
            cause=f"{path} cannot be read: {error}; there is no journal, and it is the only record of the job's runs",
            hint=CHANGED,
        ) from error


def _add_results(root: Path, config: JobConfig, finished: dict[int, Run], damage: list[str]) -> None:
    """The final runs of results.json that the journal has lost, or that were written before there was one."""
    path = root / "results.json"
    runs = _optional(path).get("runs")
    for raw in runs if isinstance(runs, list) else ():
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            run = read_run(raw)
            is_final = run.outcome.kind is not OutcomeKind.INFRASTRUCTURE
            if is_final and 1 <= run.number <= config.runs and run.number not in finished:
                damage.append(f"the journal has no line for run {run.number}, which is taken from {path.name}")
                finished[run.number] = run


def _waiting(
    root: Path, config: JobConfig, found: ReadJournal, finished: Mapping[int, Run], damage: list[str]
) -> dict[int, EndedEpisode]:
    """The episodes that are over and have no final outcome; of two lines for one run the last holds."""
    waiting: dict[int, EndedEpisode] = {}
    for content in _contents(found, EntryKind.SUBMITTED):
        try:
            run = read_run(content)
            if run.number not in finished:
                waiting[run.number] = _episode(root, config, run)
        except ValueError as error:
            damage.append(f"{error}; its episode is played again")
            waiting.pop(int(content.get("number", 0)), None)
    return waiting


def _episode(root: Path, config: JobConfig, run: Run) -> EndedEpisode:
    """An episode with the bytes that it left.

    Raises:
        ValueError: they are not there, or not what was recorded.
    """
    submission = None
    if run.submission is not None:
        record, content = run.submission, submission_bytes(root, run)
        if isinstance(content, str):
            raise ValueError(f"run {run.number}: {content}")
        submission = Submission(path=record.path, content=content, snapshot_turn=record.snapshot_turn)
        if submission.sha256 != record.sha256:
            raise ValueError(f"run {run.number}: its submission is not the one that was recorded")
    snapshots = tuple(_snapshots(root, run)) if config.grade_snapshots else ()
    return EndedEpisode(run=replace(run, submission=None, grading=None), submission=submission, snapshots=snapshots)


def _snapshots(root: Path, run: Run) -> Iterator[bytes]:
    for record in run.snapshots:
        path = root / f"run_{run.number}" / "snapshots" / Path(record.stored_at).name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ValueError(f"run {run.number}: {path} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != record.sha256:
            raise ValueError(f"run {run.number}: {path} is not the state of its file that was recorded")
        yield content


def _optional(path: Path) -> dict[str, Any]:
    """A JSON object of the folder; empty where it is not there, or is none."""
    try:
        content = read_json(path)
    except UsageFault:
        return {}
    return content if isinstance(content, dict) else {}


def _seconds(root: Path) -> float:
    totals = _optional(root / "results.json").get("totals")
    seconds = totals.get("seconds") if isinstance(totals, dict) else None
    return float(seconds) if isinstance(seconds, int | float) and math.isfinite(seconds) else 0.0


def _dollars(root: Path, config: JobConfig) -> float:
    """What the episodes have cost by their transcripts, also those that were interrupted and begun again."""
    return sum(_dollars_of(path) for number in range(1, config.runs + 1) for path in _transcripts(root, number))


def _dollars_of(path: Path) -> float:
    """The largest sum that a transcript names: of its turns, or of the attempts that it lists."""
    transcript = read_transcript(path)
    named: Iterable[float] = (
        *(turn.dollars for turn in transcript.all(TurnEvent)),
        *(budget.spent.dollars for budget in transcript.all(BudgetEvent)),
        *(end.dollars for end in transcript.all(EndEvent)),
        sum(response.dollars for response in transcript.all(ResponseEvent)),
    )
    repeated = sum(float(note.more.get(REPEATED_DOLLARS, 0.0)) for note in transcript.all(NoteEvent))
    return max(0.0, max(named) - repeated)
