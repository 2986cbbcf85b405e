"""Certificates that gradings make by themselves: from what, when, and that they can be left out."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runner.grading.calibration.automatic import automatic_certificate, is_automatic, is_quiet
from runner.grading.calibration.certificates import find_certificate, misfit_reason, write_certificate
from runner.grading.measurement import measured_rounds
from runner.grading.simulation import Setting, SimulatedHost, honest, simulate
from runner.job import setup
from runner.records.grading import Ending, GradingStep, Rules, Sample
from runner.records.run import GradingConfig
from runner.tasks.schema import DATA_SETS

RULES = Rules(
    target=33.0, confidence=0.95, quality="Accuracy", tolerance=0.02, minimum=None, rounds_max=12, seconds_max=1e9,
    edition=2, data_sets=DATA_SETS,
)  # fmt: skip


def measured(others_s: float | None = 0.0, seed: int = 1, host: SimulatedHost | None = None) -> list[Sample]:
    """The samples of a file that is above the target, and not so far that two rounds decide."""
    draw = np.random.default_rng(seed)
    while True:
        grading = simulate(Setting(host or SimulatedHost(), RULES), honest(1.4), draw)
        assert grading.measurement is not None
        if measured_rounds(grading.measurement.samples) > 2:
            break
    return [dataclasses.replace(sample, others_s=others_s) for sample in grading.measurement.samples]


def test_it_is_no_less_than_what_a_rounds_ratio_varies_by() -> None:
    host = SimulatedHost(drift_sd=0.0, noise_sd=0.05, slow_share=0.0)
    made = [automatic_certificate(measured(seed=seed, host=host), "x") for seed in range(40)]
    variances = [certificate.variance for certificate in made if certificate is not None]
    assert len(variances) == 40
    assert float(np.mean(variances)) == pytest.approx(0.05**2 * 4 / 3, rel=0.15), "of one baseline and three samples"
    assert made[0] is not None and made[0].id == "automatic-x" and is_automatic(made[0])
    sentinels = [math.log(sample.seconds) for sample in measured(seed=0, host=host) if sample.side == "sentinel"]
    assert made[0].sentinel_log_mean == pytest.approx(np.mean(sentinels))
    assert made[0].df >= 4


def test_two_rounds_say_too_little() -> None:
    assert automatic_certificate([sample for sample in measured() if sample.round <= 2], "x") is None
    assert automatic_certificate([], "x") is None


@pytest.mark.parametrize(("others_s", "quiet"), [(0.0, True), (0.2, True), (1.0, False), (None, False)])
def test_a_moment_is_quiet_where_the_cpu_did_nothing_else(others_s: float | None, quiet: bool) -> None:
    baseline = Sample(
        side="baseline", run=0, round=1, position=0, ending=Ending.ANSWERED, seconds=13.0, others_s=others_s
    )
    assert is_quiet([baseline]) is quiet
    assert not is_quiet([])


Learn = Callable[[Sequence[Sample]], None]


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], tuple[Learn | None, list[str]]]:
    """What a grading tells its samples to, and what that says."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(setup, "fingerprint", lambda *_: Host())

    @dataclasses.dataclass
    class Host:
        cpu: str = "a"

    @dataclasses.dataclass
    class Context:
        report_step: Callable[[GradingStep], None]
        task: Any = dataclasses.field(default_factory=lambda: SimpleNamespace(name="t"))
        scale: str = "small"
        fleet: Any = dataclasses.field(default_factory=lambda: SimpleNamespace(engine=None))
        learn_noise: Learn | None = None

    def make(calibrate: bool) -> tuple[Learn | None, list[str]]:
        said: list[str] = []
        context: Any = Context(lambda step: said.append(step.text))
        image: Any = SimpleNamespace(id="i")
        return setup.with_learning(context, image, GradingConfig(calibrate=calibrate)).learn_noise, said

    return make


def test_the_first_quiet_grading_certifies_its_host_once(
    learner: Callable[[bool], tuple[Learn | None, list[str]]],
) -> None:
    learn, said = learner(True)
    assert learn is not None
    learn(measured(others_s=5.0))
    assert find_certificate({"cpu": "a"})[0] is None and not said, "a loaded host is not certified"
    learn(measured())
    first, _ = find_certificate({"cpu": "a"})
    assert (
        first is not None
        and is_automatic(first)
        and said == [f"this host is certified by what was measured: {first.id}"]
    )
    learn(measured(seed=2))
    assert find_certificate({"cpu": "a"})[0] == first and len(said) == 1
    assert find_certificate({"cpu": "a"}, automatic=False) == (
        None,
        "the one that a grading made by itself is left out (`--no-calibrate`)",
    )


BUSY = SimulatedHost(drift_sd=0.4, noise_sd=0.5)


def test_one_that_a_busy_moment_made_gives_way_to_the_next_quiet_one_and_that_is_said_once(
    learner: Callable[[bool], tuple[Learn | None, list[str]]],
) -> None:
    learn, said = learner(True)
    assert learn is not None
    learn(measured(host=BUSY, seed=1))  # others had their own CPU, and the caches were shared
    first, _ = find_certificate({"cpu": "a"})
    assert first is not None and len(said) == 1
    learn(measured(others_s=5.0))
    assert find_certificate({"cpu": "a"})[0] == first and len(said) == 1, "a loaded moment contradicts nothing"
    learn(measured())
    second, _ = find_certificate({"cpu": "a"})
    assert second is not None and second.variance < first.variance
    assert [text.split(":")[0] for text in said[1:]] == [
        f"the certificate {first.id}, which a grading made by itself, is discarded",
        "this host is certified by what was measured",
    ]
    learn(measured(seed=2))
    assert find_certificate({"cpu": "a"})[0] == second and len(said) == 3


def test_one_that_is_contradicted_by_too_few_rounds_is_discarded_and_the_next_quiet_moment_makes_another(
    learner: Callable[[bool], tuple[Learn | None, list[str]]],
) -> None:
    learn, said = learner(True)
    assert learn is not None
    learn([dataclasses.replace(sample, seconds=5.0 * sample.seconds) for sample in measured()])
    learn([sample for sample in measured() if sample.round <= 2])
    assert find_certificate({"cpu": "a"})[0] is None and len(said) == 2 and "discarded" in said[1]
    learn(measured())
    assert find_certificate({"cpu": "a"})[0] is not None and len(said) == 3


@pytest.mark.slow
def test_a_quiet_moment_hardly_ever_contradicts_what_another_one_made() -> None:
    made = [automatic_certificate(measured(seed=seed), "x") for seed in range(40)]
    logs = [[math.log(s.seconds) for s in measured(seed=seed) if s.side == "sentinel"] for seed in range(40, 80)]
    misfits = [misfit_reason(one, two) for one, two in zip(made, logs, strict=True) if one is not None]
    assert len(misfits) == 40 and sum(reason is not None for reason in misfits) <= 8


def test_a_calibration_stays_and_no_calibrate_learns_nothing(
    learner: Callable[[bool], tuple[Learn | None, list[str]]],
) -> None:
    content = {"id": "c", "variance": 0.1, "df": 6, "sentinel_log_mean": 0.0, "sentinel_log_sd": 0.1}
    write_certificate({"cpu": "a"}, {"made": "2999-01-01T00:00:00+00:00", "certificate": content})
    learn, said = learner(True)
    assert learn is not None
    learn(measured())
    found, _ = find_certificate({"cpu": "a"}, automatic=False)
    assert found is not None and found.id == "c" and not said
    assert learner(False)[0] is None
