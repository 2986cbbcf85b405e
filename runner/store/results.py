"""results.json: runs and totals as JSON, and back. Ratios come from unrounded times.

Written in the form `SCHEMA` of `runner.records.run`; jobs of form 1 are read, too. A run that does not have the form that it
must have is an error that names it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from runner.faults import UsageFault
from runner.records.episode import EpisodeSummary
from runner.records.grading import Finding, Grading, Interval, Measurement, Quality, Rules, Sample
from runner.records.outcome import Outcome, OutcomeKind, reward
from runner.records.run import SCHEMA, JobConfig, Run, SnapshotRecord, SubmissionRecord, Totals, best_so_far
from runner.records.untrusted_json import plain_integer
from runner.store.files import read_regular

Json = dict[str, Any]
Record = TypeVar("Record")

_OUTCOME = TypeAdapter(OutcomeKind)
_EPISODE = TypeAdapter(EpisodeSummary)
_SUBMISSION = TypeAdapter(SubmissionRecord)
_SNAPSHOT = TypeAdapter(SnapshotRecord)
_SAMPLES = TypeAdapter(tuple[Sample, ...])
_FINDINGS = TypeAdapter(tuple[Finding, ...])
_FIGURES = TypeAdapter(dict[str, float | None])
_INTERVAL = TypeAdapter(Interval)
_QUALITY = TypeAdapter(Quality)
_RULES = TypeAdapter(Rules)
_TOTALS = TypeAdapter(Totals)
_CONFIG = TypeAdapter(JobConfig)
CHANGED = "it may have been cut off or changed: put back a copy of it, or name another job"
# Keys of form 1, by what they are called now.
_OLD_KEYS = {"quality": "accuracy", "hint": "mend", "concurrency": "jobs", "grade_last": "take_last"}


# Writing


def results_json(config: JobConfig, runs: Sequence[Run], totals: Totals, lock: Mapping[str, Any]) -> Json:
    """The whole of results.json."""
    return {
        "schema": SCHEMA,
        "job": asdict(config),
        "lock": dict(lock),
        "runs": [run_json(run) for run in sorted(runs, key=lambda run: run.number)],
        "totals": asdict(totals),
    }


def run_json(run: Run) -> Json:
    """One run: its outcome, the grading's figures, submission, episode, snapshots, enforced limits, host."""
    return {
        "number": run.number,
        **outcome_json(run.outcome),
        **grading_json(run.grading),
        "submission": asdict(run.submission) if run.submission else None,
        "episode": _episode_json(run.episode),
        "snapshots": [
            _snapshot_json(snapshot, best)
            for snapshot, best in zip(run.snapshots, best_so_far(run.snapshots), strict=True)
        ],
        "enforced": run.enforced,
        **({"host": run.host, "lost_on": list(run.lost_on)} if run.host or run.lost_on else {}),
    }


def outcome_json(outcome: Outcome) -> Json:
    """outcome, reward (1.0, 0.0 or null), reason, hint (null where there is none)."""
    return {
        "outcome": outcome.kind.value,
        "reward": reward(outcome),
        "reason": outcome.reason,
        "hint": outcome.hint or None,
    }


def grading_json(grading: Grading | None) -> Json:
    """Speed-up, audit, seconds, guards, samples, seeds, quality, rules, notes, preloads, findings, where graded."""
    measurement = grading.measurement if grading else None
    return {
        **measurement_json(measurement),
        "quality": quality_json(grading.quality if grading else None),
        "rules": asdict(grading.rules) if grading and grading.rules else None,
        "notes": list(grading.notes) if grading else [],
        "preloaded": {side: list(names) for side, names in grading.preloaded.items()} if grading else {},
        "findings": [asdict(finding) for finding in grading.findings] if grading else [],
    }


