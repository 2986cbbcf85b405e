"""`oracle` submits the task's solution, `noop` its baseline: the best and the least that an agent can do."""

from dataclasses import dataclass, field

from runner.agents.protocol import AgentContext, Observation
from runner.faults import TaskFault
from runner.records.episode import ToolCall, Turn


@dataclass
class SubmitFileAgent:
    """Writes one file through the tools and submits it."""

    path: str
    text: str
    say: str
    turns: list[Turn] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.turns = [
            Turn(self.say, (ToolCall("1", "create", {"path": self.path, "file_text": self.text}),)),
            Turn("I submit it.", (ToolCall("2", "submit", {"path": self.path}),)),
        ]

    def act(self, observation: Observation) -> Turn:
        return self.turns.pop(0) if self.turns else Turn("")


def make_oracle(context: AgentContext) -> SubmitFileAgent:
    """The solution's author.

    Raises:
        TaskFault: the task has no solution.
    """
    task = context.task
    if task.oracle is None:
        raise TaskFault(
            cause=f"task {task.name} has no solution/{task.file.submission.file}", hint="add it, or use another agent"
        )
    return SubmitFileAgent(task.file.submission.file, task.oracle.decode(), "I write the task's solution.")


def make_noop(context: AgentContext) -> SubmitFileAgent:
    """Changes nothing."""
    task = context.task
    return SubmitFileAgent(task.file.submission.file, task.baseline.decode(), "I submit the baseline as it is.")
