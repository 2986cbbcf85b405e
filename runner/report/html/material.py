"""What a page is made of: a job's records, its analysis, the starter file, and what of all that is missing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from runner.report.analysis.analysis import Analysis
from runner.report.episode_view import summary_in
from runner.report.run_view import RunSummary
from runner.store.jobs import StoredJob
from runner.store.results import load_json, not_finite

_ANALYSIS = TypeAdapter(Analysis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """The file that agents begin with; None, and why, where it is not known.

    Attributes:
        note: what is to be said of it; empty where nothing is.
    """

    source: bytes | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a page is made of.

    Attributes:
        job: its records.
        named: its folder, as command lines name it.
        analysis: of its runs.
        starter: what submissions are compared with.
        missing: what is missing besides what the analysis says, a line each; hostile text.
    """

    job: StoredJob
    named: str
    analysis: Analysis
    starter: Starter = Starter()
    missing: tuple[str, ...] = ()

    @property
    def all_missing(self) -> tuple[str, ...]:
        """All that is missing, each once."""
        return tuple(line for line in dict.fromkeys([*self.missing, *self.analysis.missing, self.starter.note]) if line)


def summaries(job: StoredJob) -> tuple[RunSummary, ...]:
    """A line for each run, those without an outcome, too."""
    numbers = sorted(job.runs.keys() | job.transcripts.keys())
    return tuple(summary_in(job, number) for number in numbers)


def read_analysis(folder: Path) -> Analysis | str:
    """The analysis that is kept in a job's folder, or why there is none."""
    path = folder / "analysis.json"
    try:
        return _whole(_ANALYSIS.validate_python(load_json(path)))
    except FileNotFoundError:
        return "there is no analysis.json"
    except OSError as error:
        return f"analysis.json cannot be read: {error.strerror}"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"analysis.json does not have its form: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        return f"analysis.json does not have its form: {error}"


def _whole(analysis: Analysis) -> Analysis:
    """The same analysis.

    Raises:
        ValueError: its figures are none, or do not belong together, so that no page can be made of them.
    """
    if (place := not_finite(analysis)) is not None:
        raise ValueError(f"{place}: not a finite number")
    found = analysis.convergence
    if found is None:
        return analysis
    if sorted(run for group in found.groups for run in group) != sorted(set(found.runs)):
        raise ValueError("convergence.groups: are not of its runs")
    sizes = {len(found.similarity), *map(len, found.similarity)} if found.runs else {0}
    if sizes != {len(found.runs)} or not all(0.0 <= value <= 1.0 for row in found.similarity for value in row):
        raise ValueError("convergence.similarity: is no matrix of shares over its runs")
    return analysis


def flattened(record: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """(dotted key, value) of all that a nested record says; what it does not say is left out."""
    rows: list[tuple[str, str]] = []
    for key, value in record.items():
        if isinstance(value, Mapping):
            rows += flattened(value, f"{prefix}{key}.")
        elif value not in (None, "", [], ()):
            plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            rows.append((f"{prefix}{key}", plain))
    return rows