def measurement_json(measurement: Measurement | None) -> Json:
    """Speed-up, audit, seconds, guards, and the samples and seeds that they come from."""
    if measurement is None:
        return {"speedup": None, "audit": None, "seconds": None, "guards": None, "samples": [], "seeds": []}
    return {
        "speedup": asdict(measurement.speedup) if measurement.speedup else None,
        "audit": asdict(measurement.audit) if measurement.audit else None,
        "seconds": {"baseline": measurement.baseline_s, "candidate": measurement.candidate_s},
        "guards": {
            "median_ratio": measurement.median_ratio,
            "total_ratio": measurement.total_ratio,
            "slowest_over_median": measurement.slowest_over_median,
            "baseline_drift": measurement.drift,
        },
        "samples": [asdict(sample) for sample in measurement.samples],
        "seeds": [f"{seed:#x}" for seed in measurement.seeds],
    }


def quality_json(quality: Quality | None) -> Json | None:
    """Quality of both sides, the bar, the bounds of the difference, and the data sets that they come from."""
    return {**asdict(quality), "difference": quality.difference} if quality is not None else None


def _episode_json(episode: EpisodeSummary | None) -> Json | None:
    """The episode in figures, with the share of the sent tokens that came from the vendor's cache."""
    return {**asdict(episode), "cache_hit_rate": episode.usage.cache_hit_rate} if episode is not None else None


def _snapshot_json(snapshot: SnapshotRecord, best: float | None) -> Json:
    outcome = {"outcome": None, "reward": None, "reason": None, "hint": None}
    if snapshot.outcome is not None:
        outcome = outcome_json(snapshot.outcome)
    return {**asdict(snapshot), **outcome, "best_so_far": best}


# Reading


def load_json(path: Path) -> Any:
    """A JSON file of a job.

    Raises:
        OSError: it cannot be read.
        ValueError, RecursionError: it is not JSON that can be computed with.
    """
    return json.loads(read_regular(path).decode("utf-8"), parse_int=plain_integer)


