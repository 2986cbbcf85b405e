"""Chat completions: the real SDK against a double of an endpoint on loopback; and a whole job through the command line."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.agents.model import ModelAgent, ModelConfig
from runner.agents.protocol import AgentContext, Observation
from runner.agents.tool_formats import toolkit
from runner.budget.clock import SystemClock
from runner.budget.ledger import Ledger, Meter
from runner.episode.tools import schemas
from runner.faults import Interrupted, ModelFault, ModelRefused, UsageFault
from runner.llm.messages import ModelRequest, ModelResponse
from runner.llm.model import AttemptProgress, ContextLengthExceeded, ModelClient, RetryPolicy
from runner.llm.openai_client import OpenAITransport, body_of, messages_of
from runner.llm.prices import Prices
from runner.records.episode import Limits, ToolResult, Usage
from runner.records.events import Attempt, Event, RequestEvent, event_to_json
from runner.store.transcript import read_transcript
from runner.tasks.task import Task
from tests.conftest import CRASHES, wait_until
from tests.fakes.chat_server import ChatServer, Cut, Ends, ErrorChunk, Raw, Stall, Status, call_chunk, end_chunk
from tests.fakes.messages_server import call, text, thinking
from tests.sent_requests import reconstruct_requests

pytestmark = pytest.mark.slow  # speaks to an endpoint on loopback that stalls and pauses

KEY = "sk-canary-0123456789"
BASH = {"name": "bash", "description": "Runs it.", "input_schema": {"type": "object"}}
HELLO = ModelRequest("system", [{"role": "user", "content": [{"type": "text", "text": "hello"}]}], [BASH], 1000)
WHOLE = Usage(input=60, cache_read=40, output=50)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first waits are short; how long they are is another test's."""
    monkeypatch.setattr("runner.llm.model.WAIT_FIRST_S", 0.02)
    monkeypatch.setattr("runner.llm.backoff.FIRST_S", 0.05)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Asked:
    """A client of an endpoint, with what it counted."""

    def __init__(self, server: ChatServer, *, turn_s: float = 30.0) -> None:
        self.said: list[str] = []
        self.meter, self.ledger, self.tries = Meter(), Ledger(10.0), list[Attempt]()
        self.client = ModelClient(
            OpenAITransport("local-1", api_key=KEY, base_url=server.url), Prices("local-1", fixed=(0.1, 0.2)),
            self.ledger, SystemClock(), self.said.append, RetryPolicy(turn_s),
        )  # fmt: skip

    def reply(self, question: ModelRequest = HELLO) -> ModelResponse:
        return self.client.respond(question, self.meter, self.tries.append)


def answered(*chunks: dict[str, Any]) -> ModelResponse:
    """The reply that a stream of these chunks comes to."""
    with ChatServer([[text("unused")]], faults=[Raw(chunks)]) as server:
        return Asked(server).reply()


def test_a_name_of_the_request_that_repeats_the_key_does_not_tell_it(monkeypatch: pytest.MonkeyPatch) -> None:
    send = BaseHTTPRequestHandler.send_header
    name_it = {"x-request-id": f"req_{KEY}"}
    monkeypatch.setattr(
        BaseHTTPRequestHandler, "send_header", lambda self, name, value: send(self, name, name_it.get(name, value))
    )
    for faults in ([], [Status(400, message="no")]):
        with ChatServer([[text("hello")]], faults=faults) as server:
            asked = Asked(server)
            with contextlib.suppress(ModelFault):
                asked.reply()
        assert [each.request_id for each in asked.tries] == ["req_***"]


# A question in the words of the wire


def test_a_conversation_is_said_with_a_message_for_each_result_and_the_runners_words_in_the_last() -> None:
    messages = [
        {"role": "user", "content": [text("do it"), text("[left: 3 turns]")]},
        {
            "role": "assistant",
            "content": [thinking("hm"), text("I look."), call("bash", "a", command="ls"), call("bash", "b")],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "x.py", "is_error": False},
                {"type": "tool_result", "tool_use_id": "b", "content": "no command", "is_error": True},
                text("[left: 2 turns]"),
            ],
        },
    ]
    said = messages_of(ModelRequest("be good", messages, [], 10))
    assert [message["role"] for message in said] == ["system", "user", "assistant", "tool", "tool"]
    assert said[1]["content"] == "do it\n\n[left: 3 turns]"
    assert said[2]["content"] == "I look." and "hm" not in json.dumps(said)
    assert [each["function"] for each in said[2]["tool_calls"]] == [
        {"name": "bash", "arguments": '{"command": "ls"}'}, {"name": "bash", "arguments": "{}"},
    ]  # fmt: skip
    assert [(each["tool_call_id"], each["content"]) for each in said[3:]] == [
        ("a", "x.py"), ("b", "error: no command\n\n[left: 2 turns]"),
    ]  # fmt: skip


