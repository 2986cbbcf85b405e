"""A job's runs as a table: results.parquet, a row for each run. Only this module imports pyarrow, which is an extra."""

import io
from typing import Any

from runner.faults import UsageFault
from runner.records.outcome import reward
from runner.records.run import JobConfig, Run
from runner.records.untrusted_json import sanitize

NAME = "results.parquet"
# Columns and their types, as pyarrow names them; what was not measured is null.
COLUMNS = {
    "job": "string", "task": "string", "scale": "string", "target": "double", "agent": "string", "model": "string",
    "started": "string", "run": "int64", "outcome": "string", "reward": "double", "reason": "string",
    "speedup": "double", "speedup_low": "double", "speedup_high": "double", "confidence": "double", "rounds": "int64",
    "resolution": "double", "baseline_s": "double", "candidate_s": "double",
    "quality_name": "string", "quality_baseline": "double", "quality_candidate": "double", "quality_difference": "double",
    "failed_checks": "list", "turns": "int64", "calls": "int64", "seconds": "double", "ending": "string",
    "dollars": "double", "tokens_input": "int64", "tokens_cache_write": "int64", "tokens_cache_read": "int64",
    "tokens_output": "int64", "submission_sha256": "string", "submission_bytes": "int64",
}  # fmt: skip
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1  # what 64 bits of two's complement hold


def parquet_bytes(config: JobConfig, runs: list[Run]) -> bytes:
    """The file's content.

    Raises:
        UsageFault: pyarrow is not there.
    """
    try:
        import pyarrow  # an extra; and it takes its time
        import pyarrow.parquet
    except ImportError as error:
        raise UsageFault(
            cause="--format parquet needs the package pyarrow",
            hint="pip install 'pyarrow>=18', which is all that the extra runner[parquet] adds",
        ) from error
    types = {**{name: pyarrow.type_for_alias(name) for name in ("string", "double", "int64")}}
    types["list"] = pyarrow.list_(pyarrow.string())
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    table = pyarrow.Table.from_pylist([row_of(config, run) for run in runs], schema=schema)
    written = io.BytesIO()
    pyarrow.parquet.write_table(table, written)
    return written.getvalue()


def row_of(config: JobConfig, run: Run) -> dict[str, Any]:
    """A run's row: the keys of `COLUMNS`; text that no file could hold (a lone surrogate) becomes a question mark."""
    row = {**_asked(config), "run": run.number, "outcome": run.outcome.kind.value, "reward": reward(run.outcome)}
    row |= {"reason": run.outcome.reason, **_speed(run), **_quality(run), **_episode(run), **_submission(run)}
    return {name: _held(row.get(name), kind) for name, kind in COLUMNS.items()}


def _held(value: Any, kind: str) -> Any:
    """A value as its column holds it; a count that no column of int64 holds is null."""
    if kind == "int64":
        return value if value is not None and INT64_MIN <= value <= INT64_MAX else None
    return value if kind == "double" else sanitize(value)


def _asked(config: JobConfig) -> dict[str, Any]:
    return {
        "job": config.name,
        "task": config.task,
        "scale": config.scale,
        "target": config.target,
        "agent": config.agent,
        "model": config.model,
        "started": config.started,
    }


def _speed(run: Run) -> dict[str, Any]:
    measurement, speedup = run.grading.measurement if run.grading else None, run.speedup
    row: dict[str, Any] = {}
    if measurement is not None:
        row |= {"baseline_s": measurement.baseline_s, "candidate_s": measurement.candidate_s}
    if speedup is not None:
        row |= {"speedup": speedup.estimate, "speedup_low": speedup.low, "speedup_high": speedup.high}
        row |= {"confidence": speedup.confidence, "rounds": speedup.rounds, "resolution": speedup.resolution}
    return row


def _quality(run: Run) -> dict[str, Any]:
    if run.grading is None:
        return {}
    quality = run.grading.quality
    row: dict[str, Any] = {"failed_checks": [found.name for found in run.grading.findings if found.mark == "fail"]}
    if quality is not None:
        row |= {"quality_name": quality.name, "quality_baseline": quality.baseline}
        row |= {"quality_candidate": quality.candidate, "quality_difference": quality.difference}
    return row


def _episode(run: Run) -> dict[str, Any]:
    episode = run.episode
    if episode is None:
        return {}
    tokens = {
        f"tokens_{kind}": getattr(episode.usage, kind) for kind in ("input", "cache_write", "cache_read", "output")
    }
    figures = {name: getattr(episode, name) for name in ("turns", "calls", "seconds", "ending", "dollars")}
    return figures | tokens


def _submission(run: Run) -> dict[str, Any]:
    if run.submission is None:
        return {}
    return {"submission_sha256": run.submission.sha256, "submission_bytes": run.submission.bytes}
