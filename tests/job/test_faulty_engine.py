"""Whatever an engine does, by a seed: no run is lost or altered, nothing is left, and its faults are nobody's failure."""

import contextlib
import itertools
import threading
from concurrent.futures import wait
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runner.budget.clock import SystemClock
from runner.faults import InfrastructureFault, TaskFault
from runner.job.job import Job
from runner.job.resume import read_remains
from runner.job.run_episode import EndedEpisode, EpisodeConfig
from runner.records.outcome import OutcomeKind
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings
from runner.store.job_folder import JobFolder, reopen_job_folder
from runner.store.journal import EntryKind, Journal
from runner.store.results import run_json
from runner.tasks.task import Task
from tests.fakes.docker_engine import FAULTS, FakeEngine
from tests.fakes.faulty_jobs import OWN, PATIENCE_S, SPEC, TIMEOUT_S, answer_of, load, play, try_schedule

pytestmark = pytest.mark.slow  # each seed is a job, and the same resumed


@pytest.fixture(scope="module")
def task() -> Task:
    return load()


def test_without_a_fault_the_engine_keeps_the_promises_of_a_real_one(task: Task, tmp_path: Path) -> None:
    with FakeEngine(tmp_path / "docker.sock", answer_of(task)) as engine:
        played = play(engine, task, tmp_path)
        assert played.wrong == () and played.fault is None and sorted(played.runs) == [1, 2]
        assert {run.outcome.kind for run in played.runs.values()} <= OWN
        assert all(run.grading is not None and run.grading.measurement is not None for run in played.runs.values())
        fleet = Fleet(find_engine(Settings(docker_host=engine.url, engine_timeout_s=PATIENCE_S)), "promises")
        with fleet.open(SPEC, "toolserver", role="agent", cpuset="0") as sandbox:
            assert [each.labels["runner.role"] for each in engine.containers.values()] == ["agent"]
            assert engine.containers[sandbox.id].status == "running"
        assert engine.containers == {} and fleet.leaks == [] and engine.struck == []


def test_the_end_of_a_job_leaves_those_of_the_same_name_in_its_process_alone(task: Task, tmp_path: Path) -> None:
    with FakeEngine(tmp_path / "docker.sock", answer_of(task)) as engine:
        found = find_engine(Settings(docker_host=engine.url, engine_timeout_s=PATIENCE_S))
        ended, living = Fleet(found, "2026-01-01_12-00-00"), Fleet(found, "2026-01-01_12-00-00")
        with living.open(SPEC, "toolserver", role="agent", cpuset="0") as sandbox:
            ended.stop()
            ended.remove_rest()
            assert engine.containers[sandbox.id].status == "running"


class SetClock(SystemClock):
    """A host whose date and time somebody sets, back and forth, between any two looks at it."""

    def __init__(self) -> None:
        self._years = itertools.cycle((0, 20, -20))

    def now(self) -> datetime:
        now = super().now()
        return now.replace(year=now.year + next(self._years), day=1)


def test_a_clock_that_is_set_changes_nothing_and_the_job_goes_on(task: Task, tmp_path: Path) -> None:
    with FakeEngine(tmp_path / "docker.sock", answer_of(task)) as engine:
        first = play(engine, task, tmp_path, runs=2, clock=SetClock())
        again = play(engine, task, tmp_path, resumed=True, clock=SetClock())
    assert (first.wrong, first.fault, again.wrong, again.fault) == ((), None, (), None)
    assert {run.outcome.kind for run in first.runs.values()} <= OWN
    assert all(run.episode is not None and 0 <= run.episode.seconds < 3600 for run in first.runs.values())
    assert {number: run_json(run) for number, run in again.runs.items()} == {
        number: run_json(run) for number, run in first.runs.items()
    }