def test_tools_become_functions_with_their_schema() -> None:
    assert body_of(HELLO, "m")["tools"] == [
        {"type": "function", "function": {"name": "bash", "description": "Runs it.", "parameters": {"type": "object"}}}
    ]


@pytest.mark.parametrize(
    ("question", "hint"),
    [
        (ModelRequest("", HELLO.messages, [{"type": "bash_20250124", "name": "bash"}], 10), "--tools schema"),
        (ModelRequest("", HELLO.messages, [], 10, thinking={"type": "adaptive"}), "--thinking off"),
    ],
    ids=["native tools", "thinking"],
)
def test_what_the_wire_has_no_words_for_is_refused_and_not_left_out(question: ModelRequest, hint: str) -> None:
    with pytest.raises(ModelFault, match=hint):
        body_of(question, "m")


# An answer in blocks


def test_text_and_calls_arrive_as_blocks_with_what_they_used() -> None:
    script = [[text("I look."), call("bash", "a", command="ls"), call("view", "b", path="x.py")]]
    with ChatServer(script) as server:
        asked = Asked(server)
        reply = asked.reply()
    assert list(reply.content) == script[0] and reply.stop_reason == "tool_use" and reply.broken == {}
    assert reply.usage == WHOLE and asked.meter.reading.usage == WHOLE and reply.request_id == "req_streamed"
    assert asked.ledger.account.spent == pytest.approx((0.1 * (60 + 4) + 0.2 * 50) / 1e6)
    assert server.complaints == [] and server.keys == [KEY] and asked.said == []


def test_a_conversation_goes_on_with_what_was_answered() -> None:
    with ChatServer([[text("I look."), call("bash", "a", command="ls")], [text("done")]]) as server:
        asked = Asked(server)
        first = asked.reply()
        result = {"type": "tool_result", "tool_use_id": "a", "content": "x.py", "is_error": False}
        messages = [*HELLO.messages, {"role": "assistant", "content": first.content}]
        messages.append({"role": "user", "content": [result, text("[left: 2 turns]")]})
        assert asked.reply(ModelRequest("system", messages, [BASH], 1000)).content == (text("done"),)
    assert server.complaints == []


def test_thoughts_are_kept_apart_and_not_sent_back() -> None:
    with ChatServer([[thinking("let me see"), text("done")]]) as server:
        reply = Asked(server).reply()
    assert [block["type"] for block in reply.content] == ["thinking", "text"]
    assert reply.content[0]["thinking"] == "let me see" and reply.content[1]["text"] == "done"
    history = [*HELLO.messages, {"role": "assistant", "content": reply.content}]
    assert messages_of(ModelRequest("", history, [], 1))[-1] == {"role": "assistant", "content": "done"}


