"""Finding a job, and what is there of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.faults import UsageFault
from runner.records.run import JobConfig, Run, Totals
from runner.settings import Settings
from runner.store.results import CHANGED, read_config, read_json, read_run, read_totals
from runner.store.transcript import Transcript, read_transcript, transcripts_by_run

SUCH_AS = "name the folder of a job, such as output/latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """What is there of a job.

    Attributes:
        name, folder: of the job; the folder is no link.
        config: what was asked for; None where that was never written.
        totals: what it came to so far; None before the first record.
        lock: what it ran with.
        runs: those that have an outcome, by number.
        transcripts: where they are, by number.
        unread: runs of results.json that cannot be read, by number, and why.
    """

    name: str
    folder: Path
    config: JobConfig | None
    totals: Totals | None
    lock: Mapping[str, Any]
    runs: Mapping[int, Run]
    transcripts: Mapping[int, Path]
    unread: Mapping[int, str] = field(default_factory=dict)


def find_job(settings: Settings, given: Path) -> StoredJob:
    """A job by its folder, or by its name under the output folder.

    Raises:
        UsageFault: there is none, or its results cannot be read.
    """
    folder = _folder(settings, given)
    if folder is None:
        raise UsageFault(cause=f"{given} is not the folder of a job", hint=SUCH_AS)
    transcripts = transcripts_by_run(folder)
    path, asked = folder / "results.json", folder / "job.json"
    if not transcripts and not path.is_file() and not asked.is_file():
        raise UsageFault(cause=f"{folder} has neither results.json nor a run", hint=SUCH_AS)
    if not path.is_file():
        return _without_results(folder)
    return _read_results(folder, path, transcripts)


def _folder(settings: Settings, given: Path) -> Path | None:
    """The folder that is meant, if there is one."""
    return next((_behind_links(path) for path in (given, settings.output / given) if path.is_dir()), None)


def _behind_links(folder: Path) -> Path:
    """The folder that a link such as output/latest names now: it may name another job's before this one is written to."""
    while folder.is_symlink():
        folder = folder.parent / folder.readlink()
    return folder


def _without_results(folder: Path) -> StoredJob:
    return StoredJob(
        name=folder.resolve().name,
        folder=folder,
        config=_config_alone(folder / "job.json"),
        totals=None,
        lock=_lock_alone(folder / "lock.json"),
        runs={},
        transcripts=transcripts_by_run(folder),
    )


def find_what_is_left(settings: Settings, given: Path) -> tuple[StoredJob, str]:
    """(a job, what of it is lost): as `find_job`, and where its results cannot be read, what else there is of it.

    Raises:
        UsageFault: there is none, or nothing of it can be read.
    """
    try:
        return find_job(settings, given), ""
    except UsageFault as fault:
        folder = _folder(settings, given)
        if folder is None:
            raise
        job = _without_results(folder)
        if job.config is None and not job.transcripts:
            raise
        return job, f"outcomes: {fault.cause}"


def _config_alone(path: Path) -> JobConfig | None:
    """What job.json says was asked for; None where it cannot be read."""
    try:
        return read_config(read_json(path))
    except (UsageFault, ValueError, TypeError):
        return None


def _lock_alone(path: Path) -> Mapping[str, Any]:
    """What lock.json says the job ran with; nothing where it cannot be read."""
    try:
        raw = read_json(path)
    except UsageFault:
        return {}
    return raw if isinstance(raw, dict) else {}


def read_job(folder: Path) -> StoredJob:
    """The job of a folder that has its results.

    Raises:
        UsageFault: it has none, or they cannot be read.
    """
    folder = _behind_links(folder)
    return _read_results(folder, folder / "results.json", transcripts_by_run(folder))


def _read_results(folder: Path, path: Path, transcripts: Mapping[int, Path]) -> StoredJob:
    raw = read_json(path)
    try:
        runs, unread = _read_runs(raw["runs"])
        return StoredJob(
            name=folder.resolve().name,
            folder=folder,
            config=read_config(raw["job"]),
            totals=read_totals(raw["totals"]),
            lock=dict(raw["lock"]),
            runs=runs,
            transcripts=transcripts,
            unread=unread,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageFault(
            cause=f"{path} does not have the form of a job's results: {error}",
            hint=CHANGED,
        ) from error


def _read_runs(entries: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Run], dict[int, str]]:
    """(runs, why others cannot be read), by number: one that was spoiled does not take the others with it."""
    runs: dict[int, Run] = {}
    unread: dict[int, str] = {}
    for entry in entries:
        number = int(entry["number"])
        try:
            runs[number] = read_run(entry)
        except ValueError as error:
            unread[number] = str(error)
    return runs, unread


def find_transcript(job: StoredJob, number: int) -> Transcript:
    """The transcript of a run.

    Raises:
        UsageFault: there is no such run, or it left none.
    """
    if number not in job.transcripts:
        known = ", ".join(map(str, sorted(job.transcripts))) or "none"
        raise UsageFault(cause=f"job {job.name} has no transcript of run {number}", hint=f"runs that have one: {known}")
    return read_transcript(job.transcripts[number])
