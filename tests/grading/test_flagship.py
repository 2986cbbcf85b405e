"""The flagship's shipped files, graded together at the small scale on the real path."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.clock import SystemClock
from runner.grading.context import Candidate
from runner.grading.rounds import Graded, grade
from runner.job.setup import build_context, build_rules, build_spec, load_task
from runner.records.run import GradingConfig
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import measurement_cpu
from runner.settings import Settings

# Strategies that compute exactly what the baseline computes: their accuracy is the baseline's at every scale.
SOLUTION = "solution/optimized_ml_training.py"
EXPECTED = {
    SOLUTION: "passed",
    "episodes/files/pairwise_gram.py": "passed",
    "baseline.py": "too_slow",
    "episodes/files/standard_scaler.py": "missing_component",
    "episodes/files/bare_tensors.py": "missing_component",
    "episodes/files/functions_only.py": "missing_component",
}


@pytest.fixture(scope="module")
def verdicts(engine: Engine, project: Path) -> Mapping[str, Graded]:
    task = load_task(Settings(), "slow_ml_training_complex")
    spec, image = build_spec(engine, task, Settings(), print)
    rules = build_rules(engine, task, "small", image, GradingConfig())
    context = build_context(Fleet(engine, "test-flagship"), task, "small", spec, rules, SystemClock(), print)
    context = context.with_cpu(measurement_cpu(engine))
    # One sample a round is enough for an outcome; two, in different orders, show that items keep their answers.
    candidates = [
        Candidate(number, (task.folder / name).read_bytes(), samples=2 if name == SOLUTION else 1)
        for number, name in enumerate(EXPECTED, 1)
    ]
    graded = list(grade(context, candidates))
    names = list(EXPECTED)
    return {names[entry.run - 1]: entry for entry in graded}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_shipped_file_gets_its_outcome(verdicts: Mapping[str, Graded], name: str) -> None:
    assert verdicts[name].grading.outcome.kind == EXPECTED[name], verdicts[name].grading.outcome


def test_the_exact_strategies_have_the_baselines_accuracy(verdicts: Mapping[str, Graded]) -> None:
    quality = verdicts[SOLUTION].grading.quality
    assert quality is not None and quality.difference == 0.0 and (quality.baseline or 0) > 0.6


def test_the_solutions_answers_stand_every_check_of_its_data(verdicts: Mapping[str, Graded]) -> None:
    marks = {finding.check: finding.mark for finding in verdicts[SOLUTION].grading.findings if finding.origin == "data"}
    assert {"answer-witness", "same-in-any-order", "control"} <= set(marks)
    assert set(marks.values()) == {"pass"}


def test_a_missing_component_names_itself_and_shows_a_speed_up(verdicts: Mapping[str, Graded]) -> None:
    graded = verdicts["episodes/files/standard_scaler.py"]
    assert graded.grading.outcome.reason == "Missing required component: ComplexNN"
    assert graded.grading.measurement is not None and graded.grading.measurement.speedup is not None
    assert graded.grading.measurement.speedup.estimate > 20
