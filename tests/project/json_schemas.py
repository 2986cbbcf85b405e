"""JSON Schemas of results.json and analysis.json, from the records' types and what their docstrings say of each field."""

import inspect
import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

from runner.records.episode import EpisodeSummary
from runner.records.grading import Finding, Interval, Quality, Rules, Sample
from runner.records.outcome import OutcomeKind
from runner.records.run import SCHEMA, JobConfig, SnapshotRecord, SubmissionRecord, Totals
from runner.report.analysis.analysis import SCHEMA as ANALYSIS_SCHEMA
from runner.report.analysis.analysis import Analysis
from tests.project.docstrings import attributes, summary

Json = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NUMBER: Json = {"type": ["number", "null"]}
TEXT: Json = {"type": ["string", "null"]}
OUTCOME: Json = {"enum": [kind.value for kind in OutcomeKind]}
# What a run of results.json holds besides its records.
PLAIN: Json = {
    "number": {"type": "integer", "minimum": 1},
    "outcome": OUTCOME,
    "reward": {"enum": [0.0, 1.0, None]},
    "reason": {"type": "string"},
    "hint": TEXT,
    "seeds": {"type": "array", "items": {"type": "string", "pattern": "^0x[0-9a-f]+$"}},
    "notes": {"type": "array", "items": {"type": "string"}},
    "preloaded": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
    "enforced": {"type": "object"},
}
GUARDS = ("median_ratio", "total_ratio", "slowest_over_median", "baseline_drift")


def schemas() -> dict[str, str]:
    """The text of each schema, by its path under docs/."""
    made = {"results": results_schema(), "analysis": analysis_schema()}
    return {f"reference/{name}.schema.json": json.dumps(schema, indent=1) + "\n" for name, schema in made.items()}


def analysis_schema() -> Json:
    """Of analysis.json."""
    schema = _of(Analysis)
    schema["properties"]["schema"] = {"const": ANALYSIS_SCHEMA}
    return {"$schema": DIALECT, "title": "analysis.json", **schema}


def results_schema() -> Json:
    """Of results.json, in the form that is written today."""
    definitions: Json = {}
    known = {
        cls: _refer(cls, definitions) for cls in (Interval, Sample, Rules, Finding, SubmissionRecord, JobConfig, Totals)
    }
    quality = _refer(Quality, definitions, difference=NUMBER)
    episode = _refer(EpisodeSummary, definitions, cache_hit_rate=NUMBER)
    flat = {"outcome": {"enum": [*OUTCOME["enum"], None]}, "reward": PLAIN["reward"], "reason": TEXT, "hint": TEXT}
    snapshot = _refer(SnapshotRecord, definitions, **flat, best_so_far=NUMBER)
    run = _object(
        **PLAIN,
        speedup=_or_null(known[Interval]),
        audit=_or_null(known[Interval]),
        seconds=_or_null(_object(baseline=NUMBER, candidate=NUMBER)),
        guards=_or_null(_object(**dict.fromkeys(GUARDS, NUMBER))),
        samples={"type": "array", "items": known[Sample]},
        quality=_or_null(quality),
        rules=_or_null(known[Rules]),
        findings={"type": "array", "items": known[Finding]},
        submission=_or_null(known[SubmissionRecord]),
        episode=_or_null(episode),
        snapshots={"type": "array", "items": snapshot},
    )
    # Only of a job on several hosts.
    run["properties"] |= {"host": {"type": "string"}, "lost_on": {"type": "array", "items": {"type": "string"}}}
    whole = _object(
        schema={"const": SCHEMA},
        job=known[JobConfig],
        lock={"type": "object"},
        runs={"type": "array", "items": run},
        totals=known[Totals],
    )
    return {"$schema": DIALECT, "title": "results.json", **whole, "$defs": dict(sorted(definitions.items()))}


# From types


def _of(cls: type[Any]) -> Json:
    """A record's schema with its definitions: no key but its own."""
    schema = TypeAdapter(cls).json_schema(mode="serialization")
    classes = {found.__name__: found for found in _records(cls)}
    for name, definition in [(cls.__name__, schema), *schema.get("$defs", {}).items()]:
        if name in classes:
            _complete(definition, classes[name])
    return schema


def _complete(definition: Json, cls: type[Any]) -> None:
    said = attributes(cls)
    for key, value in definition["properties"].items():
        value.pop("title", None)
        value.pop("default", None)
        if key in said:
            value["description"] = said[key]
    # What has a default may be absent: an earlier version of the same form did not have it.
    always = sorted(f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)
    definition |= {"required": always, "additionalProperties": False, "description": summary(cls)}


def _records(cls: Any) -> Iterator[type[Any]]:
    """A record and those that it holds, however deep."""
    if inspect.isclass(cls) and is_dataclass(cls):
        yield cls
        for kind in get_type_hints(cls).values():
            yield from _records(kind)
    for inner in get_args(cls):
        yield from _records(inner)


def _refer(cls: type[Any], definitions: Json, **more: Json) -> Json:
    """A reference to a record, which is put among the definitions with those that it holds.

    Args:
        more: keys that are written besides its own, or in place of one.
    """
    schema = _of(cls)
    definitions |= schema.pop("$defs", {})
    if more:
        schema["properties"] |= more
        schema["required"] = sorted({*schema["required"], *more})
    definitions[cls.__name__] = schema
    return {"$ref": f"#/$defs/{cls.__name__}"}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": sorted(properties), "additionalProperties": False}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}
