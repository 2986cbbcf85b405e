"""Between two steps of a task: what the workspace refuses is the agent's doing, what the host loses is not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.episode.environment import Episode
from runner.episode.tools import ToolOutcome
from runner.faults import SandboxLost
from runner.records.episode import Limits, Submission, ToolResult
from runner.sandbox.container import ExitCause, GuestExit, Sandbox
from runner.tasks.task import Task

SUBMITTED = ToolOutcome(ToolResult("1", "submitted", is_error=False), Submission(path=".", content=b""))


class Asked:
    """A sandbox whose answer is known."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def ask(self, *_: Any, **__: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def next_step(tmp_path: Path, answer: Any, *, with_file: bool) -> object:
    (tmp_path / "workdir").mkdir()
    (tmp_path / "instruction.md").write_text("Go on.")
    if with_file:
        (tmp_path / "workdir" / "data").write_text("1")
    task = SimpleNamespace(
        steps=(None, None),
        file=SimpleNamespace(workspace=SimpleNamespace(start="/app")),
        folder_of_step=lambda number: tmp_path,
    )
    return Episode(cast(Sandbox, Asked(answer)), cast(Task, task), Limits(), "")._next_step(SUBMITTED)


def refusal(**head: Any) -> Any:
    return SimpleNamespace(frame=SimpleNamespace(head={"ok": False, "error": "no room", **head}, body=b""))


@pytest.mark.parametrize("with_file", [False, True])
@pytest.mark.parametrize("answer", [refusal(), GuestExit(ExitCause.DIED, "it died"), refusal(exit_status=1)])
def test_a_workspace_that_takes_nothing_more_is_as_the_agent_made_it(
    tmp_path: Path, answer: Any, with_file: bool
) -> None:
    found = next_step(tmp_path, answer, with_file=with_file)
    assert isinstance(found, GuestExit) and found.how is ExitCause.RUINED


@pytest.mark.parametrize("with_file", [False, True])
def test_a_sandbox_that_is_lost_between_two_steps_is_the_hosts_fault(tmp_path: Path, with_file: bool) -> None:
    lost = SandboxLost(cause="the container was ended from outside", hint="try again")
    with pytest.raises(SandboxLost, match="from outside"):
        next_step(tmp_path, lost, with_file=with_file)
