"""results.json: written from the records and read back into them; and the jobs of the version before."""

import contextlib
import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.regrade import agree, recomputed
from runner.faults import UsageFault
from runner.records.episode import EpisodeSummary, Usage
from runner.records.grading import (
    Equivalence,
    Finding,
    Grading,
    Interval,
    Measurement,
    Quality,
    QualityRound,
    Rules,
    Sample,
)
from runner.records.outcome import PROPERTIES, Outcome, OutcomeKind, reward
from runner.records.run import Run, SnapshotRecord, SubmissionRecord
from runner.store.jobs import read_job
from runner.store.results import read_config, read_json, read_run, run_json

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=20)
SEEDS = st.lists(st.integers(0, 2**128 - 1), max_size=3).map(tuple)
OUTCOMES = st.builds(Outcome, st.sampled_from(OutcomeKind), TEXT, TEXT)
INTERVALS = st.builds(
    Interval,
    estimate=FINITE,
    low=FINITE,
    high=FINITE,
    confidence=FINITE,
    rounds=st.integers(1, 12),
    resolution=st.none() | FINITE,
)
SAMPLES = st.lists(st.builds(Sample, round=st.integers(1, 12), seconds=FINITE, quality=st.none() | FINITE), max_size=3)
MEASUREMENTS = st.builds(
    Measurement,
    samples=SAMPLES.map(tuple),
    speedup=st.none() | INTERVALS,
    baseline_s=st.none() | FINITE,
    candidate_s=st.none() | FINITE,
    seeds=SEEDS,
)
QUALITIES = st.builds(
    Quality,
    name=TEXT,
    baseline=FINITE,
    candidate=FINITE,
    bar=st.none() | FINITE,
    tolerance=st.none() | FINITE,
    rounds=st.lists(
        st.builds(QualityRound, candidate=FINITE, difference=FINITE, variance=FINITE, baseline=FINITE), max_size=2
    ).map(tuple),
)
GRADINGS = st.builds(
    Grading,
    outcome=OUTCOMES,
    findings=st.lists(st.builds(Finding, text=TEXT), min_size=1, max_size=3).map(tuple),
    measurement=st.none() | MEASUREMENTS,
    quality=st.none() | QUALITIES,
    rules=st.none()
    | st.builds(
        Rules,
        target=FINITE,
        confidence=FINITE,
        tolerance=FINITE,
        minimum=FINITE,
        seconds_max=FINITE,
        certificate=st.none(),
    ),
    notes=st.lists(TEXT, max_size=2).map(tuple),
    enforced=st.just({"baseline": {"x": 1}}),
    preloaded=st.just({"baseline": ("math", "numpy")}),
)
EPISODES = st.builds(
    EpisodeSummary, seconds=FINITE, usage=st.builds(Usage), facts=st.dictionaries(TEXT, st.integers(), max_size=2)
)
SNAPSHOTS = st.builds(
    SnapshotRecord, outcome=st.none() | OUTCOMES, speedup=st.none() | INTERVALS, quality=st.none() | FINITE
)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    grading = draw(st.none() | GRADINGS)
    return Run(
        number=draw(st.integers(1, 100)),
        outcome=grading.outcome if grading is not None else draw(OUTCOMES),
        episode=draw(st.none() | EPISODES),
        submission=draw(st.builds(SubmissionRecord)) if grading is not None else None,
        grading=grading,
        agent_enforced=draw(st.none() | st.just({"image": "sha256:0"})),
        snapshots=tuple(draw(st.lists(SNAPSHOTS, max_size=2))),
    )


@given(runs())
def test_a_run_is_read_back_as_it_was_written(run: Run) -> None:
    assert read_run(json.loads(json.dumps(run_json(run)))) == run


def test_every_kind_of_outcome_has_its_properties_and_only_passed_is_rewarded() -> None:
    assert set(PROPERTIES) == set(OutcomeKind)
    rewards = {kind: reward(Outcome(kind, "")) for kind in OutcomeKind}
    assert [kind for kind, value in rewards.items() if value == 1.0] == [OutcomeKind.PASSED]
    uncounted = {kind for kind, value in rewards.items() if value is None}
    assert uncounted == {OutcomeKind.INCONCLUSIVE, OutcomeKind.INFRASTRUCTURE}
    assert {kind for kind in OutcomeKind if PROPERTIES[kind].by == "host"} == uncounted
    assert all(PROPERTIES[kind].meaning for kind in OutcomeKind)


@pytest.mark.parametrize("spoiled", [{}, {"number": "x"}, {"number": 1, "outcome": "won"}, {"number": 1, "outcome": 3}])
def test_a_run_that_has_another_form_is_an_error_that_names_it(spoiled: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="run"):
        read_run(spoiled)


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), float("-inf"), "NaN"])
@pytest.mark.parametrize("place", ["episode.dollars", "speedup.low", "samples.0.seconds", "quality.candidate"])
def test_a_run_with_a_figure_that_is_no_number_is_an_error_that_names_the_figure(
    project: Path, place: str, figure: float | str
) -> None:
    run = raw_runs(project / "docs" / "examples" / "ten-runs")[0]
    *above, last = place.split(".")
    found: Any = run
    for key in above:
        found = found[int(key) if key.isdigit() else key]
    found[last] = figure
    with pytest.raises(ValueError, match=rf"run 1: .*{last}: not a finite number"):
        read_run(run)


