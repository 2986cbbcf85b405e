"""A model at work: its answers become turns, what the tools say goes back to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from runner.agents.protocol import Observation
from runner.llm.client import Reply
from runner.llm.prices import dollars
from runner.records.transcript import ToolAnswer, ToolCall, Turn

SYSTEM_PROMPT = Path(__file__).parent / "prompts" / "system.md"


class Client(Protocol):
    """What a model is reached through."""

    model: str

    def reply(
        self, system: str, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> Reply: ...


@dataclass
class ModelAgent:
    """Keeps the conversation of one episode.

    Attributes:
        tools: JSON schemas of what it may call.
    """

    client: Client
    tools: Sequence[Mapping[str, Any]]
    system: str
    messages: list[dict[str, Any]] = field(default_factory=list)

    def act(self, observation: Observation) -> Turn:
        """Ask for the next turn.

        Raises:
            ModelFault: the endpoint gave no answer.
            Interrupted: we are stopping.
        """
        self.messages.append({"role": "user", "content": _heard(observation, first=not self.messages)})
        reply = self.client.reply(self.system, self.messages, self.tools)
        self.messages.append({"role": "assistant", "content": list(reply.content)})
        return _turn(reply, dollars(self.client.model, reply.usage))


def _heard(observation: Observation, *, first: bool) -> list[dict[str, Any]]:
    """The instruction, or one result for each call of the last turn, in order; and what is left."""
    left = f"[left: {observation.turns_left} turns, {observation.seconds_left:.0f} s]"
    said = [{"type": "text", "text": observation.instruction}] if first else [_result(a) for a in observation.answers]
    return [*said, {"type": "text", "text": left}]


def _result(answer: ToolAnswer) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": answer.call_id,
        "content": answer.text or "(no output)",
        "is_error": answer.is_error,
    }


def _turn(reply: Reply, cost: float) -> Turn:
    text = "".join(str(block["text"]) for block in reply.content if block["type"] == "text")
    calls = tuple(
        ToolCall(str(block["id"]), str(block["name"]), dict(block["input"]))
        for block in reply.content
        if block["type"] == "tool_use"
    )
    if reply.stop_reason not in ("tool_use", "end_turn"):
        # What was cut off is not acted on: its last call may be half a call.
        return Turn(f"{text}\n[the answer stopped: {reply.stop_reason}]".lstrip(), (), cost)
    return Turn(text, calls, cost)
