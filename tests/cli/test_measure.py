"""`analyze --measure` at the command line: the cost comes first, and how it ends when it is interrupted or spoiled."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.cli import measure as command
from runner.cli.exit_codes import INFRASTRUCTURE, INTERRUPTED, OK
from runner.cli.option_groups import OutputOptions
from runner.cli.options import AnalyzeOptions
from runner.faults import Interrupted
from runner.job.measure.plan import Cost
from runner.settings import Settings
from runner.store.jobs import find_job
from runner.store.measured import keep_measurement
from tests.job.test_measure import content


class PaperSession:
    """A session that is said to measure."""

    def __init__(self, job: Path, error: BaseException | None, faults: list[str]) -> None:
        self.job, self.error, self.faults, self.ran = job, error, faults, False

    def plan(self) -> list[tuple[str, Cost, bool]]:
        return [("each part of run 1", Cost(8.0, 20), False), ("each part of run 2", Cost(8.0, 20), True)]

    def total(self) -> Cost:
        return Cost(8.0, 20)

    def baseline_s(self) -> float:
        return 15.0

    def run(self) -> None:
        self.ran = True
        keep_measurement(self.job, "ablation-1", {}, content())
        if self.error is not None:
            raise self.error


@pytest.fixture
def job(project: Path, tmp_path: Path) -> Path:
    shutil.copytree(project / "tests" / "old_jobs" / "schema_1", tmp_path / "job")
    return tmp_path / "job"


def measured(
    monkeypatch: pytest.MonkeyPatch,
    job: Path,
    error: BaseException | None = None,
    faults: tuple[str, ...] = (),
    **flags: Any,
) -> tuple[int, PaperSession]:
    session = PaperSession(job, error, list(faults))

    @contextlib.contextmanager
    def open_session(*_: object) -> Iterator[PaperSession]:
        yield session

    monkeypatch.setattr(command, "open_session", open_session)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    options = AnalyzeOptions(jobs=[job], measure=True, **{"show": OutputOptions(quiet=True), **flags})
    return command.measure(Settings(), [find_job(Settings(), job)], options, (0.1, 0.4)), session


def test_the_cost_comes_first_and_the_sum_at_the_end(
    monkeypatch: pytest.MonkeyPatch, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _ = measured(monkeypatch, job)
    said = capsys.readouterr().out
    assert status == OK
    assert said.splitlines()[:3] == [
        "  each part of run 1: about 3 min (8 times the baseline's run, 20 containers)",
        "  each part of run 2: measured before",
        "To be measured: about 3 min (8 times the baseline's run, 20 containers)",
    ]
    assert "What each part of run 2 gave" in said and said.rstrip().endswith(f"Analysis: {job / 'analysis.md'}")
    assert json.loads((job / "analysis.json").read_text())["measured"]["ablations"][0]["run"] == 2


def test_a_dry_run_measures_and_writes_nothing(monkeypatch: pytest.MonkeyPatch, job: Path) -> None:
    status, session = measured(monkeypatch, job, dry_run=True)
    assert status == OK and not session.ran and not (job / "analysis.json").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted()])
def test_what_is_there_is_shown_when_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, job: Path, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    status, _ = measured(monkeypatch, job, error)
    said = capsys.readouterr()
    assert status == INTERRUPTED and "the same command goes on" in said.err
    assert "What each part of run 2 gave" in said.out


def test_a_fault_of_the_host_is_an_exit_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _ = measured(monkeypatch, job, faults=("each part of run 1: the engine is gone",))
    assert (
        status == INFRASTRUCTURE and "not measured, each part of run 1: the engine is gone" in capsys.readouterr().err
    )


def test_json_is_alone_on_stdout(
    monkeypatch: pytest.MonkeyPatch, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(monkeypatch, job, show=OutputOptions(json=True, quiet=True))
    said = capsys.readouterr()
    assert json.loads(said.out)["measured"]["ablations"] and "To be measured: " in said.err
