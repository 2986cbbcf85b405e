"""`scripted` takes the turns of episodes that ship with a task: real tools, real container, no model.

An episode is `episodes/NN.toml`: turns, each with what is said and the calls. A call's `content_of` fills its `file_text`
from a file beside it, so that what is submitted is a file that other programs can read. Outcomes come from what the
files do under measurement; nothing here knows them. With more runs than episodes, they start again from the first.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from runner.agents.protocol import AgentContext, Observation
from runner.faults import TaskFault
from runner.records.episode import ToolCall, Turn
from runner.tasks.task import REFERENCE, Task
from runner.tasks.toml_faults import read_toml


class _Call(BaseModel):
    model_config = ConfigDict(extra="forbid")
    tool: str
    input: dict[str, Any] = {}
    content_of: str | None = None


class _Turn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    say: str = ""
    calls: list[_Call] = []


class _Episode(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str = ""
    turns: list[_Turn]


@dataclass
class Scripted:
    """Takes its turns, one after the other."""

    turns: list[Turn]

    def act(self, observation: Observation) -> Turn:
        return self.turns.pop(0) if self.turns else Turn("")


def make_scripted(context: AgentContext) -> Scripted:
    """The episode of a run.

    Raises:
        TaskFault: the task has no episodes, or one is broken.
    """
    task, run = context.task, context.run
    paths = _episodes_of(task)
    if not paths:
        raise TaskFault(cause=f"task {task.name} has no scripted episodes", hint="use --agent oracle or --agent noop")
    return Scripted(_read(paths[(run - 1) % len(paths)]))


def check_episodes(task: Task) -> None:
    """Check that all episodes of a task can be played; it need not have any.

    Raises:
        TaskFault: one is broken.
    """
    for path in _episodes_of(task):
        _read(path)


def _episodes_of(task: Task) -> list[Path]:
    return sorted((task.folder / "episodes").glob("[0-9]*.toml"))


def _read(path: Path) -> list[Turn]:
    raw = read_toml(path, REFERENCE)[1]
    try:
        episode = _Episode.model_validate(raw)
        return [
            Turn(turn.say, tuple(_call(path, call, f"{t}.{c}") for c, call in enumerate(turn.calls, 1)))
            for t, turn in enumerate(episode.turns, 1)
        ]
    except (ValueError, OSError) as error:  # of the form, and of files that are named in it
        raise TaskFault(cause=f"{path} is not a scripted episode: {error}", hint="fix the file") from error


def _call(path: Path, call: _Call, call_id: str) -> ToolCall:
    filled = dict(call.input)
    if call.content_of is not None:
        filled["file_text"] = (path.parent / call.content_of).read_text(encoding="utf-8")
    return ToolCall(call_id, call.tool, filled)
