"""What there is to analyse of a job, where the parser is played here."""

import shutil
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.job import material
from runner.job.material import analysis_of, material_of
from runner.records.syntax import SyntaxFacts
from runner.report.analysis import WANTED_RATES
from runner.report.analysis.analysis import Analysis
from runner.settings import Settings
from runner.store.jobs import read_job
from runner.store.transcript import Transcript, transcript_or_reason
from tests.report.synthetic_jobs import make_events, make_runs, write_job

Parsed = Callable[[Mapping[str, bytes], Mapping[str, Any]], dict[str, SyntaxFacts]]
STRATEGIES = """
[[part]]
name = "sums"
seen = ["sum($$$)"]
strategy = [
    { id = "right", title = "Rightly", patterns = ["f($$$)"] },
    { id = "wrong", title = "Wrongly", patterns = [{ kind = "no_such" }] },
]
[[part]]
name = "products"
strategy = [{ id = "wrong", title = "Wrongly", patterns = [{ kind = "no_such" }] }]
"""


@pytest.fixture
def analysed(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Parsed], Analysis]:
    """The analysis of an old job whose task has strategies; what the parser says is made up."""
    tasks = tmp_path / "tasks"
    shutil.copytree(project / "problem_data" / "slow_nbody", tasks / "slow_nbody")
    (tasks / "slow_nbody" / "strategies.toml").write_text(STRATEGIES)
    monkeypatch.setattr(material, "find_engine", lambda settings: None)
    monkeypatch.setattr(material, "Fleet", lambda engine, name: None)
    monkeypatch.setattr(material, "build_parser_spec", lambda engine, settings, say: None)

    def analyse(parse: Parsed) -> Analysis:
        monkeypatch.setattr(material, "parse_sources", lambda fleet, spec, sources, rules: parse(sources, rules))
        job = material_of(read_job(project / "tests" / "old_jobs" / "schema_1"))
        return analysis_of(Settings(tasks=tasks), job, lambda step: None, wanted=WANTED_RATES)

    return analyse


def test_a_way_whose_rule_is_refused_is_said_to_be_missing_and_not_to_be_untried(
    analysed: Callable[[Parsed], Analysis],
) -> None:
    def parse(sources: Mapping[str, bytes], rules: Mapping[str, Any]) -> dict[str, SyntaxFacts]:
        assert list(rules) == ["sums/right", "sums/wrong", "products/wrong", "sums/?"]
        refused = {"sums/wrong": "Kind `no_such` is invalid.", "products/wrong": "it is wrong", "sums/?": "this, too"}
        return {
            name: SyntaxFacts(lines=1, shapes={name: 1}, matches={"sums/right": "f()"}, refused=refused)
            for name in sources
        }

    found = analysed(parse)
    (part,) = found.parts
    assert part.name == "sums" and [way.id for way in part.ways] == ["right"] and part.untried == ()
    assert [line for line in found.missing if "ast-grep refuses" in line] == [
        "the way wrong of the part sums: ast-grep refuses a rule for it: Kind `no_such` is invalid. "
        "(hint: fix it in strategies.toml)",
        "the way wrong of the part products: ast-grep refuses a rule for it: it is wrong (hint: fix it in strategies.toml)",
        "whether the part sums is there at all: ast-grep refuses a rule for it: this, too (hint: fix it in strategies.toml)",
    ]


def test_what_a_submission_makes_its_parser_say_of_the_rules_is_not_believed(
    analysed: Callable[[Parsed], Analysis],
) -> None:
    def parse(sources: Mapping[str, bytes], rules: Mapping[str, Any]) -> dict[str, SyntaxFacts]:
        said = {name: {} if name == material.STARTER else {"sums/right": "<lies>"} for name in sources}
        return {
            name: SyntaxFacts(lines=1, shapes={name: 1}, matches={"sums/right": "f()"}, refused=refused)
            for name, refused in said.items()
        }

    found = analysed(parse)
    assert [way.id for way in found.parts[0].ways] == ["right"] and not any("lies" in line for line in found.missing)


def test_transcripts_are_read_one_after_the_other(project: Path, tmp_path: Path) -> None:
    """All of them together may be some gigabytes."""
    peaks = {}
    for count in (1, 8):
        runs = make_runs(count=count)
        output = "x" * 200_000
        transcripts = {run.number: make_events(run.number, turns=5, output=output) for run in runs}
        job = read_job(write_job(tmp_path / str(count), runs=runs, transcripts=transcripts))
        tracemalloc.start()
        material_of(job)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[8] < 2 * peaks[1]


def test_a_transcript_that_cannot_be_read_costs_what_it_says_alone(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = read_job(project / "tests" / "old_jobs" / "schema_1")

    def read(path: Path) -> Transcript | str:
        refused = f"{path.name} cannot be read: Permission denied"
        return refused if path.parent.name == "run_2" else transcript_or_reason(path)

    monkeypatch.setattr(material, "transcript_or_reason", read)
    found = material_of(job)
    assert sorted(found.efforts) == [1, 3, 4]
    assert "how the episode of run 2 went: transcript.jsonl cannot be read: Permission denied" in found.missing