@pytest.mark.parametrize(
    ("reason", "stop_reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("eos", "eos")],
)
def test_a_finish_reason_comes_through_in_the_runners_words(reason: str, stop_reason: str) -> None:
    with ChatServer([[text("so far")]], faults=[Ends(reason)]) as server:
        assert Asked(server).reply().stop_reason == stop_reason


def test_a_call_is_a_call_also_where_the_endpoint_says_stop() -> None:
    with ChatServer([[call("bash", "a")]], faults=[Ends("stop")]) as server:
        assert Asked(server).reply().stop_reason == "tool_use"


@pytest.mark.parametrize("sent", ['{"command": "ls"', "[1]", "<ls>", '{"n": NaN}', '{"n": 1e999}', "[" * 100_000])
def test_arguments_that_are_no_object_are_kept_beside_the_answer(sent: str) -> None:
    reply = answered(call_chunk(0, "bash", sent, id="a"), end_chunk())
    assert reply.broken == {"a": sent} and reply.content[0]["input"] == {}


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    one, two = call_chunk(0, "bash", '{"command": "1"}', id="a"), call_chunk(0, "bash", '{"command": "2"}', id="b")
    reply = answered(one, two, end_chunk())
    assert [(block["id"], block["input"]["command"]) for block in reply.content] == [("a", "1"), ("b", "2")]


def test_calls_without_ids_and_indices_get_ids_of_their_own() -> None:
    one, two = call_chunk(None, "bash", '{"command": "1"}'), call_chunk(None, "bash", '{"command": "2"}')
    reply = answered(one, two, end_chunk())
    assert [block["input"]["command"] for block in reply.content] == ["1", "2"]
    ids = [block["id"] for block in reply.content]
    assert all(ids) and len(set(ids)) == 2


def test_an_id_that_comes_twice_is_replaced() -> None:
    reply = answered(call_chunk(0, "bash", "{}", id="a"), call_chunk(1, "bash", "{}", id="a"), end_chunk())
    assert len({block["id"] for block in reply.content}) == 2


def test_half_a_surrogate_pair_is_made_fit_to_be_sent_back() -> None:
    said = {"choices": [{"index": 0, "delta": {"content": "a\ud800b"}, "finish_reason": None}]}
    assert answered(said, end_chunk("stop")).content == (text("a?b"),)


# Faults


@pytest.mark.parametrize("status", [408, 409, 500, 503, 429])
def test_a_passing_fault_is_tried_again_and_costs_nothing(status: int) -> None:
    with ChatServer([[text("at last")]], faults=[Status(status)]) as server:
        asked = Asked(server)
        assert asked.reply().content == (text("at last"),)
    assert [one.error for one in asked.tries] == [f"HTTP {status}", ""]
    assert asked.tries[0].request_id == "req_refused"
    assert asked.meter.reading.usage == WHOLE and "trying again" in asked.said[0]


def test_a_busy_endpoint_is_left_alone_for_as_long_as_it_asks() -> None:
    with ChatServer([[text("at last")]], faults=[Status(429, retry_after="1")]) as server:
        asked = Asked(server)
        began = time.monotonic()
        asked.reply()
    assert time.monotonic() - began >= 1.0 and asked.meter.reading.waited_s >= 1.0


def bound(sent: int, output: int) -> float:
    return Prices("local-1", fixed=(0.1, 0.2)).cost_max(sent, output)


def test_what_broke_off_halfway_is_reported_as_the_endpoint_did_and_charged_with_a_bound() -> None:
    with ChatServer([[text("at last " * 100)]], faults=[Cut()]) as server:
        asked = Asked(server)
        asked.reply()
    assert asked.tries[0].error == "the answer was cut off" and asked.tries[0].usage == Usage(input=100, output=7)
    assert asked.meter.reading.usage == Usage(input=100, output=7) + WHOLE
    assert asked.tries[0].is_bound and asked.tries[0].dollars == pytest.approx((0.1 * 100 + 0.2 * 400) / 1e6)


@pytest.mark.parametrize("code", ["500", "context_length_exceeded", "invalid"])
def test_what_broke_off_before_anything_was_reported_is_charged_with_the_most_that_it_can_have_been(code: str) -> None:
    with ChatServer([[text("at last " * 100)]], faults=[ErrorChunk(code)]) as server:
        asked = Asked(server)
        if code == "context_length_exceeded":
            with pytest.raises(ContextLengthExceeded):
                asked.reply()
        else:
            asked.reply()
    assert asked.tries[0].usage == Usage() and asked.tries[0].is_bound
    assert asked.tries[0].dollars == pytest.approx(bound(HELLO.tokens_max(), 400))


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": 7, "function": {"name": "bash"}}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": [0], "id": "a"}]}}]},
        {"choices": ["no choice"]},
        {"usage": {"prompt_tokens": "many"}},
    ],
    ids=["a number for text", "a number for an id", "an index", "no choice", "usage"],
)
def test_a_malformed_answer_is_tried_again_and_charged(chunk: dict[str, Any]) -> None:
    with ChatServer([[text("at last")]], faults=[Raw([chunk, end_chunk()])]) as server:
        asked = Asked(server)
        assert asked.reply().content == (text("at last"),)
    assert asked.tries[0].error == "the answer is malformed" and asked.tries[0].dollars > 0


def test_a_broken_endpoint_is_left_alone_for_as_long_as_it_asks() -> None:
    with ChatServer([[text("at last")]], faults=[Status(503, retry_after="1")]) as server:
        asked = Asked(server)
        began = time.monotonic()
        asked.reply()
    assert time.monotonic() - began >= 1.0


