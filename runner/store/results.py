"""results.json: the records as JSON. Pure; ratios come from unrounded times."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from runner.records.correctness import Correctness
from runner.records.job import SCHEMA, Request, Totals
from runner.records.measurement import Interval, Measurement
from runner.records.outcome import Infrastructure, reward
from runner.records.run import Run


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
        }
        if run.submission
        else None,
        "episode": asdict(run.episode) if run.episode else None,
        "enforced": dict(run.enforced),
    }


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
