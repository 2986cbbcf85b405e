"""`oracle` submits the task's solution, `noop` its baseline: the best and the least that an agent can do."""

import base64
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.agents.protocol import AgentContext, Observation
from runner.faults import TaskFault
from runner.records.episode import ToolCall, Turn
from runner.tasks.task import Task, files_below


@dataclass
class SubmitFileAgent:
    """Writes a file, or a folder's files, through the tools and submits it.

    Attributes:
        path: what is submitted.
        files: text of each file that is written before, by its path.
    """

    path: str
    files: Mapping[str, str]
    say: str
    turns: list[Turn] = field(default_factory=list)

    def __post_init__(self) -> None:
        calls = (
            ToolCall(str(number), "create", {"path": path, "file_text": text})
            for number, (path, text) in enumerate(self.files.items(), 1)
        )
        self.turns = [
            Turn(self.say, tuple(calls)),
            Turn("I submit it.", (ToolCall(str(len(self.files) + 1), "submit", {"path": self.path}),)),
        ]

    def act(self, observation: Observation) -> Turn:
        return self.turns.pop(0) if self.turns else Turn("")


@dataclass
class SolveStepsAgent:
    """Runs the script that solves each step of a task whose work is tested, and submits; or does nothing, and submits.

    Attributes:
        steps: commands of each step.
    """

    steps: list[list[ToolCall]]
    say: str

    def act(self, observation: Observation) -> Turn:
        if not self.steps:
            return Turn("")
        number = str(len(self.steps))
        return Turn(self.say, (*self.steps.pop(0), ToolCall(f"submit-{number}", "submit", {"path": "."})))


def _solving(task: Task, number: int) -> list[ToolCall]:
    """The calls that bring a step's solution, run it, and remove it.

    Raises:
        TaskFault: it has no solve.sh.
    """
    folder = task.folder_of_step(number) / "solution"
    if not (folder / "solve.sh").is_file():
        raise TaskFault(cause=f"task {task.name} has no {folder / 'solve.sh'}", hint="add it, or use another agent")
    calls = [
        ToolCall(f"{number}-{place}", "bash", {"command": _writing(f".solution/{name}", content), "restart": False})
        for place, (name, content, _) in enumerate(files_below(folder))
    ]
    env = "".join(f"{name}={shlex.quote(value)} " for name, value in task.file.call.solution_env.items())
    solve = {"command": f"( {env}bash /solution/solve.sh ); rm -rf /workspace/.solution", "timeout_s": 600.0}
    return [*calls, ToolCall(f"{number}-solve", "bash", solve)]


def _writing(path: str, content: bytes) -> str:
    """A command that writes a file of the workspace, of whatever bytes."""
    folder, text = path.rpartition("/")[0], base64.b64encode(content).decode()
    where = f"/workspace/{path}"
    return f"mkdir -p {shlex.quote(f'/workspace/{folder}')} && echo {text} | base64 -d > {shlex.quote(where)}"


def make_oracle(context: AgentContext) -> SubmitFileAgent | SolveStepsAgent:
    """The solution's author.

    Raises:
        TaskFault: the task has no solution.
    """
    task = context.task
    if task.kind == "tests":
        return SolveStepsAgent([_solving(task, number) for number in range(len(task.steps))], "I run the solution.")
    path = f"solution/{task.file.submission.file}"
    if task.oracle is None:
        raise TaskFault(cause=f"task {task.name} has no {path}", hint="add it, or use another agent")
    return SubmitFileAgent(task.file.submission.file, _texts(task, path), "I write the task's solution.")


def make_noop(context: AgentContext) -> SubmitFileAgent | SolveStepsAgent:
    """Changes nothing.

    Raises:
        TaskFault: the task has nothing to begin with.
    """
    task = context.task
    if task.kind == "tests":
        return SolveStepsAgent([[] for _ in task.steps], "I leave it as it is.")
    if not task.has_baseline:
        raise TaskFault(cause=f"task {task.name} has no baseline to submit", hint="use another agent")
    files = _texts(task, task.file.call.baseline)
    return SubmitFileAgent(task.file.submission.file, files, "I submit the baseline as it is.")


def _texts(task: Task, path: str) -> dict[str, str]:
    """Texts by the paths that they are submitted under: of a file of the task, or of a folder's."""
    name, found = task.file.submission.file, task.folder / path
    if found.is_file():
        return {name: found.read_bytes().decode()}
    return {f"{name}/{inner}": content.decode() for inner, content, _ in files_below(found)}