def test_an_error_in_mid_stream_is_tried_again() -> None:
    with ChatServer([[text("at last")]], faults=[ErrorChunk()]) as server:
        asked = Asked(server)
        assert asked.reply().content == (text("at last"),)
    assert asked.tries[0].error == "HTTP 500"


@pytest.mark.parametrize(
    "fault",
    [
        Status(400, "context_length_exceeded", "shorten it"),
        Status(400, "", "This model's maximum context length is 8192 tokens, but 9000 were requested"),
        Status(400, "exceed_context_size_error", "the request exceeds the available context size"),
        ErrorChunk("context_length_exceeded", "shorten it"),
    ],
    ids=["OpenAI", "vLLM", "llama.cpp", "in mid-stream"],
)
def test_a_conversation_that_is_too_long_is_told_from_other_refusals(fault: Status | ErrorChunk) -> None:
    with ChatServer([[text("never")]], faults=[fault]) as server:
        with pytest.raises(ContextLengthExceeded):
            Asked(server).reply()


@pytest.mark.parametrize(
    ("fault", "kind", "hint"),
    [
        (Status(401, message=f"Incorrect API key provided: {KEY}"), ModelRefused, "OPENAI_API_KEY"),
        (Status(403), ModelRefused, "this key"),
        (Status(404), ModelRefused, "--model"),
        (Status(429, "insufficient_quota"), ModelRefused, "credit"),
        (Status(400), ModelFault, "transcript"),
        (Status(422), ModelFault, "documentation"),
    ],
    ids=lambda value: f"{value.status} {value.code}" if isinstance(value, Status) else None,
)
def test_a_refusal_is_not_tried_again_and_does_not_tell_the_key(
    fault: Status, kind: type[ModelFault], hint: str
) -> None:
    with ChatServer([[text("never")]], faults=[fault]) as server:
        with pytest.raises(ModelFault) as caught:
            Asked(server).reply()
    assert type(caught.value) is kind and hint in caught.value.hint and len(server.requests) == 1
    assert KEY not in str(caught.value)


def test_nobody_there_is_a_fault_at_once_that_says_so() -> None:
    with ChatServer([[text("never")]]) as server:
        asked = Asked(server, turn_s=60.0)
    with pytest.raises(ModelFault, match=r"127\.0\.0\.1:\d+: connection refused"):
        asked.reply()


@pytest.mark.slow
def test_a_stalled_stream_ends_at_the_turns_deadline() -> None:
    with ChatServer([[text("never")]], faults=[Stall(3600.0)] * 9) as server:
        began = time.monotonic()
        with pytest.raises(ModelFault, match="no answer within 2 s"):
            Asked(server, turn_s=2.0).reply()
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("at_once", [True, False], ids=["before the first word", "in mid-stream"])
def test_closing_breaks_off_an_answer_at_once(at_once: bool) -> None:
    ended: list[BaseException] = []

    def ask(asked: Asked) -> None:
        try:
            asked.reply()
        except BaseException as error:
            ended.append(error)

    with ChatServer([[text("never " * 50)]], faults=[Stall(3600.0, at_once)]) as server:
        asked = Asked(server)
        thread = threading.Thread(target=ask, args=(asked,))
        thread.start()
        wait_until(lambda: len(server.requests) == 1)
        time.sleep(0.3)
        asked.client.close()
        thread.join(timeout=30)
    assert isinstance(ended[0], Interrupted)


# Endpoints that differ


def test_an_endpoint_that_does_not_count_is_said_once() -> None:
    with ChatServer([[text("done")]], counts=False) as server:
        asked = Asked(server)
        assert [asked.reply().usage for _ in range(2)] == [Usage(), Usage()]
    assert asked.said == ["the model's endpoint does not report its usage: tokens and dollars count as nothing"]


def test_the_limit_of_an_answer_is_sent_by_the_name_that_the_endpoint_knows() -> None:
    with ChatServer([[text("done")]], limit_name="max_completion_tokens") as server:
        asked = Asked(server)
        asked.reply()
        asked.reply()
    assert ["max_completion_tokens" in body for body in server.requests] == [False, True, True]
    assert server.requests[1]["max_completion_tokens"] == 1000 and len(asked.tries) == 2


