"""An episode as an MCP client's calls see it; the protocol and the real client are tested in tests/peers."""

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.agents.protocol import Observation
from runner.bridges.mcp_server import ServedEpisode
from runner.cli.mcp import check_place, grade_command
from runner.faults import StoreFault, UsageFault
from runner.job.training import Step
from runner.records.episode import Limits, Submission, ToolCall


def test_a_submission_that_cannot_be_kept_is_told_as_the_runners_fault_and_kept_by_the_next_call() -> None:
    seen = Observation("do it", (), Limits(turns=2))
    over = Step(seen, None, terminated=True, truncated=False, info={"ending": "submitted", "reason": ""})
    env: Any = SimpleNamespace(reset=lambda: None, submission=None)

    def step(call: ToolCall) -> Step:
        assert env.submission is None, "the episode is over"
        env.submission = Submission(path="x.py", content=b"x = 1\n")
        return over

    env.step = step
    rooms = [False, False, True]

    def keep(submission: Submission) -> str:
        if not rooms.pop(0):
            raise StoreFault(cause="there is no room", hint="make some")
        return "there"

    episode = ServedEpisode(env, keep)
    for tool in ("submit", "bash"):
        text, is_error = episode.call(tool, {})
        assert is_error and "the runner failed" in text and "there is no room" in text and "make some" in text
    assert episode.call("bash", {}) == ("submitted: 6 bytes, kept as there. the episode is over.", False)
    assert episode.call("bash", {}) == ("the episode is over: 'x.py' was submitted", True)


def test_the_command_that_grades_a_submission_can_be_copied_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "my folder" / "it's $HOME.py"
    command = grade_command(path, "my task", "small")
    assert shlex.split(command)[-6:] == ["grade", str(path), "--task", "my task", "--scale", "small"]


def test_where_a_submission_cannot_be_kept_is_said_before_the_episode(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "file" / "mine.py"):
        with pytest.raises(UsageFault, match="cannot be kept"):
            check_place(place)
    check_place(tmp_path / "file")
    check_place(tmp_path / "new" / "folder" / "mine.py")