def read_json(path: Path) -> Any:
    """A JSON file of a job.

    Raises:
        UsageFault: it is not there, or is not valid JSON.
    """
    try:
        return load_json(path)
    except FileNotFoundError as error:
        raise UsageFault(
            cause=f"{path} does not exist", hint="name the folder of a job, such as output/latest"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageFault(cause=f"{path} cannot be read: {error}", hint=CHANGED) from error


def read_config(raw: Mapping[str, Any]) -> JobConfig:
    """What a job was asked for, as job.json and results.json have it.

    Raises:
        ValueError: it does not have the form that it must have.
    """
    present = {key: recorded_value(raw, key) for key in JobConfig.__slots__ if key in raw or _OLD_KEYS.get(key) in raw}
    config = _finite(_validated(_CONFIG, present, "job"), "job")
    if config.target is not None and config.target <= 0.0:
        raise ValueError(f"job: target: {config.target:g} is no speed-up")
    return config


def read_totals(raw: Mapping[str, Any]) -> Totals:
    """The totals of results.json.

    Raises:
        ValueError: they do not have the form that they must have.
    """
    return _finite(_validated(_TOTALS, raw, "totals"), "totals")


def read_run(raw: Mapping[str, Any]) -> Run:
    """A run of results.json, of this form or of form 1.

    Raises:
        ValueError: it does not have the form that it must have; the message names the run.
    """
    if not isinstance(raw, Mapping):
        raise ValueError(f"a run is {type(raw).__name__}, and no object")
    name = f"run {raw.get('number')}"
    try:
        return _finite(_run(raw, name), name)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{name}: {error!r}") from error
    except ValueError as error:
        if str(error).startswith(f"{name}: "):
            raise
        raise ValueError(f"{name}: {error}") from error


def _run(raw: Mapping[str, Any], name: str) -> Run:
    outcome = _outcome(raw, name)
    enforced = dict(raw.get("enforced") or {})
    agent_enforced = enforced.pop("agent", None)
    return Run(
        number=int(raw["number"]),
        outcome=outcome,
        episode=_validated(_EPISODE, raw["episode"], name) if raw.get("episode") else None,
        submission=_validated(_SUBMISSION, raw["submission"], name) if raw.get("submission") else None,
        grading=_grading(raw, outcome, enforced, name),
        agent_enforced=agent_enforced,
        snapshots=tuple(_snapshot(entry, name) for entry in raw.get("snapshots") or ()),
        host=str(raw.get("host") or ""),
        lost_on=tuple(map(str, raw.get("lost_on") or ())),
    )


def _outcome(raw: Mapping[str, Any], name: str) -> Outcome:
    kind = _validated(_OUTCOME, raw["outcome"], name)
    return Outcome(kind, str(raw.get("reason") or ""), str(recorded_value(raw, "hint") or ""))


def _grading(raw: Mapping[str, Any], outcome: Outcome, enforced: Json, name: str) -> Grading | None:
    if not raw.get("rules") and not raw.get("findings") and not raw.get("submission"):
        return None
    quality = recorded_value(raw, "quality")
    return Grading(
        outcome=outcome,
        findings=_validated(_FINDINGS, [_with_about(entry) for entry in raw.get("findings") or ()], name),
        measurement=_measurement(raw, name) if raw.get("seconds") else None,
        quality=_validated(_QUALITY, quality, name) if quality else None,
        rules=_validated(_RULES, raw["rules"], name) if raw.get("rules") else None,
        notes=tuple(map(str, raw.get("notes") or ())),
        enforced=enforced,
        preloaded={side: tuple(map(str, names)) for side, names in (raw.get("preloaded") or {}).items()},
    )


def _with_about(finding: Mapping[str, Any]) -> Json:
    """A finding; in form 1, what a check is about is written behind a colon of its name."""
    if "about" in finding:
        return dict(finding)
    check, _, about = str(finding["check"]).partition(":")
    return {**finding, "check": check, "about": about}


def _measurement(raw: Mapping[str, Any], name: str) -> Measurement:
    guards, seconds = _validated(_FIGURES, raw.get("guards") or {}, name), _validated(_FIGURES, raw["seconds"], name)
    return Measurement(
        samples=_validated(_SAMPLES, raw["samples"], name),
        speedup=_validated(_INTERVAL, raw["speedup"], name) if raw.get("speedup") else None,
        baseline_s=seconds["baseline"],
        candidate_s=seconds["candidate"],
        seeds=tuple(int(seed, 16) for seed in raw["seeds"]),
        median_ratio=guards.get("median_ratio"),
        total_ratio=guards.get("total_ratio"),
        slowest_over_median=guards.get("slowest_over_median"),
        drift=guards.get("baseline_drift"),
        audit=_validated(_INTERVAL, raw["audit"], name) if raw.get("audit") else None,
    )


def _snapshot(raw: Mapping[str, Any], name: str) -> SnapshotRecord:
    outcome = _outcome(raw, name) if raw.get("outcome") else None
    return _validated(_SNAPSHOT, {**raw, "outcome": outcome}, name)


def recorded_value(raw: Mapping[str, Any], key: str) -> Any:
    """The value of a key, under its old name where it has only that."""
    return raw[key] if key in raw else raw.get(_OLD_KEYS.get(key, key))


def _validated(adapter: TypeAdapter[Record], raw: Any, name: str) -> Record:
    try:
        return adapter.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def not_finite(record: Any) -> str | None:
    """Where a record holds infinity or NaN; None where it holds neither.

    No record is written with one, and Python's JSON reads both: figures over all runs would be made of it.
    """
    if isinstance(record, float):
        return None if math.isfinite(record) else ""
    parts: Sequence[tuple[Any, Any]] = ()
    if is_dataclass(record):
        parts = [(field.name, getattr(record, field.name)) for field in fields(record)]
    elif isinstance(record, Mapping):
        parts = list(record.items())
    elif isinstance(record, list | tuple):
        parts = list(enumerate(record))
    for name, value in parts:
        if (place := not_finite(value)) is not None:
            return f"{name}.{place}".rstrip(".")
    return None


def _finite(record: Record, name: str) -> Record:
    """A record whose numbers are finite. A text such as "nan" counts as a number where one is wanted: it is seen only now.

    Raises:
        ValueError: it has another.
    """
    if (place := not_finite(record)) is not None:
        raise ValueError(f"{name}: {place}: not a finite number")
    return record


def submission_bytes(folder: Path, run: Run) -> bytes | str:
    """The bytes of a run's submission from the job's folder, or why there are none."""
    if run.submission is None:
        return "it has no submission"
    path = folder / f"run_{run.number}" / Path(run.submission.stored_at or run.submission.path).name
    try:
        return read_regular(path)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
