"""A whole job from one's own code: the same job, and the same folder, as the command line's."""

import dataclasses
import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.budget.clock import SystemClock
from runner.cli.option_groups import AgentOptions, TaskOptions
from runner.cli.options import RunOptions
from runner.cli.resolve import resolve
from runner.faults import EngineUnreachable, Interrupted, UsageFault
from runner.job import api
from runner.job.api import JobResult, grade, run_job
from runner.job.configuration import AGENTS_OF, AgentConfig
from runner.job.setup import load_task
from runner.job.stop import Stop
from runner.job.training import Host
from runner.records.episode import Limits
from runner.records.outcome import OutcomeKind
from runner.records.run import GradingConfig, JobConfig
from runner.sandbox.engine import Engine
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from tests.conftest import NOWHERE, containers_of, wait_until
from tests.fakes.docker_engine import FakeEngine


def test_a_job_in_one_call_leaves_what_the_command_leaves(
    engine: Engine, nbody_spec: SandboxSpec, in_process: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path,
    make_task: Callable[..., Path],
) -> None:  # fmt: skip
    said: list[str] = []
    settings, task = Settings(output=tmp_path / "out"), str(make_task("true", "true"))
    done = run_job(task, 2, scale="small", agent="scripted", engine=engine.url, settings=settings, say=said.append)
    assert [run.outcome.kind for run in done.runs] == [OutcomeKind.NO_SUBMISSION] * 2 and not done.interrupted
    assert (done.totals.runs, done.totals.pass_rate) == (2, 0.0) and "run 1: no submission" in said
    flags = (
        "--runs",
        "2",
        "--task",
        task,
        "--scale",
        "small",
        "--agent",
        "scripted",
        "--output",
        str(tmp_path / "out"),
    )
    in_process(*flags, "--name", "by-command", "--quiet", env={"DOCKER_HOST": engine.url})
    by_command = tmp_path / "out" / "by-command"
    written = {path.name for path in done.folder.iterdir()}
    assert written == {path.name for path in by_command.iterdir()} and {"analysis.json", "report.html"} < written
    mine, theirs = (json.loads((folder / "job.json").read_text()) for folder in (done.folder, by_command))
    assert {**mine, "name": "", "started": ""} == {**theirs, "name": "", "started": ""}
    shown = in_process("show", str(done.folder))
    assert shown.returncode == 0 and "no submission" in shown.stdout
    assert containers_of(engine, done.folder.name) == []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., JobConfig]:
    """What `run_job` would play."""

    def ask(task: str, runs: int = 1, **how: Any) -> JobConfig:
        found: list[JobConfig] = []
        over = JobResult(Path(), (), None, interrupted=False)  # type: ignore[arg-type]
        with monkeypatch.context() as patch:
            patch.setattr(api, "_play", lambda settings, task, config, how: found.append(config) or over)
            run_job(task, runs, **how)
        return found[0]

    return ask


