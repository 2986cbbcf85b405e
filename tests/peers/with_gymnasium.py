"""An episode as an environment of Gymnasium's, by the adapter in docs/how-to/connect-a-trainer.md."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["gymnasium==1.4.0"]
# ///

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

from runner import Host
from tests.documents import example

FILE = "optimized_nbody.py"


@pytest.fixture
def adapter(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(example(project / "docs" / "how-to" / "connect-a-trainer.md", "gym_environment.py"), found)
    return found


@pytest.fixture
def env(adapter: dict[str, Any], nbody_spec: object) -> Iterator[gymnasium.Env[str, str]]:
    with Host(slots=1) as host:
        env = adapter["Commands"](host, "slow_nbody", "small", FILE)
        # A random text of its space is a command like any other; a short one, so that it ends.
        env.action_space = gymnasium.spaces.Text(8, min_length=1, charset="abc")
        yield env
        env.close()


def test_gymnasiums_own_checker_finds_nothing(env: gymnasium.Env[str, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*spec.*|.*render.*|.*different.*unwrapped.*")
        check_env(env, skip_render_check=True, skip_close_check=True)


def test_an_episode_is_played_to_a_reward(env: gymnasium.Env[str, str]) -> None:
    first, _ = env.reset(seed=1)
    assert FILE in first
    text, reward, terminated, truncated, _ = env.step(f"printf 'caf\\xc3\\xa9' > {FILE}; cat {FILE}")
    assert text.startswith("caf?") and (reward, terminated, truncated) == (0.0, False, False)
    *_, reward, terminated, truncated, info = env.step("submit")
    assert (reward, terminated, truncated, info["outcome"]) == (0.0, True, False, "crashed"), info


def test_a_spoiled_reward_is_not_a_number(env: gymnasium.Env[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.faults import SandboxLost
    from runner.sandbox.container import Sandbox

    env.reset()

    def lost(*given: object, **more: object) -> None:
        raise SandboxLost(cause="the engine went away", hint="start it again")

    monkeypatch.setattr(Sandbox, "ask", lost)
    text, reward, terminated, truncated, info = env.step("true")
    assert (
        text == "" and math.isnan(reward) and (terminated, truncated) == (False, True) and "went away" in info["reason"]
    )