def test_an_endpoint_of_ones_own_needs_no_key() -> None:
    with ChatServer([[text("done")]]) as server:
        transport = OpenAITransport("local-1", api_key="", base_url=server.url)
        reply = transport.ask(HELLO, time.monotonic() + 30, AttemptProgress())
    assert reply.content == (text("done"),) and server.keys == ["none"]


# The record


@pytest.mark.parametrize("limit_name", ["max_tokens", "max_completion_tokens"])
def test_every_request_comes_back_from_the_transcript_as_it_was_sent(
    tmp_path: Path, nbody: Task, limit_name: str
) -> None:
    path = tmp_path / "transcript.jsonl"

    def emit(event: Event) -> None:
        with path.open("a") as file:
            file.write(json.dumps(event_to_json(event)) + "\n")

    script = [[text("I look."), call("bash", "a", command="ls")], [call("bash", "b")], [text("done")]]
    with ChatServer(script, limit_name=limit_name) as server:
        asked = Asked(server)
        asked.client.preflight()
        started = len(server.requests)
        config = ModelConfig("You are at work.", toolkit("schema", schemas()), endpoint_edits=False)
        agent = ModelAgent(asked.client, config, AgentContext(nbody, 1, emit))
        answers: tuple[ToolResult, ...] = ()
        for _ in script:
            turn = agent.act(Observation("Make it fast.", answers, Limits(turns=9)))
            answers = tuple(ToolResult(one.id, "fine", is_error=False) for one in turn.calls)
    recorded = read_transcript(path).all(RequestEvent)
    sent = list(reconstruct_requests(recorded))
    assert [one.body for one in sent] == server.requests[started:] and all(one.matches for one in sent)
    assert limit_name in recorded[0].body and recorded[0].system == "You are at work."
    assert [one.messages_kept for one in recorded] == [0, 1, 3], "each message is written once"
    assert [entry.raw["api"] for entry in read_transcript(path).entries if entry.kind == "request"] == ["chat"] * 3
    spoiled = [replace(one, messages=({"role": "user", "content": "other"},)) for one in recorded]
    assert not any(one.matches for one in reconstruct_requests(spoiled))


# Before anything starts


@pytest.mark.parametrize(
    ("api_key", "base_url", "hint"),
    [("", "", "OPENAI_API_KEY"), (KEY, "localhost:8000/v1", "https://"), (KEY, "http://[::1", "https://")],
)
def test_an_endpoint_that_cannot_be_reached_at_all_is_a_fault_of_the_command_line(
    api_key: str, base_url: str, hint: str
) -> None:
    with pytest.raises(UsageFault) as caught:
        OpenAITransport("local-1", api_key=api_key, base_url=base_url)
    assert hint in caught.value.hint and KEY not in str(caught.value)


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UsageFault, match=r"pip install 'openai>=3,<4'.* runner\[openai\]"):
        OpenAITransport("local-1", api_key=KEY, base_url="")


# A whole job


def test_a_local_model_plays_and_is_graded(cli: Callable[..., CompletedProcess[str]], tmp_path: Path) -> None:
    script = [
        [thinking("hm"), text("I look."), call("bash", "a", command="ls"), call("view", "b", path="nowhere.py")],
        [call("create", "c", path="optimized_nbody.py", file_text=CRASHES)],
        [call("submit", "d", path="optimized_nbody.py")],
    ]
    with ChatServer(script) as server:
        done = cli(
            "--agent", "model", "--api", "openai", "--base-url", server.url, "--model", "local-1",
            "--price", "0.1/0.2", "--task", "slow_nbody", "--scale", "small", "--runs", "1",
            "--name", "m", "--output", str(tmp_path), env={"NO_PROXY": "127.0.0.1"},
        )  # fmt: skip
    results = json.loads((tmp_path / "m" / "results.json").read_text())
    assert [run["outcome"] for run in results["runs"]] == ["crashed"], done.stderr
    assert server.complaints == [] and set(server.keys) == {"none"}
    heard = [message["content"] for message in server.requests[2]["messages"] if message["role"] == "tool"]
    assert "slow_nbody.py" in heard[0] and heard[1].startswith("error: ") and "[left: " in heard[1]
    cost = 4 * (0.1 * 64 + 0.2 * 50) / 1e6
    assert results["totals"]["dollars"] == pytest.approx(cost), "three turns and the preflight"
