"""A model's conversation: what it is sent, what its answers become, what is recorded; the real SDK, no engine."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from runner.agents.conversation import CLEARED_PLACEHOLDER, sanitize_content
from runner.agents.model import ModelAgent, ModelConfig, thinking_of
from runner.agents.protocol import AgentContext, Observation
from runner.agents.tool_formats import toolkit
from runner.budget.clock import SystemClock
from runner.budget.ledger import Ledger
from runner.budget.limits import BudgetExceeded
from runner.episode.tools import schemas
from runner.job.setup import load_task
from runner.llm.client import AnthropicTransport
from runner.llm.messages import ModelResponse, request_sha256
from runner.llm.model import ModelClient, RetryPolicy
from runner.llm.prices import prices_of
from runner.records.episode import Limits, ToolResult, Turn, Usage
from runner.records.events import event_to_json
from runner.settings import Settings
from tests.fakes.messages_server import (
    Answer,
    BigText,
    ContextTooLong,
    Cut,
    DuplicateIds,
    ErrorEvent,
    MalformedToolJson,
    MessagesServer,
    Refusal,
    Reset,
    ResetMidStream,
    Stall,
    Status,
    call,
    redacted_thinking,
    text,
    thinking,
)

pytestmark = pytest.mark.slow  # speaks to an endpoint on loopback that stalls and pauses

MODEL = "claude-sonnet-5-5"


class Played:
    """An agent that talks to a server, and everything that it noted."""

    def __init__(self, server: MessagesServer, **config: Any) -> None:
        self.notes: list[tuple[str, dict[str, Any]]] = []
        transport = AnthropicTransport(MODEL, api_key="k", auth_token="", base_url=server.url)
        patience = config.pop("patience", RetryPolicy())
        client = ModelClient(
            transport, prices_of(MODEL, "anthropic"), Ledger(100.0), SystemClock(), lambda said: None, patience
        )
        task = load_task(Settings(), "slow_nbody")
        style = config.pop("style", "schema")
        self.agent = ModelAgent(
            client,
            ModelConfig("You are at work.", toolkit(style, schemas()), **config),
            AgentContext(task, 1, lambda event: self.notes.append((event.kind, event_to_json(event)))),
        )

    def act(self, *answers: ToolResult, left: Limits = Limits(turns=9)) -> Turn:
        return self.agent.act(Observation("Make it fast.", answers, left))

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for name, event in self.notes if name == kind]


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def said(call_id: str, words: str = "fine", *, is_error: bool = False) -> ToolResult:
    return ToolResult(call_id, words, is_error)


def last_user(server: MessagesServer) -> Sequence[Mapping[str, Any]]:
    return server.requests[-1]["messages"][-1]["content"]  # type: ignore[no-any-return]


def test_calls_of_one_answer_are_answered_in_one_message_in_order() -> None:
    with MessagesServer([[call("bash", "a", command="1"), call("view", "b", path="x")], [text("done")]]) as server:
        played = Played(server)
        turn = played.act()
        played.act(said("a"), said("b", "no such file", is_error=True))
    assert [one.id for one in turn.calls] == ["a", "b"] and server.complaints == []
    results = last_user(server)
    assert [block["tool_use_id"] for block in results[:2]] == ["a", "b"] and results[1]["is_error"] is True
    assert results[2]["text"] == "[left: 9 turns]"


def test_every_result_tells_what_is_left_of_each_limit() -> None:
    with MessagesServer([[text("done")]]) as server:
        Played(server).act(
            left=Limits(turns=3, output_tokens=1000, tokens=9000, dollars=1.5, wall_s=60.0, working_s=30.0)
        )
    assert last_user(server)[-1]["text"] == (
        "[left: 3 turns, 30 s of work, 60 s, 1000 output tokens, 9000 tokens, $1.50]"
    )


def test_an_input_that_is_no_json_becomes_a_call_that_is_not_run() -> None:
    script = [[call("bash", "a", command="ls")], [text("done")]]
    with MessagesServer(script, faults=[MalformedToolJson("<ls>")]) as server:
        played = Played(server)
        turn = played.act()
        played.act(said("a", "the input is no JSON", is_error=True))
    assert turn.calls[0].broken == "<ls>" and turn.calls[0].input == {} and server.complaints == []


@pytest.mark.parametrize(
    ("blocks", "reason", "kept"),
    [
        ([thinking("let me see")], "max_tokens", [text("[cut off]")]),
        ([text("so"), redacted_thinking(), thinking("let me see")], "max_tokens", [text("so")]),
        ([thinking("let me see"), text(" \n")], "max_tokens", [text("[cut off]")]),
        ([text(" ")], "max_tokens", [text("[cut off]")]),
        ([], "max_tokens", [text("[cut off]")]),
        (
            [thinking("let me see"), text("\n\n"), call("bash", "a", command="ls")], "tool_use",
            [thinking("let me see"), call("bash", "a", command="ls")],
        ),
        ([thinking("let me see"), text("so")], "max_tokens", [thinking("let me see"), text("so")]),
    ],
    ids=["thought", "thoughts at the end", "a space after one", "a space", "nothing", "before a call", "before text"],
)  # fmt: skip
def test_an_answer_goes_back_without_what_the_api_would_refuse(blocks: list[Any], reason: str, kept: list[Any]) -> None:
    answer = Answer(blocks, stop_reason=reason)
    with MessagesServer(lambda body: [text("done")], faults=[answer]) as server:
        played = Played(server)
        turn = played.act()
        played.act(*[said(one.id) for one in turn.calls])
    assert server.requests[1]["messages"][1]["content"] == kept
    assert [c for c in server.complaints if "is missing" not in c] == []
    recorded = played.events("response")[0]["content"]
    assert [block["type"] for block in recorded] == [block["type"] for block in blocks], "the record holds all of it"


def test_a_thought_without_its_signature_is_not_sent_back() -> None:
    unsigned = {"type": "thinking", "thinking": "let me", "signature": ""}
    content = [unsigned, text("so"), thinking("hm", "sig")]
    assert (
        sanitize_content(content, cut_off=True) == [text("so")] and sanitize_content(content, cut_off=False) == content
    )


def test_the_ids_that_replace_one_that_was_used_are_told_apart_too() -> None:
    with MessagesServer([[call("bash", "a", command="ls")]]) as server:
        played = Played(server)
        played.act()
        again = ModelResponse((call("bash", "a"), call("bash", "a_again"), call("bash", "a")), "tool_use", Usage())
        ids = [block["id"] for block in played.agent._own_ids(again)]
    assert len({"a", *ids}) == 4


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        (Refusal("I will not."), "refusal"),
        (Answer([text("so far")], stop_reason="model_context_window_exceeded"), "context window"),
    ],
)
def test_an_answer_that_is_the_last_ends_by_name(answer: Any, ending: str) -> None:
    with MessagesServer([[text("x")]], faults=[answer]) as server:
        turn = Played(server).act()
    assert (turn.ending, turn.goes_on, turn.calls) == (ending, False, ())


def test_an_answer_that_was_cut_off_goes_on_and_half_a_call_is_not_run() -> None:
    cut = Answer([text("I"), call("bash", "a", command="rm")], stop_reason="max_tokens")
    with MessagesServer([[text("x")], [text("done")]], faults=[cut]) as server:
        played = Played(server, max_tokens=2000)
        first = played.act()
        played.act()
    assert first.goes_on and first.calls == () and server.complaints == []
    assert "cut off at 2000 tokens" in last_user(server)[0]["content"]


def test_a_cut_is_told_at_the_number_of_tokens_that_was_asked_for() -> None:
    with MessagesServer(
        [[text("x")], [text("done")]], faults=[Answer([text("I")], stop_reason="max_tokens")]
    ) as server:
        played = Played(server, max_tokens=2000)
        turn = played.act(left=Limits(output_tokens=700))
        played.act()
    assert "[cut off at 700 tokens]" in turn.say and "cut off at 700 tokens" in last_user(server)[0]["text"]


def test_a_pause_of_the_api_goes_on_with_the_same_conversation() -> None:
    pause = Answer([text("wait")], stop_reason="pause_turn")
    with MessagesServer(lambda body: [text("done")], faults=[pause]) as server:
        played = Played(server)
        first, second = played.act(), played.act()
    assert first.goes_on and second.say == "done" and server.complaints == []
    assert server.requests[1]["messages"][-1]["role"] == "assistant"


def test_thinking_is_sent_back_unaltered() -> None:
    script = [
        [thinking("let me see", "sig=="), redacted_thinking("abc"), call("bash", "a", command="ls")],
        [text("done")],
    ]
    with MessagesServer(script) as server:
        played = Played(server, thinking=thinking_of("2048", 16_384))
        played.act()
        played.act(said("a"))
    assert server.complaints == [] and server.requests[0]["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    back = server.requests[1]["messages"][1]["content"]
    assert back[0] == {"type": "thinking", "thinking": "let me see", "signature": "sig=="}


def test_the_stable_prefix_and_the_moving_end_are_read_from_the_cache() -> None:
    with MessagesServer(lambda body: [call("bash", command="ls " * 200)], cache=True) as server:
        played = Played(server)
        grown(played, 6)
    assert server.complaints == []
    rate = played.agent.context.meter.reading.usage.cache_hit_rate
    assert rate is not None and rate > 0.6
    marks = [json_marks(body) for body in server.requests]
    assert max(marks) <= 4 and marks[-1] == 4


def json_marks(body: Mapping[str, Any]) -> int:
    return str(body).count("cache_control")


def test_native_tools_are_shown_by_type_and_become_ours() -> None:
    script = [
        [
            call("str_replace_based_edit_tool", "a", command="create", path="f.py", file_text="x = 1"),
            call("bash", "b", restart=True),
        ],
        [text("done")],
    ]
    with MessagesServer(script) as server:
        turn = Played(server, style="native").act()
    assert server.complaints == []
    assert [(one.tool, one.input) for one in turn.calls] == [
        ("create", {"path": "f.py", "file_text": "x = 1"}),
        ("bash", {"restart": True}),
    ]
    assert [tool.get("type", tool["name"]) for tool in server.requests[0]["tools"]] == [
        "bash_20250124", "text_editor_20250728", "submit",
    ]  # fmt: skip


# A conversation that grows


def grown(played: Played, turns: int) -> None:
    answers: tuple[ToolResult, ...] = ()
    for _ in range(turns):
        turn = played.act(*answers)
        answers = tuple(said(one.id, "x" * 2000) for one in turn.calls)


def results_of(body: Mapping[str, Any]) -> list[str]:
    blocks = [block for message in body["messages"] if message["role"] == "user" for block in message["content"]]
    return [block["content"] for block in blocks if block["type"] == "tool_result"]


def test_the_endpoint_clears_the_oldest_outputs_where_it_can() -> None:
    with MessagesServer(lambda body: [call("bash", command="ls")]) as server:
        played = Played(server, context_tokens=1000)
        grown(played, 8)
    assert server.complaints == [] and CLEARED_PLACEHOLDER not in results_of(server.requests[-1])
    assert server.requests[-1]["context_management"]["edits"][0]["trigger"]["value"] == 1000
    assert any("the endpoint cleared" in event["text"] for event in played.events("note"))


def test_elsewhere_the_runner_clears_them_and_says_so() -> None:
    def script(body: Mapping[str, Any]) -> Answer:
        return Answer([call("bash", command="ls")], usage={"input_tokens": len(str(body)) // 4})

    with MessagesServer(script, context_editing=False) as server:
        played = Played(server, context_tokens=1500)
        grown(played, 9)
    results = results_of(server.requests[-1])
    assert results[0] == CLEARED_PLACEHOLDER and results[-1] != CLEARED_PLACEHOLDER and len(results) == 8
    assert any("tool outputs were cleared" in event["text"] for event in played.events("note"))
    assert [c for c in server.complaints if "context_management" not in c] == []


def test_a_conversation_that_does_not_fit_is_shortened_once_then_ends_by_name() -> None:
    with MessagesServer(lambda body: [call("bash", command="ls")]) as server:
        played = Played(server)
        grown(played, 4)
        server.faults += [ContextTooLong(), None]
        turn = played.act(said(played.agent.messages[-1]["content"][0]["id"]))
        assert turn.calls and turn.ending == ""
        server.faults += [ContextTooLong(), ContextTooLong()]
        turn = played.act(said(turn.calls[0].id))
    assert turn.ending == "context window"


# Limits


def test_an_answer_is_never_longer_than_the_tokens_that_are_left() -> None:
    with MessagesServer([[text("done")]]) as server:
        Played(server).act(left=Limits(output_tokens=700))
    assert server.requests[0]["max_tokens"] == 700


def test_an_answer_is_never_longer_than_what_the_conversation_leaves_of_the_tokens() -> None:
    with MessagesServer([[call("bash", "a", command="ls")], [text("done")]]) as server:
        played = Played(server)
        played.act(left=Limits(tokens=900))
        played.act(said("a"), left=Limits(tokens=750))
    assert [body["max_tokens"] for body in server.requests] == [900, 650], "100 tokens are sent again"


def test_tokens_that_the_conversation_alone_would_take_end_the_episode_before_it_is_sent() -> None:
    with MessagesServer([[call("bash", "a", command="ls")]]) as server:
        played = Played(server)
        played.act(left=Limits(tokens=200))
        with pytest.raises(BudgetExceeded, match=r"^tokens$"):
            played.act(said("a"), left=Limits(tokens=50))
    assert len(server.requests) == 1


def test_a_conversation_that_was_cleared_may_fit_in_few_tokens() -> None:
    with MessagesServer(lambda body: [call("bash", command="ls")], context_editing=False) as server:
        played = Played(server, context_tokens=100, endpoint_edits=False)
        grown(played, 6)
        played.act(said(played.agent.messages[-1]["content"][0]["id"], "x" * 2000), left=Limits(tokens=50))
    assert server.requests[-1]["max_tokens"] == 50 and CLEARED_PLACEHOLDER in results_of(server.requests[-1])


def test_the_tries_of_a_turn_do_not_spend_more_than_the_episode_has_left() -> None:
    with MessagesServer([[text("at last " * 1000)]], faults=[Cut()] * 30) as server:
        played = Played(server, patience=RetryPolicy(60.0))
        with pytest.raises(BudgetExceeded, match=r"^dollars$"):
            played.act(left=Limits(dollars=0.10))
    assert 0 < played.agent.context.meter.reading.dollars <= 0.10 and len(server.requests) < 30


def test_a_conversation_that_turned_out_too_long_in_mid_stream_leaves_fewer_dollars_for_the_next_request() -> None:
    with MessagesServer(lambda body: [call("bash", command="ls")]) as server:
        played = Played(server)
        grown(played, 4)
        server.faults.append(ErrorEvent("invalid_request_error", "prompt is too long"))
        asked = len(server.requests)
        played.act(said(played.agent.messages[-1]["content"][0]["id"]), left=Limits(dollars=0.10))
    first, second = (body["max_tokens"] for body in server.requests[asked:])
    assert second < first


def test_an_answer_is_never_dearer_than_the_dollars_that_are_left() -> None:
    with MessagesServer([[text("done")]]) as server:
        played = Played(server)
        played.act(left=Limits(dollars=0.10))
        sent, most = server.requests[0]["max_tokens"], played.agent.client.prices
    assert 256 <= sent < 16_384 and most.cost_max(0, sent) < 0.10


def test_dollars_too_few_for_an_answer_end_the_episode_before_it_is_asked() -> None:
    with MessagesServer([[text("never")]]) as server:
        with pytest.raises(BudgetExceeded, match="dollars"):
            Played(server).act(left=Limits(dollars=0.0001))
    assert server.requests == []


# The record


def test_every_request_can_be_built_again_from_the_record() -> None:
    with MessagesServer(lambda body: [call("bash", command="ls")]) as server:
        played = Played(server)
        grown(played, 5)
    messages: list[Any] = []
    for event, sent in zip(played.events("request"), server.requests, strict=True):
        messages = messages[: event["messages_kept"]] + event["messages"]
        assert event["sha256"] == request_sha256({**sent})
        assert len(messages) == len(sent["messages"])
    assert sum(len(event["messages"]) for event in played.events("request")) == len(messages), "each is written once"


FAULTS = {
    "429 with retry-after 0": ([Status(429, "0")], 2, "HTTP 429"),
    "429 with retry-after 2": ([Status(429, "2")], 2, "HTTP 429"),
    "429 with retry-after 3600": ([Status(429, "3600")], 2, "HTTP 429"),
    "a burst of 529": ([Status(529)] * 3, 4, "HTTP 529"),
    "a connection reset": ([Reset()], 2, "connection failed"),
    "a reset in mid-stream": ([ResetMidStream()], 2, "connection failed"),
    "a stall in mid-stream": ([Stall(3600.0)], 2, "connection failed"),
    "a cut": ([Cut()], 2, "cut off"),
    "an error after status 200": ([ErrorEvent()], 2, "HTTP 200 overloaded_error"),
    "malformed JSON": ([MalformedToolJson("<ls>")], 1, ""),
    "duplicate ids": ([DuplicateIds()], 1, ""),
    "a mebibyte of text": ([BigText()], 1, ""),
    "a refusal": ([Refusal("no")], 1, ""),
}


@pytest.mark.parametrize(("faults", "tries", "error"), FAULTS.values(), ids=FAULTS)
def test_every_fault_leaves_its_tries_and_their_cost_in_the_record(
    monkeypatch: pytest.MonkeyPatch, faults: list[Any], tries: int, error: str
) -> None:
    monkeypatch.setattr("runner.llm.model.WAIT_FIRST_S", 0.02)
    monkeypatch.setattr("runner.llm.backoff.FIRST_S", 0.05)
    monkeypatch.setattr("runner.llm.client.GAP_S", 1.0)  # a stall is a gap; the turn's deadline is another test's
    with MessagesServer([[text("so " * 50), call("bash", "a", command="ls")]], faults=faults) as server:
        played = Played(server, patience=RetryPolicy(60.0, retry_after_max_s=1.0))
        played.act()
    assert server.complaints == []
    response = played.events("response")[0]
    assert [bool(one["error"]) for one in response["tries"]] == [True] * (tries - 1) + [False]
    assert all(error in one["error"] for one in response["tries"][:-1])
    assert all(one["is_bound"] <= bool(one["error"]) for one in response["tries"])
    paid = sum(one["dollars"] for one in response["tries"])
    assert paid == pytest.approx(played.agent.context.meter.reading.dollars) and paid > 0
    assert response["stop_reason"] and response["content"]


def test_a_failed_turn_leaves_its_tries_in_the_record() -> None:
    with MessagesServer([[text("x")]], faults=[ContextTooLong()] * 3) as server:
        played = Played(server)
        played.act()
    assert "ContextLengthExceeded" in played.events("response")[0]["error"]
