"""What the endpoint can do wrong: outcome, cost and record of each fault; the real SDK against a server on loopback."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from runner.budget.clock import SystemClock
from runner.budget.ledger import Ledger, Meter
from runner.budget.limits import BudgetExceeded
from runner.faults import Interrupted, ModelFault, ModelRefused
from runner.llm.client import AnthropicTransport
from runner.llm.messages import ModelRequest
from runner.llm.model import AttemptProgress, ContextEditingUnsupported, ContextLengthExceeded, ModelClient, RetryPolicy
from runner.llm.prices import Prices, prices_of
from runner.records.episode import Usage
from runner.records.events import Attempt
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
    text,
)

pytestmark = pytest.mark.slow  # speaks to an endpoint on loopback that stalls and pauses

MODEL = "claude-sonnet-5-5"
KEY = "sk-ant-canary-0123456789"
HELLO = ModelRequest("system", [{"role": "user", "content": [{"type": "text", "text": "hello"}]}], [], 1000)
WHOLE = Usage(input=100, cache_write=0, cache_read=0, output=50)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first waits are short; how long they are is another test's."""
    monkeypatch.setattr("runner.llm.model.WAIT_FIRST_S", 0.02)
    monkeypatch.setattr("runner.llm.backoff.FIRST_S", 0.05)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Asked:
    """A client of a server, with what it counted."""

    def __init__(self, server: Any, *, turn_s: float = 30.0, after_s: float = 120.0, cap: float = 10.0) -> None:
        self.said: list[str] = []
        self.meter, self.ledger, self.tries = Meter(), Ledger(cap), list[Attempt]()
        transport = AnthropicTransport(MODEL, api_key=KEY, auth_token="", base_url=server.url)
        prices = prices_of(MODEL, "anthropic")
        self.client = ModelClient(
            transport, prices, self.ledger, SystemClock(), self.said.append, RetryPolicy(turn_s, after_s)
        )

    def reply(self, question: ModelRequest = HELLO, spend_max: float | None = None) -> Any:
        return self.client.respond(question, self.meter, self.tries.append, spend_max)


def cost(usage: Usage) -> float:
    return Prices(MODEL, "anthropic").cost(usage)


def worst(question: ModelRequest) -> float:
    """What is set aside for a try."""
    return Prices(MODEL, "anthropic").cost_max(question.tokens_max(), question.max_tokens)


