"""Answers from the record come first, are charged to the episode, and only whole turns are taken."""

import json
from pathlib import Path
from typing import Any

from runner.agents.recorded_answers import RecordedFirst, recorded_answers, turns_in
from runner.budget.ledger import Meter
from runner.llm.messages import ModelRequest, ModelResponse
from runner.llm.model import ContextLengthExceeded
from runner.llm.prices import Prices
from runner.records.episode import Usage
from runner.records.events import Attempt, BudgetEvent, Event, RequestEvent, ResponseEvent, TurnEvent, event_to_json
from runner.store.transcript import read_transcript

USAGE = Usage(input=10, output=5)
QUESTION = ModelRequest("", (), (), 100)


def answer(turn: int, **more: Any) -> ResponseEvent:
    content = ({"type": "text", "text": f"answer {turn}"},)
    tries = (Attempt(usage=USAGE, dollars=0.25),)
    return ResponseEvent(
        turn=turn, **{"tries": tries, "stop_reason": "end_turn", "content": content, "usage": USAGE, **more}
    )


def whole(turn: int) -> list[Event]:
    asked = RequestEvent(turn=turn, sha256="")
    return [asked, answer(turn), TurnEvent(turn=turn, say=""), BudgetEvent(turn=turn)]


def answers_in(tmp_path: Path, events: list[Event]) -> list[int]:
    path = tmp_path / "transcript.jsonl"
    path.write_text("".join(json.dumps(event_to_json(event)) + "\n" for event in events))
    return [found.turn for found in recorded_answers(read_transcript(path))]


def test_the_answers_of_whole_turns_are_taken_and_what_was_under_way_is_not(tmp_path: Path) -> None:
    assert answers_in(tmp_path, [*whole(1), *whole(2), *whole(3)[:-1]]) == [1, 2]
    assert answers_in(tmp_path, [*whole(1), RequestEvent(turn=2, sha256="")]) == [1]
    assert answers_in(tmp_path, []) == []


def test_a_turn_whose_answer_is_not_there_ends_what_is_taken(tmp_path: Path) -> None:
    assert answers_in(tmp_path, [*whole(1), *whole(3)]) == [1]
    spoiled = [RequestEvent(turn=2, sha256=""), TurnEvent(turn=2, say=""), BudgetEvent(turn=2)]
    assert answers_in(tmp_path, [*whole(1), *spoiled, *whole(3)]) == [1]


def test_an_attempt_that_failed_before_the_answer_is_no_answer(tmp_path: Path) -> None:
    failed = [RequestEvent(turn=1, sha256=""), answer(1, error="ModelFault", content=())]
    assert answers_in(tmp_path, [*failed, *whole(1)]) == [1]


def test_what_was_refused_within_a_turn_is_repeated_before_its_answer(tmp_path: Path) -> None:
    refused = [RequestEvent(turn=2, sha256=""), answer(2, error="ContextLengthExceeded: too long: by 1", content=())]
    path = tmp_path / "transcript.jsonl"
    events = [*whole(1), *refused, *whole(2), *whole(3)]
    path.write_text("".join(json.dumps(event_to_json(event)) + "\n" for event in events))
    answers = recorded_answers(read_transcript(path))
    meter, tries, said = Meter(), list[Attempt](), list[str]()
    client = RecordedFirst(Asked(), answers)
    for _ in answers:
        try:
            said.append(client.respond(QUESTION, meter, tries.append, None, None).content[0]["text"])
        except ContextLengthExceeded as error:
            said.append(str(error))
    assert said == ["answer 1", "too long: by 1", "answer 2", "answer 3"] and turns_in(answers) == 3
    assert meter.reading.dollars == 1.0 and len(tries) == 4


class Asked:
    """A model that counts what it is asked."""

    api = "messages"

    def __init__(self) -> None:
        self.prices = Prices("claude-sonnet-5-5", "anthropic")
        self.count = 0

    def body_of(self, question: ModelRequest) -> dict[str, Any]:
        return {"max_tokens": question.max_tokens}

    def respond(self, *given: Any) -> ModelResponse:
        self.count += 1
        return ModelResponse((), "end_turn", Usage())


def test_the_model_is_asked_when_the_record_has_no_more() -> None:
    asked, meter, tries = Asked(), Meter(), list[Attempt]()
    client = RecordedFirst(asked, [answer(1), answer(2)])
    texts = [client.respond(QUESTION, meter, tries.append, None, None).content[0]["text"] for _ in range(2)]
    assert texts == ["answer 1", "answer 2"] and asked.count == 0
    assert meter.reading.usage == USAGE + USAGE and meter.reading.dollars == 0.5 and len(tries) == 2
    assert client.respond(QUESTION, meter, tries.append, None, None).content == () and asked.count == 1
    assert client.body_of(QUESTION) == {"max_tokens": 100} and client.api == "messages"