@pytest.mark.parametrize("target", [0.0, -1.0, float("nan"), float("inf")])
def test_a_target_that_is_no_speed_up_is_an_error(target: float) -> None:
    with pytest.raises(ValueError, match="job: target"):
        read_config({"target": target})


@pytest.mark.parametrize("number", [float("inf"), float("nan"), "x", None])
def test_a_run_whose_number_is_none_makes_results_unreadable_and_no_crash(
    project: Path, tmp_path: Path, number: object
) -> None:
    results = json.loads((project / "docs" / "examples" / "ten-runs" / "results.json").read_text())
    results["runs"][2]["number"] = number
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(UsageFault, match="does not have the form"):
        read_job(tmp_path)


def places_of_numbers(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a record something stands that a number could stand for."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield way
    for key, inner in entries:
        yield from places_of_numbers(inner, (*way, key))


@given(runs(), st.sampled_from(["nan", "inf", "-Infinity", math.nan, -math.inf]), st.data())
def test_a_number_that_is_not_finite_is_no_run_however_it_is_written(run: Run, odd: Any, data: st.DataObject) -> None:
    raw = json.loads(json.dumps(run_json(run)))
    way = data.draw(st.sampled_from(list(places_of_numbers(raw))))
    inner = raw
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = odd
    with contextlib.suppress(ValueError):
        json.dumps(run_json(read_run(raw)), allow_nan=False)  # what is read can be written again
        return
    with pytest.raises(ValueError, match="run"):
        read_run(raw)


# Jobs of the version before


@pytest.fixture(params=["schema_1", "flagship"])
def old_job(request: pytest.FixtureRequest, project: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(project / "tests" / "old_jobs" / request.param, tmp_path / request.param))


def raw_runs(job: Path) -> list[dict[str, Any]]:
    return json.loads((job / "results.json").read_text())["runs"]  # type: ignore[no-any-return]


def test_every_figure_of_an_old_run_is_read(old_job: Path) -> None:
    for raw in raw_runs(old_job):
        written = json.loads(json.dumps(run_json(read_run(raw))))
        renamed = {"quality": raw["accuracy"], "hint": raw["mend"]}
        for now, before in zip(written["findings"], raw["findings"], strict=True):
            check = f"{now['check']}:{now['about']}" if now["about"] else now["check"]
            assert {**{key: now[key] for key in before}, "check": check} == before
        for key, value in {**raw, **renamed}.items():
            if key == "rules" and value:
                policy = Equivalence(value["equivalence"])  # these names are others today
                assert {name: written[key][name] for name in value} == {**value, "equivalence": policy}
            elif key == "samples":  # later versions record more of each
                assert [
                    {name: now[name] for name in old} for now, old in zip(written[key], value, strict=True)
                ] == value
            elif key not in ("accuracy", "mend", "snapshots", "findings"):
                assert written[key] == (value or None if key == "hint" else value), key
        for now, before in zip(written["snapshots"], raw["snapshots"], strict=True):
            assert {key: now[key] for key in before} == before


def test_the_verdict_of_an_old_run_follows_from_its_record(old_job: Path) -> None:
    for raw in raw_runs(old_job):
        run = read_run(raw)
        again, before = run_json(recomputed(run)), run_json(run)
        assert {key: agree(again[key], before[key]) for key in before} == dict.fromkeys(before, True)


Cli = Callable[..., CompletedProcess[str]]


def test_an_old_job_is_shown_checked_and_exported(plain_cli: Cli, project: Path, tmp_path: Path) -> None:
    job = Path(shutil.copytree(project / "tests" / "old_jobs" / "schema_1", tmp_path / "old"))
    shown = plain_cli("show", str(job))
    assert "Pass Rate: 50.0%" in shown.stdout and shown.stdout.count("passed") >= 2, shown.stderr
    assert "✓ Run 1: SUCCESS" in plain_cli("show", str(job), "1").stdout
    assert "4 runs: every verdict follows" in plain_cli("regrade", str(job), "--offline").stdout
    assert plain_cli("export", str(job)).returncode == 0 and (job / "run_1" / "trajectory.atif.json").is_file()


def test_an_old_job_is_graded_again_and_replayed(cli: Cli, project: Path, tmp_path: Path) -> None:
    job = Path(shutil.copytree(project / "tests" / "old_jobs" / "schema_1", tmp_path / "old"))
    again = json.loads(cli("regrade", str(job), "--json", "--quiet", "--max-rounds", "1").stdout)
    fast = [(run["number"], run["speedup"]["estimate"] > run["rules"]["target"]) for run in again["runs"]]
    assert fast == [(1, True), (2, False), (4, True)], "one round: a speed, and no verdict on it"
    replay = ("--agent", f"replay:{job}", "--runs", "3", "--task", "slow_nbody", "--scale", "small", "--name", "r")
    done = cli(*replay, "--max-rounds", "1", "--output", str(tmp_path), "--json", "--quiet")
    assert [run["episode"]["ending"] for run in json.loads(done.stdout)["runs"]] == ["submitted", "submitted", "ended"]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": ' * 100_000, "9" * 5000, "[" + "9" * 301 + "]", "", "{", "\xff"]
)
def test_what_nothing_could_be_computed_with_is_a_file_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageFault, match="cannot be read"):
        read_json(tmp_path / "results.json")