@pytest.mark.parametrize(
    ("agent", "options"),
    [
        ("noop", {}),
        ("command", {"command": "claude -p hello", "api": "anthropic"}),
        ("model", {"model": "m-1", "max_tokens": 99, "thinking": "adaptive", "tools": "native", "price": "3/15",
                   "price_check": False, "preflight": False, "context_tokens": 1000}),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_what_the_flags_ask_for(
    asked: Callable[..., JobConfig], monkeypatch: pytest.MonkeyPatch, agent: str, options: dict[str, Any]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-a-key")
    mine = asked("slow_nbody", 10, scale="small", agent=agent, agent_config=AgentConfig(**options))
    of_settings = {name: value for name, value in options.items() if name in ("model", "max_tokens", "context_tokens")}
    settings = Settings(**of_settings)
    flags = RunOptions(task=TaskOptions(task="slow_nbody", scale="small"), agent=_flags(agent, options))
    theirs = resolve(flags, settings, load_task(settings, "slow_nbody"), SystemClock().now())
    assert asdict(replace(mine, name="", started="")) == asdict(replace(theirs, name="", started=""))


def _flags(agent: str, options: dict[str, Any]) -> AgentOptions:
    from runner.cli.option_groups import Api, Tools

    kinds = {"api": Api, "tools": Tools}
    return AgentOptions(agent=agent, **{name: kinds.get(name, lambda v: v)(value) for name, value in options.items()})


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        {"runs": 0},
        {"scale": "huge"},
        {"agent": "nobody"},
        {"job_cost_limit": 0.0},
        {"name": "a/b"},
        {"concurrency": -1},
        {"runs": 1.5},
        {"runs": True},
        {"job_cost_limit": float("nan")},
        {"grade_after_s": -1.0},
        {"grade_after_s": float("nan")},
        *(
            {"limits": Limits(**{name: value})}
            for name in ("turns", "tokens", "output_tokens")
            for value in (0, -1, 1.5)
        ),
        *(
            {"limits": Limits(**{name: value})}
            for name in ("dollars", "wall_s", "working_s")
            for value in (0.0, -1.0, float("nan"), float("inf"))
        ),
        {"limits": Limits(wall_s=1e9)},
        {"config": GradingConfig(rounds_max=0)},
        {"config": GradingConfig(max_noise=float("nan"))},
        {"config": GradingConfig(slots=-1)},
    ],
)
def test_a_job_that_cannot_be_meant_starts_nothing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    settings = Settings(output=tmp_path / "out")
    with pytest.raises(UsageFault):
        run_job("slow_nbody", **{"scale": "small", "agent": "noop", **wrong}, settings=settings, engine=NOWHERE)
    assert not (tmp_path / "out").exists()


def test_numbers_that_the_flags_take_are_taken(asked: Callable[..., JobConfig]) -> None:
    limits = Limits(turns=1, dollars=0.01, wall_s=1, working_s=0.5)
    how = {
        "limits": limits,
        "concurrency": 0,
        "grade_after_s": float("inf"),
        "config": GradingConfig(max_noise=0, slots=0),
    }
    assert asked("slow_nbody", scale="small", agent="noop", **how).limits == limits


def test_limits_that_numpy_computed_are_taken_and_can_be_written(asked: Callable[..., JobConfig]) -> None:
    limits = Limits(turns=np.int64(5), wall_s=np.float32(60))  # type: ignore[arg-type]
    found = asked("slow_nbody", scale="small", agent="noop", limits=limits).limits
    assert json.loads(json.dumps(dataclasses.asdict(found))) == dataclasses.asdict(Limits(turns=5, wall_s=60.0))


@pytest.mark.parametrize(
    "call",
    [
        lambda: run_job("slow_nbody", scale="small", agent="noop"),
        lambda: grade([b"x"], "slow_nbody"),
        lambda: Host(),
    ],
)
def test_an_environment_variable_that_is_wrong_is_a_fault_with_its_name(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]
) -> None:
    monkeypatch.setenv("RUNNER_TURN_S", "soon")
    with pytest.raises(UsageFault, match="RUNNER_TURN_S"):
        call()


@pytest.mark.parametrize("name", AGENTS_OF)
def test_an_option_of_another_agent_is_refused(name: str) -> None:
    value = {"price_check": False, "preflight": False, "max_tokens": 1, "context_tokens": 1, "upload": (Path("a"),),
             "api": "openai", "tools": "native"}.get(name, "given")  # fmt: skip
    with pytest.raises(UsageFault, match=name):
        run_job("slow_nbody", scale="small", agent="noop", agent_config=AgentConfig(**{name: value}))  # type: ignore[arg-type]


def test_an_engine_that_does_not_answer_is_a_fault_before_anything(tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachable):
        grade([b"x = 1\n"], "slow_nbody", scale="small", engine=f"unix://{tmp_path}/no.sock")


def test_a_job_is_stopped_from_another_thread(
    engine: Engine, nbody_spec: SandboxSpec, tmp_path: Path, make_task: Callable[..., Path]
) -> None:
    stop, settings = Stop(), Settings(output=tmp_path / "out")

    def when_it_plays() -> None:
        while not list(tmp_path.glob("out/*/run_1/transcript.jsonl")):
            time.sleep(0.02)
        stop.set()

    threading.Thread(target=when_it_plays, daemon=True).start()
    task = str(make_task("sleep 300"))
    done = run_job(task, scale="small", agent="scripted", engine=engine.url, settings=settings, stop=stop)
    assert done.interrupted and containers_of(engine, done.folder.name) == []


THINKS = """
import pathlib, time

class Agent:
    def __init__(self, context):
        pass

    def act(self, seen):
        pathlib.Path({begun!r}).touch()
        time.sleep(60)
"""


@pytest.mark.slow
def test_a_job_whose_agent_is_at_work_is_stopped_before_its_turn_is_over(tmp_path: Path) -> None:
    stop, begun, stopped_s = Stop(), tmp_path / "begun", []
    (tmp_path / "thinks.py").write_text(THINKS.format(begun=str(begun)))

    def when_it_plays() -> None:
        wait_until(begun.exists, 60)
        stopped_s.append(time.monotonic())
        stop.set()

    threading.Thread(target=when_it_plays, daemon=True).start()
    with FakeEngine(tmp_path / "docker.sock") as fake:
        settings = Settings(output=tmp_path / "out", docker_host=fake.url)
        agent = f"{tmp_path / 'thinks.py'}:Agent"
        done = run_job("slow_nbody", scale="small", agent=agent, settings=settings, stop=stop)
        assert done.interrupted and done.runs == () and fake.containers == {}
    assert time.monotonic() - stopped_s[0] < 30


def test_what_is_stopped_before_it_begins_does_nothing(engine: Engine, nbody_spec: SandboxSpec) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Interrupted):
        grade([b"x = 1\n"], "slow_nbody", scale="small", engine=engine.url, stop=stop)
