"""results.json: the records as JSON. Pure; ratios come from unrounded times."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from runner.records.correctness import Correctness
from runner.records.job import SCHEMA, Request, Totals
from runner.records.measurement import Interval, Measurement
from runner.records.outcome import Infrastructure, Passed, reward
from runner.records.run import EpisodeSummary, Run, SnapshotGrade


def results_json(request: Request, runs: Sequence[Run], totals: Totals, lock: Mapping[str, Any]) -> dict[str, Any]:
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
        "mend": run.outcome.mend if isinstance(run.outcome, Infrastructure) else None,
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
