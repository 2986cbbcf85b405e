"""Episodes from one's own code: what `Host` and `Env` promise to a trainer."""

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runner.agents.protocol import Observation
from runner.faults import SandboxLost, UsageFault
from runner.job import training
from runner.job.setup import load_task
from runner.job.training import Env, Host
from runner.records.episode import Limits
from runner.records.outcome import OutcomeKind
from runner.records.run import GradingConfig
from runner.sandbox.container import Sandbox
from runner.sandbox.engine import Engine
from runner.sandbox.spec import SandboxSpec
from tests.conftest import containers_of
from tests.environment import clean_environment

FILE = "optimized_nbody.py"
SUBMIT = {"name": "submit", "input": {"path": FILE}}


def bash(command: str) -> dict[str, Any]:
    return {"name": "bash", "input": {"command": command}}


@pytest.fixture
def host(engine: Engine, nbody_spec: SandboxSpec) -> Iterator[Host]:
    with Host(engine.url, slots=2) as host:
        yield host
        job = host.fleet.job
    assert containers_of(engine, job) == []


@pytest.fixture
def env(host: Host) -> Env:
    return host.open_episode("slow_nbody", "small", Limits(turns=5))


@pytest.mark.parametrize(
    ("group", "how", "words"),
    [
        ("optimized.py", {}, "one file or environment was given where a group"),
        (b"x = 1", {}, "one file or environment was given where a group"),
        (Path("optimized.py"), {}, "one file or environment was given where a group"),
        ([b"x"], {"seeds": [-1]}, "-1 is not a seed"),
        ([b"x"], {"seeds": [0, 1.5]}, "1.5 is not a seed"),
        ([b"x"], {"seeds": ["7"]}, "'7' is not a seed"),
        ([b"x"], {"seeds": [True]}, "True is not a seed"),
        ([b"x"], {"config": GradingConfig(rounds_max=0)}, "config.rounds_max is 0"),
    ],
)
def test_what_cannot_be_meant_by_a_group_is_refused_before_the_engine_is_asked(
    group: Any, how: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageFault, match=re.escape(words)):
        Host().grade_many(group, "slow_nbody", "small", **how)


@pytest.mark.parametrize(
    "how", [{"seed": -1}, {"seed": "7"}, {"limits": Limits(turns=0)}, {"limits": Limits(wall_s=-1)}]
)
def test_what_cannot_be_meant_by_an_episode_is_refused_before_the_engine_is_asked(how: dict[str, Any]) -> None:
    with pytest.raises(UsageFault, match=r"is not a seed|must be greater than 0"):
        Host().open_episode("slow_nbody", "small", **how)


def test_a_seed_may_be_a_number_of_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    host, asked = Host(), []
    task = load_task(host.settings, "slow_nbody")
    monkeypatch.setattr(host, "_setup", lambda name: SimpleNamespace(task=task))
    monkeypatch.setattr(host, "_workspace", lambda task, scale, seed: asked.append(seed) or ())
    host.open_episode("slow_nbody", "small", seed=np.int64(7))  # type: ignore[arg-type]
    assert asked == [7] and type(asked[0]) is int


def test_an_environment_that_another_thread_closes_while_it_starts_leaves_no_sandbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host, ended = Host(), []
    setup = SimpleNamespace(task=load_task(host.settings, "slow_nbody"), spec=None)

    @contextlib.contextmanager
    def opened(*given: object, **how: object) -> Iterator[object]:
        env.close()  # by another thread, which sees no sandbox yet
        try:
            yield object()
        finally:
            ended.append(True)

    host._fleet = SimpleNamespace(open=opened, engine=None)  # type: ignore[assignment]
    monkeypatch.setattr(training, "all_cpus", lambda engine: "0")
    monkeypatch.setattr(training, "Episode", lambda *given, **how: SimpleNamespace(reset=lambda: None))
    env = Env(host, setup, "small", Limits(), (), None)  # type: ignore[arg-type]
    with pytest.raises(UsageFault, match="closed"):
        env.reset()
    assert ended == [True]


def test_an_episode_is_stepped_through_to_its_submission(env: Env) -> None:
    first = env.reset()
    assert "optimized_nbody.py" in first.instruction and first.left.turns == 5
    step = env.step(bash("echo x = 1 > optimized_nbody.py; ls"))
    assert FILE in step.observation.answers[0].text and (step.reward, step.terminated) == (0.0, False)
    step = env.step([bash("true"), SUBMIT])
    assert (step.terminated, step.truncated, step.reward) == (True, False, None)
    assert "grade_many" in step.info["reason"] and "submitted" in step.observation.answers[-1].text
    assert env.submission is not None and env.submission.content == b"x = 1\n"


def test_a_step_before_reset_after_the_end_or_after_close_is_an_error_and_changes_nothing(host: Host, env: Env) -> None:
    with pytest.raises(UsageFault, match="no episode has begun"):
        env.step(SUBMIT)
    env.reset()
    with pytest.raises(UsageFault, match="not an action"):
        env.step("ls")  # type: ignore[arg-type]
    assert not env.is_over
    env.step([bash("echo x = 1 > optimized_nbody.py"), SUBMIT])
    kept = env.submission
    assert env.is_over
    with pytest.raises(UsageFault, match="episode is over"):
        env.step(bash("true"))
    env.close()
    env.close()
    for act in (env.reset, lambda: env.step(bash("true"))):
        with pytest.raises(UsageFault, match="closed"):
            act()
    assert env.submission is kept and host.fleet.live() == []


