"""Calibration: an A/A study on the real path, a certificate of this host, and what verdicts make of it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from runner.grading.calibration.certificates import drift_reason, find_certificate, write_certificate
from runner.grading.calibration.study import BASELINE_RUN, ORACLE_RUN, study
from runner.records.grading import Certificate, Ending, Sample

Run = Callable[..., CompletedProcess[str]]
SMALL = ("--task", "slow_nbody", "--scale", "small", "--quiet")


def test_a_certificate_is_written_named_by_verdicts_and_lets_two_rounds_decide(
    cli: Run, tmp_path: Path, project: Path
) -> None:
    home = {"HOME": str(tmp_path)}
    made = json.loads(cli("calibrate", *SMALL, "--rounds", "5", "--json", env=home).stdout)
    name = made["certificate"]["id"]
    assert (
        0 < made["study"]["call_overhead_s"] < 1.0 and made["study"]["rounds"] == 5 and made["certificate"]["df"] == 4
    )
    assert Path(made["path"]).is_relative_to(tmp_path) and made["fingerprint"]["kernel"]
    file = str(project / "problem_data" / "slow_nbody" / "solution" / "optimized_nbody.py")
    run = json.loads(cli("grade", file, *SMALL, "--json", env=home).stdout)
    used = run["rules"]["certificate"]
    # The host may have changed since: then the verdict says so, and rests on what it saw itself.
    if used is None:
        assert any(name in note for note in run["notes"]) and "sentinels" in run["rules"]["no_certificate"]
    else:
        assert used["id"] == name
    assert run["outcome"] == "passed" and run["speedup"]["rounds"] in (2, 3, 4, *(() if used else (6,)))


def test_a_quiet_host_is_required_only_with_a_certificate(cli: Run, tmp_path: Path, project: Path) -> None:
    file = str(project / "problem_data" / "slow_nbody" / "baseline.py")
    none = cli("grade", file, *SMALL, "--max-noise", "5", env={"HOME": str(tmp_path)})
    assert none.returncode == 3 and "no certificate: none was made" in none.stderr and "calibrate" in none.stderr


def test_a_few_rounds_are_refused(in_process: Run) -> None:
    done = in_process("calibrate", *SMALL, "--rounds", "2")
    assert done.returncode == 2 and "--rounds 2: must be at least 3" in done.stderr


# The arithmetic


def samples(rounds: int, sd: float, seed: int = 1) -> list[Sample]:
    """A baseline of 10 s and an oracle of 1 s with so much noise (of log seconds)."""
    rng, taken = np.random.default_rng(seed), []
    for number in range(1, rounds + 1):
        plan = [("sentinel", 0, 1.2), ("baseline", 0, 10.0), ("candidate", BASELINE_RUN, 10.0)]
        plan += [("candidate", ORACLE_RUN, 1.0)] * 3  # type: ignore[list-item]
        for position, (side, run, seconds) in enumerate(plan):
            noisy = seconds * math.exp(rng.normal(0, sd))
            taken.append(
                Sample(side=side, run=run, round=number, position=position, ending=Ending.ANSWERED, seconds=noisy)
            )  # type: ignore[arg-type]
    return taken


@pytest.mark.slow
def test_a_study_finds_the_noise_that_was_put_in() -> None:
    found = study(samples(400, 0.05), 0.95)
    assert found.baseline_sd == pytest.approx(0.05, rel=0.15)
    assert found.ratio_sd == pytest.approx(0.05 * math.sqrt(1 + 1 / 3), rel=0.15)
    assert found.baseline.low is not None and found.baseline.low < 1.0 < (found.baseline.high or 0)
    assert abs(found.autocorrelation) < 0.2
    assert found.call_overhead_s is None
    assert found.sentinel_log_mean == pytest.approx(math.log(1.2), abs=0.02)


CERTIFICATE = Certificate(id="c", variance=0.002, df=6, sentinel_log_mean=0.0, sentinel_log_sd=0.05)


@pytest.mark.parametrize(
    ("sentinels", "words"),
    [
        ([], None),
        ([0.05, -0.05, 0.0], None),
        ([0.7, 0.72, 0.69], "level differs"),
        ([-0.7, -0.72, -0.69], "level differs"),
        ([0.4, -0.4, 0.35, -0.3], "vary"),
    ],
)
def test_sentinels_that_do_not_belong_to_the_certificate_are_told(sentinels: list[float], words: str | None) -> None:
    said = drift_reason(CERTIFICATE, sentinels)
    assert (said is None) if words is None else (said is not None and words in said)


def test_a_certificate_is_valid_for_its_host_and_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    content = {"certificate": {"id": "c", "variance": 0.1, "df": 6, "sentinel_log_mean": 0.0, "sentinel_log_sd": 0.1}}
    host = {"cpu": "a", "cores": 2}
    write_certificate(host, {"made": "2999-01-01T00:00:00+00:00", **content})
    assert find_certificate(host)[0] == Certificate(
        id="c", variance=0.1, df=6, sentinel_log_mean=0.0, sentinel_log_sd=0.1
    )
    assert find_certificate({**host, "cores": 4})[0] is None
    path = write_certificate(host, {"made": "2020-01-01T00:00:00+00:00", **content})
    assert find_certificate(host) == (None, "the one of 2020-01-01 is older than 30 days")
    path.write_text("{")
    assert "cannot be read" in find_certificate(host)[1]
