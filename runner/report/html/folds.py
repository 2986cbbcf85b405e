"""All that a page shows of one run when it is unfolded, within the room that the page has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.records.grading import Finding, Quality
from runner.records.outcome import Outcome
from runner.records.run import Run, SnapshotRecord, best_so_far
from runner.report.episode_view import episode_lines
from runner.report.html.charts import tone_of
from runner.report.html.diff import diff_lines, whole_lines
from runner.report.html.lines import Cut, Line, cut, from_terminal
from runner.report.run_view import MARKS, RunSummary
from runner.store.jobs import StoredJob
from runner.store.results import submission_bytes
from runner.store.transcript import transcript_or_reason

OUTPUT_LINES = 40  # of one output; chosen: as much as is read without a search
FINDINGS_MAX = 80  # chosen: some times the checks of any task
# The share of a run's room that its changes may take; what they leave goes to the transcript. chosen.
DIFF_SHARE = 0.5
NOTHING = Cut(lines=(), more=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """A run, unfolded.

    Attributes:
        summary: its line in the table.
        tone: class of its outcome's colour.
        outcome: None where it has none yet.
        findings: what the checks found, failures first; `findings_left_out` more are not shown.
        compared: whether `changes` is a difference; else it is the whole submission.
        changes, transcript: as far as there is room.
        submission_path, transcript_path: where the whole is, in the job's folder; empty where there is none.
        missing: what could not be read, in sentences.
    """

    summary: RunSummary
    tone: str
    outcome: Outcome | None
    findings: tuple[Finding, ...]
    findings_left_out: int
    notes: tuple[str, ...]
    quality: Quality | None
    snapshots: tuple[tuple[SnapshotRecord, float | None], ...]
    submission: str
    compared: bool
    changes: Cut
    transcript: Cut
    submission_path: str
    transcript_path: str
    missing: tuple[str, ...]

    @property
    def number(self) -> int:
        return self.summary.number


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMaterial:
    """Where a run's texts come from.

    Attributes:
        source: the submission's bytes; None where there are none.
        starter: what it is compared with; None where that is not known.
        missing: what could not be read.
    """

    run: Run | None
    summary: RunSummary
    source: bytes | None
    starter: bytes | None
    transcript: Path | None
    missing: tuple[str, ...]


def run_material(job: StoredJob, summary: RunSummary, starter: bytes | None) -> RunMaterial:
    """What there is of a run."""
    run = job.runs.get(summary.number)
    transcript = job.transcripts.get(summary.number)
    found = submission_bytes(job.folder, run) if run is not None and run.submission is not None else None
    missing = [found] if isinstance(found, str) else []
    if transcript is None and (run is None or run.episode is not None):
        missing.append("its transcript is not there")
    source = found if isinstance(found, bytes) else None
    return RunMaterial(
        run=run, summary=summary, source=source, starter=starter, transcript=transcript, missing=tuple(missing)
    )


def fold(material: RunMaterial, room: int) -> Fold:
    """A run, unfolded.

    Args:
        room: bytes that its changes and its transcript may take on the page.
    """
    run, grading = material.run, material.run.grading if material.run is not None else None
    findings = _worst_first(grading.findings if grading is not None else ())
    changes = cut(_changes(material), int(DIFF_SHARE * room)) if room else NOTHING
    left = room - sum(line.bytes_max for line in changes.lines)
    submission = run.submission if run is not None else None
    transcript, unread = _transcript(material.transcript, left) if room else (NOTHING, "")
    return Fold(
        summary=material.summary,
        tone=tone_of(material.summary.outcome),
        outcome=run.outcome if run is not None else None,
        findings=findings[:FINDINGS_MAX],
        findings_left_out=max(0, len(findings) - FINDINGS_MAX),
        notes=grading.notes[:FINDINGS_MAX] if grading is not None else (),
        quality=grading.quality if grading is not None else None,
        snapshots=tuple(zip(run.snapshots, best_so_far(run.snapshots), strict=True)) if run is not None else (),
        submission=f"{submission.path}, {submission.bytes} bytes, SHA-256 {submission.sha256}" if submission else "",
        compared=material.starter is not None,
        changes=changes,
        transcript=transcript,
        submission_path=_inside(material, submission.stored_at or submission.path) if submission else "",
        transcript_path=_inside(material, material.transcript.name) if material.transcript else "",
        missing=(*material.missing, *([unread] if unread else [])),
    )


def _worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    order = {mark: place for place, mark in enumerate(("fail", "unchecked", "warn", "pass"))}
    assert order.keys() == MARKS.keys()
    return tuple(sorted(findings, key=lambda finding: order[finding.mark]))


def _inside(material: RunMaterial, path: str) -> str:
    return f"run_{material.summary.number}/{Path(path).name}"


def _changes(material: RunMaterial) -> Iterator[Line]:
    if material.source is None:
        return iter(())
    if material.starter is None:
        return whole_lines(material.source)
    return diff_lines(material.starter, material.source)


def _transcript(path: Path | None, room: int) -> tuple[Cut, str]:
    """(a transcript as far as there is room, why it cannot be read: empty where it can)."""
    found = transcript_or_reason(path) if path is not None else ""
    if isinstance(found, str):
        return NOTHING, found
    return cut(from_terminal(episode_lines(found, OUTPUT_LINES)), room), ""
