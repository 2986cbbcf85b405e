"""Whatever signal ends a job while an episode runs: its exit status, nothing left, and the job goes on."""

import json
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from runner.sandbox.engine import Engine
from tests.conftest import Cli, containers_of, wait_until

INTERRUPTED = 130
AGENT = """
import os, time
from runner.agents.protocol import Observation
from runner.records.episode import ToolCall, Turn

class Slow:
    def __init__(self, context):
        self.turns = 0
    def act(self, observation: Observation) -> Turn:
        self.turns += 1
        if self.turns > 1:
            return Turn("done")
        seconds = 0 if os.path.exists(os.environ["HOME"] + "/quick") else 60
        return Turn("", (ToolCall("1", "bash", {"command": f"sleep {seconds}"}),))
"""


@pytest.mark.parametrize(
    ("signals", "status"),
    [
        ((signal.SIGTERM,), INTERRUPTED),
        ((signal.SIGHUP,), INTERRUPTED),
        ((signal.SIGINT,), INTERRUPTED),
        ((signal.SIGINT, signal.SIGINT), None),
        ((signal.SIGKILL,), -signal.SIGKILL),
    ],
    ids=lambda value: "-".join(number.name for number in value) if isinstance(value, tuple) else "",
)
def test_a_signal_in_an_episode_leaves_nothing_and_the_job_goes_on(
    start: Cli, engine: Engine, tmp_path: Path, home: str, signals: Sequence[signal.Signals], status: int | None
) -> None:
    agent = tmp_path / "slow.py"
    agent.write_text(AGENT)
    quick = Path(home) / "quick"
    quick.unlink(missing_ok=True)
    name = "-".join(number.name for number in signals).lower()
    flags = ("--agent", f"{agent}:Slow", "--task", "slow_nbody", "--scale", "small", "--no-analysis")
    process = start("--runs", "1", *flags, "--name", name, "--output", str(tmp_path))
    transcript = tmp_path / name / "run_1" / "transcript.jsonl"
    wait_until(lambda: transcript.exists() and '"turn"' in transcript.read_text())
    for number in signals:
        process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == status or (status is None and process.returncode in (INTERRUPTED, -signal.SIGINT))
    wait_until(lambda: containers_of(engine, name) == [])
    quick.touch()
    again = start("--resume", str(tmp_path / name), "--no-analysis")
    _, err = again.communicate(timeout=120)
    quick.unlink()
    [run] = json.loads((tmp_path / name / "results.json").read_text())["runs"]
    assert (again.returncode, run["outcome"]) == (0, "no_submission"), err
    assert transcript.with_name("transcript_1.jsonl").exists() and containers_of(engine, name) == []
