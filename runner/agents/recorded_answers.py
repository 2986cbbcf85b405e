"""A model's answers from the record first, then from the model: how an interrupted episode is taken up again.

The agent puts its conversation together from the answers, whoever gives them, and the tools run again in a fresh sandbox; so
it stands where it stood, without a turn being paid twice. What the endpoint refused within a turn is part of it: the agent
makes its conversation shorter by it. What the answers cost is charged to the episode's limits again, and not to the job's
dollars.
"""

from collections.abc import Sequence
from typing import Any

from runner.agents.model import Client
from runner.budget.ledger import Meter
from runner.llm.messages import ModelRequest, ModelResponse
from runner.llm.model import ContextEditingUnsupported, ContextLengthExceeded
from runner.records.events import ResponseEvent
from runner.store.transcript import Transcript

# After these an agent asks again within the turn, with another conversation; by the name that the record has.
REFUSALS = {kind.__name__: kind for kind in (ContextEditingUnsupported, ContextLengthExceeded)}


class RecordedFirst:
    """A client that gives recorded answers before it asks."""

    def __init__(self, client: Client, recorded: Sequence[ResponseEvent]) -> None:
        self._client, self._recorded = client, list(recorded)
        self.prices = client.prices

    @property
    def api(self) -> str:
        """What the model's endpoint speaks."""
        return self._client.api

    def body_of(self, question: ModelRequest) -> dict[str, Any]:
        """The request as it would be sent."""
        return self._client.body_of(question)

    def respond(
        self, question: ModelRequest, meter: Meter, tried: Any, spend_max: float | None, within_s: float | None
    ) -> ModelResponse:
        """The next recorded answer; the model's, when there is none.

        Raises:
            ContextEditingUnsupported, ContextLengthExceeded: the endpoint refused the request.
            Exception: what the model's client raises.
        """
        if not self._recorded:
            return self._client.respond(question, meter, tried, spend_max, within_s)
        answer = self._recorded.pop(0)
        for attempt in answer.tries:
            tried(attempt)
        meter.add(answer.usage_of_all, answer.dollars)
        if answer.error:
            name, _, reason = answer.error.partition(": ")
            raise REFUSALS[name](reason)
        return ModelResponse(
            content=answer.content,
            stop_reason=answer.stop_reason,
            usage=answer.usage,
            broken=answer.broken,
            request_id=answer.request_id,
        )


def recorded_answers(transcript: Transcript) -> tuple[ResponseEvent, ...]:
    """What the endpoint said in the whole turns that a transcript begins with: one answer each, and refusals before it."""
    answers: list[ResponseEvent] = []
    for step in transcript.steps:
        said = [answer for answer in step.all(ResponseEvent) if _is_repeated(answer)]
        if step.turn is None or not step.is_whole or turns_in(said) != 1 or step.number != turns_in(answers) + 1:
            break
        answers += said
    return tuple(answers)


def turns_in(answers: Sequence[ResponseEvent]) -> int:
    """How many turns the answers make, without what was refused."""
    return sum(not answer.error for answer in answers)


def _is_repeated(answer: ResponseEvent) -> bool:
    return answer.error.partition(": ")[0] in REFUSALS if answer.error else not answer.too_large