def test_reset_begins_anew_also_a_second_time(host: Host, env: Env) -> None:
    env.reset()
    env.step([bash("echo x = 1 > optimized_nbody.py; cd /tmp; export A=1"), SUBMIT])
    for _ in range(2):
        first = env.reset()
        assert first.left.turns == 5 and env.submission is None and len(host.fleet.live()) == 1
        seen = env.step(bash("pwd; echo [$A]; ls")).observation.answers[0].text
        assert seen.startswith("/workspace\n[]") and FILE not in seen


def test_a_limit_truncates_and_giving_up_terminates(env: Env) -> None:
    env.reset()
    steps = [env.step(bash("true")) for _ in range(5)]
    assert [step.truncated for step in steps] == [False] * 4 + [True]
    assert (steps[-1].reward, steps[-1].info["outcome"]) == (0.0, "no_submission")
    env.reset()
    ended = env.step({"role": "assistant", "content": "I give up."})
    assert (ended.terminated, ended.truncated, ended.reward) == (True, False, 0.0)


def test_what_the_host_spoils_has_no_reward_and_a_reason(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    env.reset()

    def lost(*given: object, **more: object) -> None:
        raise SandboxLost(cause="the engine went away", hint="start it again")

    with monkeypatch.context() as patched:
        patched.setattr(Sandbox, "ask", lost)
        step = env.step(bash("true"))
    assert (step.reward, step.terminated, step.truncated) == (None, False, True)
    assert step.info["outcome"] == "infrastructure" and "the engine went away" in step.info["reason"]
    assert isinstance(env.reset(), Observation)


def test_no_more_are_open_than_there_are_slots(host: Host, env: Env) -> None:
    second = host.open_episode("slow_nbody", "small")
    with pytest.raises(UsageFault, match="2 slots"):
        host.open_episode("slow_nbody", "small")
    second.close()
    host.open_episode("slow_nbody", "small").close()
    with pytest.raises(UsageFault, match="1 or more"):
        Host(slots=0)


def test_a_seed_changes_the_sample_data_and_nothing_else_does(host: Host) -> None:
    sums = []
    for seed in (None, 7, 7):
        with host.open_episode("slow_nbody", "small", seed=seed) as env:
            env.reset()
            sums.append(env.step(bash("sha256sum sample_data.npz")).observation.answers[0].text)
    assert sums[0] != sums[1] == sums[2]


def test_environments_are_stepped_side_by_side(host: Host) -> None:
    group, seen = [host.open_episode("slow_nbody", "small") for _ in range(2)], {}

    def play(number: int) -> None:
        group[number].reset()
        seen[number] = group[number].step(bash(f"sleep 0.2; echo {number}")).observation.answers[0].text

    threads = [threading.Thread(target=play, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen[number].splitlines()[0] for number in range(2)] == ["0", "1"]


def test_an_episode_that_left_nothing_is_graded_without_a_measurement(host: Host, env: Env) -> None:
    with pytest.raises(UsageFault, match="not over"):
        host.grade_many([env])
    env.reset()
    env.step([])
    (graded,) = host.grade_many([env], reward="margin")
    assert (graded.outcome.kind, graded.reward) == (OutcomeKind.NO_SUBMISSION, -1.0)


@pytest.mark.usefixtures("measuring_cpu")
def test_a_group_is_graded_together_in_its_order(host: Host, env: Env, project: Path) -> None:
    env.reset()
    env.step([bash("echo x = 1 > optimized_nbody.py"), SUBMIT])
    oracle = project / "problem_data" / "slow_nbody" / "solution" / FILE
    good, crashed, same = host.grade_many([oracle, env, b"x = 1\n"], "slow_nbody", "small", reward="log_speedup")
    assert crashed == same and (crashed.outcome.kind, crashed.reward) == (OutcomeKind.CRASHED, 0.0)
    assert good.speedup is not None and good.findings
    assert good.reward is None or good.reward > 1.0, good.outcome


@pytest.mark.slow
@pytest.mark.usefixtures("measuring_cpu")
def test_the_example_learns_from_real_gradings_what_is_fast_and_right(
    project: Path, engine: Engine, home: str, nbody_spec: SandboxSpec
) -> None:
    done = subprocess.run(
        # Two steps of three episodes; `bench/training.py` plays all of them, with three seeds.
        [sys.executable, str(project / "docs" / "examples" / "train_bandit.py"), "1", "2", "3"],
        cwd=project, env=clean_environment(home, PYTHONPATH=str(project), DOCKER_HOST=engine.url),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    means = [float(mean) for mean in re.findall(r"mean reward (\S+),", done.stdout)]
    shares = {name: float(share) for share, name in re.findall(r"^  (\S+)  (.*)$", done.stdout, re.MULTILINE)}
    if max(means) > 0.0:
        assert means[-1] > means[0] and max(shares, key=lambda name: shares[name]) == "all pairs at once", done.stdout
    else:  # a loaded host left the one fast file open: no reward, so that nothing was learnt, and nothing wrong
        assert set(shares.values()) == {0.33} and all("of 3 of 3" not in line for line in done.stdout.splitlines())
