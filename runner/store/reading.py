"""Reading what a job left: whatever is whole is taken, the rest is listed with its reason."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from runner.faults import UsageFault
from runner.records.correctness import QualityRound
from runner.records.finding import Finding
from runner.records.rules import Rules
from runner.records.sample import Sample

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
            cause=f"{path} is not there", mend="name the folder of a job, such as output/latest"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageFault(cause=f"{path} cannot be read: {error}", mend="it may have been cut off or changed") from error


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
            findings=_FINDINGS.validate_python(raw["findings"]),
            qualities=_ROUNDS.validate_python((raw.get("accuracy") or {}).get("rounds", ())),
            rules=_RULES.validate_python(raw["rules"]),
            seeds=tuple(int(seed, 16) for seed in raw["seeds"]),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise ValueError(f"run {raw.get('number')}: {error}") from error


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
