"""One episode: turns until the agent submits, ends, or a limit ends it."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.agents.protocol import Agent, Observation
from runner.episode.limits import CALLS_PER_TURN_MAX, FILE_DEADLINE_S, Limits
from runner.episode.tools import SandboxGone, run_tool
from runner.faults import SandboxLost
from runner.records.run import EpisodeSummary
from runner.records.submission import Submission
from runner.records.transcript import ToolAnswer, Turn
from runner.sandbox.container import Arrived, Ended, Sandbox
from runner.task import Task

Note = Callable[[str, dict[str, Any]], None]
Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Played:
    """An episode that has ended.

    Attributes:
        broken: how the sandbox ended, where the agent ruined it.
    """

    summary: EpisodeSummary
    submission: Submission | None
    broken: Ended | None = None


def furnish(sandbox: Sandbox, task: Task, sample: Arrays | None) -> None:
    """Put into the workspace what the agent finds there.

    Raises:
        SandboxLost: a file could not be written.
    """
    for path, content in workspace_files(task, sample):
        got = sandbox.ask({"op": "create", "path": path}, content, deadline_s=FILE_DEADLINE_S)
        if not isinstance(got, Arrived) or not got.frame.head.get("ok"):
            why = got.detail if isinstance(got, Ended) else got.frame.head.get("error")
            raise SandboxLost(cause=f"{path} could not be put into the workspace: {why}", mend="raise limits.workspace")


def workspace_files(task: Task, sample: Arrays | None) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of everything that the agent finds; problem.py and the solution are never among it."""
    folder = task.folder / task.file.workspace.folder
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        yield path.relative_to(folder).as_posix(), path.read_bytes()
    yield task.file.workspace.starter, task.baseline
    if task.file.workspace.sample is not None and sample is not None:
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **dict(sample))
        yield task.file.workspace.sample.file, packed.getvalue()


def play(sandbox: Sandbox, task: Task, agent: Agent, instruction: str, note: Note = lambda kind, event: None) -> Played:
    """Let the agent work until the episode ends.

    Args:
        note: called with each event as it happens (`turn`, `answer`, `end`), for the transcript.

    Raises:
        InfrastructureFault: engine or host failed.
        Interrupted: we are stopping.
    """
    limits = Limits(task.file.episode.turns, task.file.episode.wall_s)
    episode = _Episode(sandbox, task, limits, sandbox.counted_s(), note)
    answers: tuple[ToolAnswer, ...] = ()
    while (ending := episode.limit()) is None:
        turn = agent.act(episode.observe(instruction, answers))
        episode.hear(turn)
        if not turn.calls:
            ending = "ended"
            break
        answers = episode.run_calls(turn)
        if episode.submission is not None or episode.broken is not None:
            ending = "submitted" if episode.submission is not None else "sandbox broken"
            break
    return episode.close(ending)


@dataclass
class _Episode:
    sandbox: Sandbox
    task: Task
    limits: Limits
    started_s: float
    note: Note
    turns: int = 0
    calls: int = 0
    dollars: float = 0.0
    submission: Submission | None = None
    broken: Ended | None = None

    def seconds(self) -> float:
        return self.sandbox.counted_s() - self.started_s

    def limit(self) -> str | None:
        return self.limits.reached(self.turns, self.seconds())

    def observe(self, instruction: str, answers: tuple[ToolAnswer, ...]) -> Observation:
        left_s = max(0.0, self.limits.wall_s - self.seconds())
        return Observation(instruction, answers, self.limits.turns - self.turns, left_s)

    def hear(self, turn: Turn) -> None:
        self.turns += 1
        self.dollars += turn.dollars
        calls = [{"id": call.id, "tool": call.tool, "input": call.input} for call in turn.calls]
        self.note("turn", {"turn": self.turns, "say": turn.say, "calls": calls, "dollars": turn.dollars})

    def run_calls(self, turn: Turn) -> tuple[ToolAnswer, ...]:
        answers: list[ToolAnswer] = []
        for call in turn.calls[:CALLS_PER_TURN_MAX]:
            got = run_tool(self.sandbox, call, self.task.file.submission.max_bytes)
            self.calls += 1
            if isinstance(got, SandboxGone):
                self.broken = got.ended
                break
            answers.append(got.answer)
            self.note("answer", _as_event(got.answer))
            if got.submission is not None:
                self.submission = got.submission
                break
        return tuple(answers)

    def close(self, ending: str) -> Played:
        summary = EpisodeSummary(self.turns, self.calls, self.seconds(), ending, self.dollars)
        self.note("end", {"ending": ending, "turns": self.turns, "calls": self.calls, "seconds": summary.seconds})
        return Played(summary, self.submission, self.broken)


def _as_event(answer: ToolAnswer) -> dict[str, Any]:
    return {
        "call": answer.call_id,
        "text": answer.text,
        "is_error": answer.is_error,
        "seconds": round(answer.seconds, 6),
        **answer.facts,
    }
