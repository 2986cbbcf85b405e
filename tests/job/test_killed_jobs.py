"""A job that is killed at any moment goes on: every final run as it was, every other one there, nothing left."""

import random
from pathlib import Path

import pytest

from tests.fakes.faulty_jobs import load, try_kill

pytestmark = pytest.mark.slow  # each is a job in a process of its own, and the same resumed


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_at_a_random_moment_loses_and_alters_nothing(tmp_path: Path, seed: int) -> None:
    after_s = random.Random(seed).uniform(0.0, 1.2)
    assert try_kill(load(), tmp_path / "job", after_s) == [], f"killed after {after_s:.3f} s"
