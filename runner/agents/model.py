"""A model as an agent: its responses become turns, the tools' results go back to it. The loop is the episode's, not ours."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from runner.agents.conversation import clear_tool_results, context_management, sanitize_content
from runner.agents.protocol import AgentContext, Observation
from runner.agents.tool_formats import Toolkit
from runner.budget.ledger import Meter, MeterReading
from runner.budget.limits import BudgetExceeded, format_remaining, remaining_limits
from runner.llm.messages import ModelRequest, ModelResponse, bytes_of
from runner.llm.model import ContextEditingUnsupported, ContextLengthExceeded
from runner.llm.prices import OUTPUT_TOKENS_MIN, Prices
from runner.llm.request_log import common_prefix_len, request_event
from runner.records.episode import EndReason, Limit, Limits, Spent, ToolCall, ToolResult, Turn, Usage
from runner.records.events import Attempt, NoteEvent, ResponseEvent

SYSTEM_PROMPT = Path(__file__).parent / "prompts" / "system.md"
MESSAGE_TOKENS_MAX = 100  # chosen: the note on what is left is some dozen words


class Client(Protocol):
    """What a model is asked through."""

    prices: Prices

    @property
    def api(self) -> str: ...

    def body_of(self, question: ModelRequest) -> dict[str, Any]: ...

    def respond(
        self, question: ModelRequest, meter: Meter, tried: Any, spend_max: float | None, within_s: float | None
    ) -> ModelResponse: ...


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """How a model is asked, the same in every episode of a job.

    Attributes:
        max_tokens: the most of one answer.
        thinking: the API's object; None: not asked for.
        context_tokens: from this many tokens on, the oldest tool outputs are cleared.
        endpoint_edits: leave that to the endpoint where it offers it.
    """

    system: str
    toolkit: Toolkit
    max_tokens: int = 16_384
    thinking: Mapping[str, Any] | None = None
    context_tokens: int = 150_000
    endpoint_edits: bool = True


@dataclass
class ModelAgent:
    """Keeps the conversation of one episode."""

    client: Client
    config: ModelConfig
    context: AgentContext
    messages: list[dict[str, Any]] = field(default_factory=list)
    _turn: int = 0
    _last: ModelResponse | None = None
    _recorded: Sequence[dict[str, Any]] = ()
    _fresh_from: int = 0
    _may_edit: bool = True
    _before: MeterReading = field(default_factory=MeterReading)  # of the meter, when the turn began
    _asked_tokens: int = 0  # the most that the last answer could have
    _is_shorter: bool = False  # than when the last answer was counted

    def act(self, observation: Observation) -> Turn:
        """Ask for the next turn.

        Raises:
            BudgetExceeded: there is no money for it, or there are no tokens.
            ModelFault: the endpoint gave no answer.
            Interrupted: we are stopping.
        """
        self._turn += 1
        self._before = self.context.meter.reading
        self._add_observation(observation)
        self._make_room()
        reply = self._ask(observation.left)
        if reply is None:
            return Turn("[the conversation is longer than the model takes]", ending=EndReason.CONTEXT_WINDOW)
        self._last, self._is_shorter = reply, False
        content = self._own_ids(reply)
        kept = sanitize_content(content, cut_off=reply.stop_reason == "max_tokens")
        self.messages.append({"role": "assistant", "content": kept})
        self._fresh_from = len(self.messages)
        return self._as_turn(reply, content)

    # The conversation

    def _add_observation(self, observation: Observation) -> None:
        if self._last is not None and self._last.stop_reason == "pause_turn":
            return  # the API continues when it gets the same conversation again
        remaining = {"type": "text", "text": f"[left: {format_remaining(observation.left)}]"}
        said: list[dict[str, Any]]
        if not self.messages:
            said = [{"type": "text", "text": observation.instruction}]
        elif self._last is not None and self._last.stop_reason == "max_tokens":
            said = self._cut_off()
        else:
            said = [_result(result) for result in observation.answers]
        self.messages.append({"role": "user", "content": [*said, remaining]})

    def _cut_off(self) -> list[dict[str, Any]]:
        """What was cut off is not acted on: its last call may be half a call."""
        words = f"Your answer was cut off at {self._asked_tokens} tokens, and no call of it was run. Say less at once."
        calls = [block for block in self.messages[-1]["content"] if block["type"] == "tool_use"]
        results = [_result(ToolResult(str(block["id"]), words, is_error=True)) for block in calls]
        return results or [{"type": "text", "text": words}]

    def _make_room(self, *, at_once: bool = False) -> bool:
        """Clear the oldest tool outputs where the last request came near the limit; whether any went."""
        used = self._last.usage.sent + self._last.usage.output if self._last is not None else 0
        if not at_once and (used < self.config.context_tokens or self._edits() is not None):
            return False
        self.messages, count = clear_tool_results(self.messages, *([1] if at_once else []))
        if count:
            self._is_shorter = True
            self._note(f"{count} tool outputs were cleared from the context ({used} tokens)")
        return count > 0

    def _edits(self) -> dict[str, Any] | None:
        return context_management(self.config.context_tokens) if self.config.endpoint_edits and self._may_edit else None

    # The request

    def _ask(self, left: Limits) -> ModelResponse | None:
        """The answer; None where the conversation does not fit, however short it is made."""
        try:
            return self._put(left)
        except ContextEditingUnsupported:
            self._may_edit = False
            self._note("the endpoint does not clear the context; the runner will")
            self._make_room()
            return self._ask(left)
        except ContextLengthExceeded as error:
            self._may_edit = False  # whatever the endpoint says, it did not clear enough
            self._note(f"the conversation is too long: {error}")
            return self._ask(left) if self._make_room(at_once=True) else None

    def _put(self, left: Limits) -> ModelResponse:
        left = self._still(left)
        question = self._question(left)
        self._asked_tokens = question.max_tokens
        tries: list[Attempt] = []
        self._note_request(question)
        try:
            reply = self.client.respond(question, self.context.meter, tries.append, left.dollars, left.wall_s)
        except BaseException as error:  # boundary: what was tried and paid is recorded, then it goes on
            self._note_response(None, tries, f"{type(error).__name__}: {error}")
            raise
        self._note_response(reply, tries, "")
        if reply.edits:
            self._note("the endpoint cleared tool outputs", edits=list(reply.edits))
        return reply

    def _still(self, left: Limits) -> Limits:
        """What remains after the attempts of this turn that failed."""
        now, before = self.context.meter.reading, self._before
        used = Usage(input=now.usage.sent - before.usage.sent, output=now.usage.output - before.usage.output)
        return remaining_limits(left, Spent(usage=used, dollars=now.dollars - before.dollars))

    def _question(self, left: Limits) -> ModelRequest:
        config = self.config
        question = ModelRequest(
            config.system, self.messages, config.toolkit.shown, config.max_tokens, config.thinking, self._edits(),
            self._sent_max(),
        )  # fmt: skip
        return _within(question, left, self.client.prices, self._sent_min())

    def _sent_min(self) -> int:
        """As many tokens as the last request had, for it is sent again; 0 where that is not certain."""
        if self._last is None or self._is_shorter:
            return 0
        may_clear = self._last.edits or self._sent_max() >= self.config.context_tokens
        return 0 if self._edits() is not None and may_clear else self._last.usage.sent

    def _sent_max(self) -> int:
        """The last request's tokens, the answer's, and a token for every byte since; 0 before the first."""
        if self._last is None:
            return 0
        fresh = self.messages[self._fresh_from :]
        return self._last.usage.sent + self._last.usage.output + bytes_of(fresh) + MESSAGE_TOKENS_MAX * (1 + len(fresh))

    # The record

    def _note_request(self, question: ModelRequest) -> None:
        event = request_event(self._turn, question, self.client.body_of(question), self.client.api)
        messages = event.messages
        kept = common_prefix_len(self._recorded, messages)
        if self._recorded:  # the first request's stay
            event = replace(event, system=None, tools=None)
        self._recorded = messages
        self.context.emit(replace(event, messages_kept=kept, messages=messages[kept:]))

    def _note_response(self, reply: ModelResponse | None, tries: Sequence[Attempt], error: str) -> None:
        event = ResponseEvent(turn=self._turn, tries=tuple(tries), error=error)
        if reply is not None:
            event = replace(
                event,
                stop_reason=reply.stop_reason,
                content=tuple(dict(block) for block in reply.content),
                broken=dict(reply.broken),
                usage=reply.usage,
                request_id=reply.request_id,
            )
        self.context.emit(event)

    def _note(self, text: str, **more: Any) -> None:
        self.context.emit(NoteEvent(text=text, more=more))

    # The turn

    def _own_ids(self, reply: ModelResponse) -> list[dict[str, Any]]:
        """The answer's blocks, each call with an id that the conversation has not seen."""
        seen = {
            block["id"] for message in self.messages for block in message["content"] if block.get("type") == "tool_use"
        }
        content = []
        for block in reply.content:
            own = dict(block)
            while own.get("type") == "tool_use" and own["id"] in seen:
                own["id"] += "_again"
            if own.get("type") == "tool_use":
                seen.add(own["id"])
            content.append(own)
        return content

    def _as_turn(self, reply: ModelResponse, content: Sequence[Mapping[str, Any]]) -> Turn:
        text = "".join(str(block["text"]) for block in content if block["type"] == "text")
        match reply.stop_reason:
            case "tool_use" | "end_turn" | "stop_sequence":
                return Turn(text, self._calls(reply, content))
            case "max_tokens":
                return Turn(f"{text}\n[cut off at {self._asked_tokens} tokens]".lstrip(), goes_on=True)
            case "pause_turn":
                return Turn(text, goes_on=True)
            case "refusal":
                return Turn(text, ending=EndReason.REFUSAL)
            case "model_context_window_exceeded":
                return Turn(text, ending=EndReason.CONTEXT_WINDOW)
            case other:
                return Turn(f"{text}\n[the answer stopped: {other}]".lstrip(), ending=f"stop reason {other}")

    def _calls(self, reply: ModelResponse, content: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
        calls = []
        for block, original in zip(content, reply.content, strict=True):
            if block["type"] == "tool_use":
                tool, given = self.config.toolkit.call(str(block["name"]), block["input"])
                calls.append(ToolCall(str(block["id"]), tool, given, reply.broken.get(str(original["id"]), "")))
        return tuple(calls)


def _within(question: ModelRequest, left: Limits, prices: Prices, sent_min: int) -> ModelRequest:
    """The question with no more answer than tokens and dollars are left for.

    Args:
        sent_min: tokens that the request has at the least.

    Raises:
        BudgetExceeded: the request alone takes all tokens, or the dollars are not enough for a useful answer.
    """
    most = question.max_tokens if left.output_tokens is None else min(question.max_tokens, left.output_tokens)
    if left.tokens is not None:
        if sent_min >= left.tokens:
            raise BudgetExceeded(Limit.TOKENS)
        most = min(most, left.tokens - sent_min)
    sent = question.tokens_max()
    if left.dollars is not None and prices.cost_max(sent, most) > left.dollars:
        if prices.cost_max(sent, OUTPUT_TOKENS_MIN) > left.dollars:
            raise BudgetExceeded(Limit.DOLLARS)
        most = prices.max_affordable_tokens(sent, most, left.dollars)
    return _fit_thinking(question, max(1, most))


def _fit_thinking(question: ModelRequest, most: int) -> ModelRequest:
    """Fewer tokens for the answer; thinking that would not fit in them is not asked for."""
    thinking = question.thinking
    if thinking is not None and int(thinking.get("budget_tokens", 0)) >= most:
        thinking = None
    return replace(question, max_tokens=most, thinking=thinking)


def _result(result: ToolResult) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": result.call_id,
        "content": result.text or "(no output)",
        "is_error": result.is_error,
    }


def thinking_of(text: str, max_tokens: int) -> dict[str, Any] | None:
    """`--thinking` as the API's object: off, adaptive, or a number of tokens.

    Raises:
        ValueError: it is none of these, or does not fit in an answer.
    """
    if text in ("", "off"):
        return None
    if text == "adaptive":
        return {"type": "adaptive"}
    tokens = int(text)
    if not 1024 <= tokens < max_tokens:
        raise ValueError(json.dumps(text))
    return {"type": "enabled", "budget_tokens": tokens}