@contextmanager
def streaming(*events: dict[str, Any]) -> Iterator[ThreadingHTTPServer]:
    """An endpoint of somebody's that sends these events whatever it is asked, and ends the stream."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("request-id", "req_raw")
            self.end_headers()
            self.wfile.write(b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events))

        def log_message(self, format: str, *args: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


BEGUN = {"type": "message_start", "message": {"usage": {"input_tokens": 100, "output_tokens": 1}}}
ENDED = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 50}}


def begins(block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": block}


def grows(**delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


@pytest.mark.parametrize(
    "fault",
    [Status(408), Status(409), Status(500), Status(529), Status(429, "0"), Reset()],
    ids=lambda fault: f"{type(fault).__name__}{getattr(fault, 'code', '')}",
)
def test_a_passing_fault_is_tried_again_and_costs_nothing(fault: Status | Reset) -> None:
    with MessagesServer([[text("at last")]], faults=[fault]) as server:
        asked = Asked(server)
        reply = asked.reply()
    assert reply.content[0]["text"] == "at last" and server.complaints == []
    assert [bool(one.error) for one in asked.tries] == [True, False] and "trying again" in asked.said[0]
    assert asked.meter.reading.usage == WHOLE
    assert asked.ledger.account.spent == pytest.approx(cost(WHOLE)) and asked.ledger.account.reserved == 0.0


@pytest.mark.parametrize("fault", [Cut(), ResetMidStream(), ErrorEvent()], ids=lambda fault: type(fault).__name__)
def test_what_broke_off_halfway_is_reported_as_the_endpoint_did_and_charged_with_a_bound(fault: Any) -> None:
    with MessagesServer([[text("at last " * 100)]], faults=[fault]) as server:
        asked = Asked(server)
        asked.reply()
    failed, whole = asked.tries
    assert failed.error and failed.usage.input == 100 and failed.request_id.startswith("req")
    assert asked.meter.reading.usage == failed.usage + whole.usage
    assert (failed.is_bound, whole.is_bound) == (True, False)
    assert cost(failed.usage) < failed.dollars <= worst(HELLO)
    assert failed.dollars == pytest.approx(cost(replace(failed.usage, output=400))), "half of the text had come"
    assert asked.meter.reading.dollars == pytest.approx(failed.dollars + cost(WHOLE))
    assert asked.ledger.account.spent == pytest.approx(asked.meter.reading.dollars)


def test_what_came_of_thoughts_and_inputs_counts_too_and_never_more_than_the_answer_may_have() -> None:
    for block, delta in (
        ({"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "x" * 300}),
        ({"type": "tool_use", "id": "a", "name": "b"}, {"type": "input_json_delta", "partial_json": "x" * 300}),
    ):
        with streaming(BEGUN, begins(block), grows(**delta)) as server:
            for most, counted in ((1000, 300), (200, 200)):
                asked = Asked(server, turn_s=0.5)
                with pytest.raises(ModelFault, match="cut off"):
                    asked.reply(replace(HELLO, max_tokens=most))
                assert asked.tries[0].dollars == pytest.approx(cost(Usage(input=100, output=counted)))


def test_a_stream_that_never_said_what_was_sent_is_charged_with_the_most_that_it_can_have_been() -> None:
    with streaming() as server:
        asked = Asked(server, turn_s=0.5)
        with pytest.raises(ModelFault, match="cut off"):
            asked.reply()
    assert asked.tries[0].usage == Usage() and asked.tries[0].request_id == "req_raw"
    assert asked.ledger.account.spent == pytest.approx(worst(replace(HELLO, max_tokens=0)))


@pytest.mark.parametrize(
    ("message", "kind"),
    [("prompt is too long", ContextLengthExceeded), ("no", ModelFault)],
    ids=["too long", "refused"],
)
def test_an_error_in_mid_stream_that_ends_the_turn_is_charged_too(message: str, kind: type[Exception]) -> None:
    with MessagesServer([[text("never " * 100)]], faults=[ErrorEvent("invalid_request_error", message)]) as server:
        asked = Asked(server)
        with pytest.raises(kind):
            asked.reply()
    assert asked.meter.reading.usage.input == 100 and asked.tries[0].is_bound
    assert cost(Usage(input=100, output=300)) == pytest.approx(asked.ledger.account.spent)


@pytest.mark.slow
def test_a_try_that_hangs_and_is_left_behind_is_charged_with_what_came() -> None:
    class Hangs(AnthropicTransport):
        def ask(self, question: ModelRequest, end_s: float, progress: AttemptProgress) -> Any:
            progress.has_begun, progress.usage, progress.content_bytes = True, Usage(input=100, output=1), 70
            threading.Event().wait(60)

    with streaming() as server:
        asked = Asked(server, turn_s=0.2)
        asked.client.transport = Hangs(MODEL, api_key=KEY, auth_token="", base_url="http://127.0.0.1:9")
        with pytest.raises(ModelFault, match="took too long"):
            asked.reply()
    assert asked.meter.reading.usage == Usage(input=100, output=1)
    assert asked.ledger.account.spent == pytest.approx(cost(Usage(input=100, output=70)))


def test_the_episodes_own_dollars_are_looked_at_before_every_further_try() -> None:
    with MessagesServer([[text("at last " * 100)]], faults=[Cut(), Cut(), Cut()]) as server:
        asked = Asked(server)
        with pytest.raises(BudgetExceeded, match=r"^dollars$"):
            asked.reply(spend_max=1.5 * worst(HELLO))
    spent = asked.meter.reading.dollars
    assert len(server.requests) == len(asked.tries) >= 1
    assert spent <= 1.5 * worst(HELLO) < spent + worst(HELLO) and not asked.ledger.exhausted


@pytest.mark.parametrize(
    "events",
    [
        [begins({"type": "tool_use", "name": "bash"})],
        [begins({"type": "tool_use", "id": 7, "name": "bash"})],
        [begins({"type": "text"})],
        [begins({"text": "no type"})],
        [begins({"type": "text", "text": ""}), grows(type="text_delta", text=None)],
        [begins({"type": "text", "text": ""}), {"type": "content_block_delta", "index": 3, "delta": {"type": "x"}}],
        [begins({"type": "other", "n": float("inf")})],
        [{"type": "message_delta", "delta": {"stop_reason": ["end_turn"]}}],
    ],
    ids=["no id", "a number for an id", "no text", "no type", "null for text", "no such block", "infinity", "reason"],
)
def test_a_malformed_answer_is_tried_again_and_charged(events: list[dict[str, Any]]) -> None:
    last = [] if events[-1]["type"] == "message_delta" else [ENDED]
    with streaming(BEGUN, *events, *last) as server:
        asked = Asked(server, turn_s=0.5)
        with pytest.raises(ModelFault, match="the answer is malformed"):
            asked.reply()
    assert asked.tries[0].usage.input == 100 and asked.ledger.account.spent > 0


@pytest.mark.slow
def test_a_burst_of_529_is_outlasted() -> None:
    with MessagesServer([[text("at last")]], faults=[Status(529)] * 5) as server:
        asked = Asked(server)
        assert asked.reply().stop_reason == "end_turn"
    assert len(server.requests) == 6 and asked.meter.reading.waited_s > 0.05


@pytest.mark.slow
def test_retry_after_is_honoured() -> None:
    with MessagesServer([[text("at last")]], faults=[Status(429, "2")]) as server:
        asked = Asked(server)
        began = time.monotonic()
        asked.reply()
    assert time.monotonic() - began >= 2.0 and asked.meter.reading.waited_s >= 2.0


def test_a_pause_of_an_hour_is_cut_to_the_cap() -> None:
    with MessagesServer([[text("at last")]], faults=[Status(429, "3600")]) as server:
        asked = Asked(server, after_s=0.5)
        assert asked.reply().content[0]["text"] == "at last"


def test_a_pause_longer_than_the_turn_ends_at_the_turns_deadline() -> None:
    with MessagesServer([[text("never")]], faults=[Status(429, "3600")]) as server:
        asked = Asked(server, turn_s=1.0)
        with pytest.raises(ModelFault, match="no answer within 1 s"):
            asked.reply()
    assert len(server.requests) == 1


@pytest.mark.slow
def test_one_429_slows_all_episodes() -> None:
    times: list[float] = []

    def script(body: Any) -> Any:
        times.append(time.monotonic())
        return [text("ok")]

    with MessagesServer(script, faults=[Status(429, "1")]) as server:
        asked = Asked(server)
        began = time.monotonic()
        first = threading.Thread(target=asked.reply)
        first.start()
        while not server.requests:
            time.sleep(0.01)
        time.sleep(0.2)  # the refusal has arrived
        others = [threading.Thread(target=asked.reply) for _ in range(5)]
        for thread in others:
            thread.start()
        for thread in [first, *others]:
            thread.join()
    assert len(times) == 6 and min(times) - began >= 1.0
    assert len(server.requests) == 7, "nobody else ran into the same wall"


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [3600.0])
def test_a_stall_of_an_hour_ends_at_the_turns_deadline(seconds: float) -> None:
    with MessagesServer([[text("never " * 50)]], faults=[Stall(seconds)] * 50) as server:
        asked = Asked(server, turn_s=2.0)
        began = time.monotonic()
        with pytest.raises(ModelFault, match="no answer within 2 s"):
            asked.reply()
        assert time.monotonic() - began < 60
    assert asked.meter.reading.usage.input >= 100, "what was reported before the silence is paid"
    assert asked.meter.reading.dollars > cost(asked.meter.reading.usage), "and what came of the answer"


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (401, ModelRefused, "ANTHROPIC_API_KEY"),
        (403, ModelRefused, "this key"),
        (404, ModelRefused, "--model"),
        (400, ModelFault, "transcript"),
        (413, ModelFault, "too large"),
    ],
)
def test_a_refusal_is_not_tried_again(status: int, kind: type[ModelFault], hint: str) -> None:
    with MessagesServer([[text("never")]], faults=[Status(status)]) as server:
        asked = Asked(server)
        with pytest.raises(ModelFault) as caught:
            asked.reply()
        assert type(caught.value) is kind and hint in caught.value.hint and len(server.requests) == 1
        assert KEY not in str(caught.value)


def test_what_every_next_episode_would_meet_ends_them_all_without_a_request() -> None:
    with MessagesServer([[text("never")]], faults=[Status(401)]) as server:
        asked = Asked(server)
        for _ in range(2):
            with pytest.raises(ModelRefused):
                asked.reply()
    assert len(server.requests) == 1


def test_a_refusal_that_repeats_the_key_or_the_token_does_not_tell_it() -> None:
    for credentials in ({"api_key": KEY, "auth_token": ""}, {"api_key": "", "auth_token": KEY}):
        with MessagesServer([[text("never")]], faults=[Status(400, "", f"kind {KEY}", f"no {KEY} here")]) as server:
            asked = Asked(server)
            asked.client.transport = AnthropicTransport(MODEL, **credentials, base_url=server.url)
            with pytest.raises(ModelFault) as caught:
                asked.reply()
        assert KEY not in str(caught.value) + asked.tries[0].error and "no *** here" in caught.value.cause


@pytest.mark.parametrize("faults", [[], [Status(400, "", "invalid_request_error", "no")]], ids=["answered", "refused"])
def test_a_name_of_the_request_that_repeats_the_key_does_not_tell_it(
    monkeypatch: pytest.MonkeyPatch, faults: list[Any]
) -> None:
    send = BaseHTTPRequestHandler.send_header
    name_it = {"request-id": f"req_{KEY}"}
    monkeypatch.setattr(
        BaseHTTPRequestHandler, "send_header", lambda self, name, value: send(self, name, name_it.get(name, value))
    )
    with MessagesServer([[text("hello")]], faults=faults) as server:
        asked = Asked(server)
        asked.client.transport = AnthropicTransport(MODEL, api_key=KEY, auth_token="", base_url=server.url)
        with contextlib.suppress(ModelFault):
            asked.reply()
    assert [each.request_id for each in asked.tries] == ["req_***"]


@pytest.mark.parametrize(
    "fault",
    [
        ContextTooLong(),
        Status(400, message="input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"),
        Status(400, message="the request exceeds the model's context window"),
    ],
    ids=["too long", "limit", "window"],
)
def test_a_conversation_that_is_too_long_is_told_from_other_refusals(fault: Any) -> None:
    with MessagesServer([[text("never")]], faults=[fault]) as server:
        with pytest.raises(ContextLengthExceeded):
            Asked(server).reply()


def test_an_endpoint_that_does_not_clear_the_context_says_so() -> None:
    question = ModelRequest("s", HELLO.messages, [], 1000, edits={"edits": [{"type": "clear_tool_uses_20250919"}]})
    with MessagesServer([[text("ok")]], context_editing=False) as server:
        with pytest.raises(ContextEditingUnsupported):
            Asked(server).reply(question)


def test_a_tools_input_that_is_no_json_is_kept_beside_the_answer() -> None:
    with MessagesServer(
        [[text("so"), call("bash", "toolu_1", command="ls")]], faults=[MalformedToolJson("<ls>")]
    ) as server:
        reply = Asked(server).reply()
    assert reply.stop_reason == "tool_use" and reply.broken == {"toolu_1": "<ls>"}
    assert reply.content[1]["input"] == {}


@pytest.mark.parametrize(
    "sent", ['{"command": NaN}', "[1]", "{" * 5000, '{"n": [-1e999]}', '{"n": %s}' % ("[" * 64 + "]" * 64)]
)
def test_an_input_that_could_not_be_sent_back_is_none(sent: str) -> None:
    with MessagesServer([[call("bash", "toolu_1", command="ls")]], faults=[MalformedToolJson(sent)]) as server:
        reply = Asked(server).reply()
    assert reply.broken == {"toolu_1": sent} and reply.content[0]["input"] == {}


def test_half_a_surrogate_pair_does_not_spoil_the_next_request() -> None:
    script = [[text("so \ud800"), call("bash", "a", command="echo \udfff")]]
    with MessagesServer(script) as server:
        asked = Asked(server)
        reply = asked.reply()
        said = {"role": "assistant", "content": list(reply.content)}
        result = {"type": "tool_result", "tool_use_id": "a", "content": "ok", "is_error": False}
        asked.reply(ModelRequest("system", [*HELLO.messages, said, {"role": "user", "content": [result]}], [], 1000))
    assert reply.content[0]["text"] == "so ?" and reply.content[1]["input"] == {"command": "echo ?"}


def test_calls_of_one_answer_get_ids_of_their_own() -> None:
    with MessagesServer(
        [[call("bash", "a", command="1"), call("bash", "b", command="2")]], faults=[DuplicateIds()]
    ) as server:
        reply = Asked(server).reply()
    ids = [block["id"] for block in reply.content]
    assert len(set(ids)) == len(ids) == 2


@pytest.mark.parametrize("reason", ["refusal", "max_tokens", "pause_turn", "model_context_window_exceeded"])
def test_a_stop_reason_comes_through_by_name(reason: str) -> None:
    answer = Refusal("no") if reason == "refusal" else Answer([text("so far")], stop_reason=reason)
    with MessagesServer([[text("x")]], faults=[answer]) as server:
        assert Asked(server).reply().stop_reason == reason


def test_a_mebibyte_of_text_comes_through_whole() -> None:
    with MessagesServer([[text("x")]], faults=[BigText()]) as server:
        assert len(Asked(server).reply().content[0]["text"]) == 1024**2


def test_a_turn_that_the_jobs_dollars_cannot_pay_is_not_sent() -> None:
    with MessagesServer([[text("never")]]) as server:
        asked = Asked(server, cap=0.0001)
        with pytest.raises(BudgetExceeded, match="the job's dollars"):
            asked.reply()
    assert server.requests == [] and asked.ledger.exhausted


@pytest.fixture
def stalled() -> Iterator[MessagesServer]:
    with MessagesServer([[text("never " * 50)]], faults=[Stall(3600.0)]) as server:
        yield server


def test_closing_breaks_off_a_stream_at_once(stalled: MessagesServer) -> None:
    asked = Asked(stalled)
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            asked.reply()
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not stalled.requests:
        time.sleep(0.01)
    time.sleep(0.3)
    asked.client.close()
    thread.join(timeout=30)
    assert isinstance(ended[0], Interrupted)
    assert asked.meter.reading.usage.input == 100, "what was reported before is paid"


def test_the_preflight_asks_one_word_and_is_paid() -> None:
    with MessagesServer([[text("ready")]]) as server:
        asked = Asked(server)
        asked.client.preflight()
    assert server.requests[0]["max_tokens"] == 1 and asked.ledger.account.spent > 0 and server.complaints == []