def test_who_waits_for_the_episodes_takes_no_lock_that_they_need_to_end(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ctrl-C in the moment after would leave it taken for ever."""

    def take(futures: object) -> None:
        raise AssertionError("the main thread takes the locks of what it waits for")

    monkeypatch.setattr("concurrent.futures._base._AcquireFutures.__enter__", take)
    with FakeEngine(tmp_path / "docker.sock", answer_of(task)) as engine:
        played = play(engine, task, tmp_path)
    assert played.wrong == () and played.fault is None and sorted(played.runs) == [1, 2]


def test_an_episode_that_is_over_when_the_job_is_stopped_waits_to_be_graded(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode, over, stopped = Job._episode, threading.Event(), threading.Event()

    def ends_late(job: Job, number: int, episodes: EpisodeConfig) -> EndedEpisode | None:
        ended = episode(job, number, episodes)
        if number == 2:
            over.set()
            assert stopped.wait(PATIENCE_S)  # it is over, and nobody has seen that yet
        return ended

    def grade(job: Job, episodes: list[EndedEpisode]) -> None:
        assert [each.number for each in episodes] == [1] and over.wait(PATIENCE_S)
        stopped.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "_episode", ends_late)
    monkeypatch.setattr(Job, "_grade", grade)
    with FakeEngine(tmp_path / "docker.sock", answer_of(task)) as engine:
        played = play(engine, task, tmp_path, grade_after_s=0.0)
    assert played.wrong == () and played.fault is None
    assert {number: run.outcome.reason for number, run in played.runs.items()} == dict.fromkeys(
        (1, 2), "stopped before it was graded"
    )
    with contextlib.closing(reopen_job_folder(tmp_path / "j")) as folder:
        remains = read_remains(folder)
    assert [each.number for each in remains.waiting] == [1, 2] and remains.again == () and remains.damage == ()


def test_an_episode_that_is_over_when_a_fault_ends_the_job_waits_to_be_graded(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode, waited_for = Job._episode, threading.Event()

    def ends_late(job: Job, number: int, episodes: EpisodeConfig) -> EndedEpisode | None:
        assert number == 1 or waited_for.wait(PATIENCE_S)
        return episode(job, number, episodes)

    def grade(job: Job, episodes: list[EndedEpisode]) -> None:
        waited_for.set()
        wait(job._begun, PATIENCE_S)  # both are over, and nobody has seen that of the second
        raise TaskFault(cause="make raised", hint="fix problem.py")

    monkeypatch.setattr(Job, "_episode", ends_late)
    monkeypatch.setattr(Job, "_grade", grade)
    with FakeEngine(tmp_path / "docker.sock", answer_of(task)) as engine, pytest.raises(TaskFault, match="make raised"):
        play(engine, task, tmp_path, grade_after_s=0.0)
    with contextlib.closing(reopen_job_folder(tmp_path / "j")) as folder:
        remains = read_remains(folder)
    assert [each.number for each in remains.waiting] == [1, 2] and remains.again == () and remains.damage == ()


@pytest.mark.parametrize("step", [(JobFolder, "keep_submission"), (Journal, "append")], ids=["kept", "noted"])
def test_ctrl_c_while_a_submission_is_kept_costs_no_episode(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[type, str]
) -> None:
    owner, name = step
    done, struck = getattr(owner, name), []

    def interrupted(*arguments: Any) -> Any:
        if EntryKind.BEGUN not in arguments and not struck:
            struck.append(arguments)
            raise KeyboardInterrupt
        return done(*arguments)

    monkeypatch.setattr(owner, name, interrupted)
    with FakeEngine(tmp_path / "docker.sock", answer_of(task)) as engine:
        played = play(engine, task, tmp_path, runs=1)
    assert struck and played.wrong == () and played.fault is None
    assert [run.outcome.reason for run in played.runs.values()] == ["stopped before it was graded"]
    with contextlib.closing(reopen_job_folder(tmp_path / "j")) as folder:
        assert [each.number for each in read_remains(folder).waiting] == [1]


@pytest.mark.parametrize("name", ["sandbox-stream", "warm"])
def test_a_host_that_gives_no_more_threads_is_a_fault_with_its_cause_and_nothing_is_left(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    begin = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if self.name.startswith(name):
            raise RuntimeError("can't start new thread")
        begin(self)

    with FakeEngine(tmp_path / "docker.sock", answer_of(task)) as engine:
        monkeypatch.setattr(threading.Thread, "start", start)
        played = play(engine, task, tmp_path)
        assert played.wrong == () and engine.containers == {}
    assert {run.outcome.kind for run in played.runs.values()} == {OutcomeKind.INFRASTRUCTURE}
    assert all("no more threads" in run.outcome.reason and "ulimit" in run.outcome.hint for run in played.runs.values())


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(0, 200, 25)], ids=str)
def test_no_fault_in_an_episode_costs_anything(task: Task, tmp_path: Path, seeds: range) -> None:
    tried = {seed: try_schedule(task, tmp_path / str(seed), seed, span=20, graded=False) for seed in seeds}
    assert {seed: wrong for seed, (wrong, _) in tried.items() if wrong} == {}
    assert sum(len(struck) for _, struck in tried.values()) > 10, "the schedules strike"


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(1000, 1100, 25)], ids=str)
def test_no_fault_in_a_grading_costs_anything(task: Task, tmp_path: Path, seeds: range) -> None:
    tried = {seed: try_schedule(task, tmp_path / str(seed), seed, faults=3, span=120) for seed in seeds}
    assert {seed: wrong for seed, (wrong, _) in tried.items() if wrong} == {}
    assert sum(len(struck) for _, struck in tried.values()) > 10, "the schedules strike"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_every_call_says_its_cause_and_what_to_do(task: Task, tmp_path: Path, fault: str) -> None:
    with FakeEngine(tmp_path / "docker.sock", answer_of(task)) as engine:
        for number in range(6):  # create, attach, start, inspect, and what follows
            found = find_engine(Settings(docker_host=engine.url, engine_timeout_s=TIMEOUT_S))
            engine.plan = {engine.calls + number: fault}
            fleet = Fleet(found, f"one-{number}")
            try:
                with fleet.open(SPEC, "toolserver", role="agent", cpuset="0") as sandbox:
                    sandbox.ask({"op": "ping"}, deadline_s=5.0)
            except InfrastructureFault as raised:
                assert raised.cause and raised.hint
            engine.plan = {}
    assert len(engine.struck) == 6
