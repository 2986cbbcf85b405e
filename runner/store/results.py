"""results.json: the records as JSON. Pure; ratios come from unrounded times."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from runner.faults import UsageFault
from runner.records.episode import EpisodeSummary
from runner.records.grading import Correctness, Finding, Interval, Measurement, QualityRound, Rules, Sample
from runner.records.outcome import Infrastructure, Passed, reward
from runner.records.run import SCHEMA, JobConfig, Run, SnapshotGrade, Totals


def results_json(request: JobConfig, runs: Sequence[Run], totals: Totals, lock: Mapping[str, Any]) -> dict[str, Any]:
    """The whole of results.json."""
    return {
        "schema": SCHEMA,
        "job": asdict(request),
        "lock": dict(lock),
        "runs": [run_json(run) for run in sorted(runs, key=lambda run: run.number)],
        "totals": asdict(totals),
    }


def run_json(run: Run) -> dict[str, Any]:
    """One run: number, outcome, reward, reason, speedup, accuracy, findings, samples, submission."""
    return {
        "number": run.number,
        "outcome": run.outcome.name,
        "reward": reward(run.outcome),
        "reason": run.outcome.reason,
        "hint": run.outcome.hint if isinstance(run.outcome, Infrastructure) else None,
        **measurement_json(run.measurement),
        "accuracy": correctness_json(run.correctness),
        "rules": asdict(run.rules) if run.rules else None,
        "notes": list(run.notes),
        "findings": [asdict(finding) for finding in run.findings],
        "submission": {
            "path": run.submission.path,
            "sha256": run.submission.sha256,
            "bytes": len(run.submission.content),
            "stored_at": run.stored_at,
            "snapshot_turn": run.submission.snapshot_turn,
        }
        if run.submission
        else None,
        "episode": episode_json(run.episode),
        "snapshots": snapshots_json(run.snapshots),
        "enforced": dict(run.enforced),
    }


def episode_json(episode: EpisodeSummary | None) -> dict[str, Any] | None:
    """The episode in figures, with the share of the sent tokens that came from the vendor's cache."""
    return {**asdict(episode), "cache_hit_rate": episode.usage.cache_hit_rate} if episode is not None else None


def snapshots_json(snapshots: Sequence[SnapshotGrade]) -> list[dict[str, Any]]:
    """Each state of the file over turns, tokens and dollars, with the best speed-up of a passing one so far."""
    best, rows = None, []
    for entry in snapshots:
        snapshot, speedup = entry.snapshot, entry.measurement.speedup if entry.measurement else None
        if isinstance(entry.outcome, Passed):
            value = speedup.estimate if speedup is not None else 1.0
            best = value if best is None else max(best, value)
        rows.append(
            {
                "turn": snapshot.turn,
                "sha256": snapshot.sha256,
                "bytes": len(snapshot.content),
                "stored_at": entry.stored_at,
                "tokens": snapshot.usage.total,
                "dollars": snapshot.dollars,
                "working_s": snapshot.working_s,
                "outcome": entry.outcome.name if entry.outcome else None,
                "reward": reward(entry.outcome) if entry.outcome else None,
                "reason": entry.outcome.reason if entry.outcome else None,
                "speedup": interval_json(speedup),
                "quality": entry.correctness.candidate if entry.correctness else None,
                "best_so_far": best,
            }
        )
    return rows


def measurement_json(measured: Measurement | None) -> dict[str, Any]:
    """Speed-up, seconds, guards, and the samples and seeds that they come from."""
    if measured is None:
        return {"speedup": None, "seconds": None, "guards": None, "samples": [], "seeds": []}
    return {
        "speedup": interval_json(measured.speedup),
        "seconds": {"baseline": measured.baseline_s, "candidate": measured.candidate_s},
        "guards": {
            "median_ratio": measured.median_ratio,
            "total_ratio": measured.total_ratio,
            "slowest_over_median": measured.slowest_over_median,
            "baseline_drift": measured.drift,
        },
        "samples": [asdict(sample) for sample in measured.samples],
        "seeds": [f"{seed:#x}" for seed in measured.seeds],
    }


def correctness_json(correct: Correctness | None) -> dict[str, Any] | None:
    """Quality of both sides, the bar, the bounds of the difference, and the data sets that they come from."""
    if correct is None:
        return None
    return {
        "name": correct.name,
        "baseline": correct.baseline,
        "candidate": correct.candidate,
        "difference": correct.difference,
        "bar": correct.bar,
        "tolerance": correct.tolerance,
        "low": correct.low,
        "high": correct.high,
        "rounds": [asdict(entry) for entry in correct.rounds],
    }


def interval_json(interval: Interval | None) -> dict[str, Any] | None:
    """estimate, low, high, and what they rest on."""
    return asdict(interval) if interval is not None else None


_SAMPLES = TypeAdapter(tuple[Sample, ...])
_FINDINGS = TypeAdapter(tuple[Finding, ...])
_ROUNDS = TypeAdapter(tuple[QualityRound, ...])
_RULES = TypeAdapter(Rules)


@dataclass(frozen=True, slots=True)
class GradedRecord:
    """Everything that a run's verdict follows from.

    Attributes:
        seeds: of its rounds, by round number from 1.
    """

    number: int
    samples: tuple[Sample, ...]
    findings: tuple[Finding, ...]
    qualities: tuple[QualityRound, ...]
    rules: Rules
    seeds: tuple[int, ...]


def read_json(path: Path) -> Any:
    """A JSON file of a job.

    Raises:
        UsageFault: it is not there, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageFault(
            cause=f"{path} is not there", hint="name the folder of a job, such as output/latest"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageFault(cause=f"{path} cannot be read: {error}", hint="it may have been cut off or changed") from error


def graded_record(raw: Mapping[str, Any]) -> GradedRecord | None:
    """The record of a run as results.json has it; None where it was not graded.

    Raises:
        ValueError: it does not have the form that it must have.
    """
    if not raw.get("rules"):
        return None
    try:
        return GradedRecord(
            number=int(raw["number"]),
            samples=_SAMPLES.validate_python(raw["samples"]),
            findings=_FINDINGS.validate_python([_with_about(finding) for finding in raw["findings"]]),
            qualities=_ROUNDS.validate_python((raw.get("accuracy") or {}).get("rounds", ())),
            rules=_RULES.validate_python(raw["rules"]),
            seeds=tuple(int(seed, 16) for seed in raw["seeds"]),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise ValueError(f"run {raw.get('number')}: {error}") from error


def _with_about(finding: Mapping[str, Any]) -> dict[str, Any]:
    """A finding of a record in which what a check is about stood behind a colon of its name."""
    check, _, about = str(finding["check"]).partition(":")
    return {"about": about, **finding, "check": check}


def submission_of(folder: Path, raw: Mapping[str, Any]) -> bytes | str:
    """The bytes of a run's submission from the job's folder, or why they can't be had."""
    about = raw.get("submission")
    if not about:
        return "it has no submission"
    path = folder / f"run_{int(raw['number'])}" / Path(str(about.get("stored_at") or about["path"])).name
    try:
        return path.read_bytes()
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
