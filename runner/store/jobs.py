"""Finding a job, and what is there of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.faults import UsageFault
from runner.settings import Settings
from runner.store.results import read_json
from runner.store.transcript import Transcript, read_transcript, transcripts_by_run


@dataclass(frozen=True, slots=True)
class Found:
    """What is there of a job.

    Attributes:
        job, totals, lock: what was asked for, what it came to so far, and what it ran with.
        runs: of results.json, by number.
        transcripts: where they are, by number.
    """

    name: str
    job: dict[str, Any]
    totals: dict[str, Any]
    lock: dict[str, Any]
    runs: dict[int, dict[str, Any]]
    transcripts: dict[int, Path]


def find_job(settings: Settings, given: Path) -> Found:
    """A job by its folder or its name.

    Raises:
        UsageFault: there is none, or its results are spoiled.
    """
    folder = next((path for path in (given, settings.output / given) if path.is_dir()), None)
    if folder is None:
        raise UsageFault(cause=f"{given} is no job", hint="name the folder of a job, such as output/latest")
    transcripts = transcripts_by_run(folder)
    path = folder / "results.json"
    if not transcripts and not path.is_file():
        raise UsageFault(
            cause=f"{folder} holds neither results.json nor a run",
            hint="name the folder of a job, such as output/latest",
        )
    results = read_json(path) if path.is_file() else {"job": {}, "totals": {}, "lock": {}, "runs": []}
    try:
        runs = {int(run["number"]): run for run in results["runs"]}
        job, totals, lock = (dict(results[part]) for part in ("job", "totals", "lock"))
        return Found(folder.resolve().name, job, totals, lock, runs, transcripts)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageFault(
            cause=f"{path} is no record of a job: {error!r}", hint="it may have been cut off or changed"
        ) from error


def find_transcript(found: Found, number: int) -> Transcript:
    """The transcript of a run.

    Raises:
        UsageFault: there is no such run, or it left none.
    """
    if number not in found.transcripts:
        known = ", ".join(map(str, sorted(found.transcripts))) or "none"
        raise UsageFault(
            cause=f"job {found.name} has no transcript of run {number}", hint=f"choose one that has: {known}"
        )
    return read_transcript(found.transcripts[number])
