"""What the gateway makes of requests and answers, however they were made: pure, without a container."""

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from runner.agents.command.agent import patience
from runner.agents.command.endpoint import Endpoint
from runner.agents.command.examine import VALUES_MAX, Asked, Refused, examine
from runner.agents.command.gateway import Gateway, affordable
from runner.agents.command.heard import Heard
from runner.agents.command.messages import HEADER, LENGTH, Malformed, Part, Request, Unpacker, pack
from runner.clock import SystemClock
from runner.ledger import Ledger, Meter
from runner.llm.limiter import Limiter
from runner.llm.prices import Prices
from runner.records.limits import Limits
from runner.records.usage import Usage
from runner.sandbox.wire import Frame, Kind
from tests.conftest import wait_until
from tests.fakes.messages_server import Cut, MessagesServer, Stall, call, text

MODEL = "claude-sonnet-5-5"
PRICES = Prices(MODEL, fixed=(3.0, 15.0))
HELLO: dict[str, Any] = {
    "model": MODEL, "max_tokens": 1000, "stream": True, "messages": [{"role": "user", "content": "hello"}],
}  # fmt: skip


def request(body: object = HELLO, path: str = "/v1/messages", method: str = "POST", **headers: str) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = [[name.replace("_", "-"), value] for name, value in headers.items()]
    return Request(1, {"method": method, "path": path, "headers": named}, content)


def ask(connection: int, body: object = HELLO) -> bytes:
    """A request as the forwarder sends it."""
    head = json.dumps(dict(request().head)).encode()
    payload = LENGTH.pack(len(head)) + head + json.dumps(body).encode()
    return HEADER.pack(Part.ASK, connection, len(payload)) + payload


# What comes in


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_are_requests_or_malformed_and_nothing_else(pieces: list[bytes]) -> None:
    unpacker = Unpacker()
    with contextlib.suppress(Malformed):
        for piece in pieces:
            list(unpacker.feed(piece))


@given(st.integers(1, 200))
def test_requests_come_out_as_they_went_in_wherever_the_stream_is_cut(size: int) -> None:
    sent, unpacker = ask(7) + ask(8), Unpacker()
    found = [each for at in range(0, len(sent), size) for each in unpacker.feed(sent[at : at + size])]
    assert [(each.connection, json.loads(each.body)) for each in found] == [(7, HELLO), (8, HELLO)]


@pytest.mark.parametrize(
    "sent",
    [
        HEADER.pack(Part.ASK, 1, 2**31), HEADER.pack(Part.ASK, 1, 0), HEADER.pack(Part.BODY, 1, 9),
        HEADER.pack(Part.ASK, 1, 8) + LENGTH.pack(5) + b"{}{}", HEADER.pack(Part.ASK, 1, 6) + LENGTH.pack(2) + b"[]",
    ],
    ids=["too long", "too short", "another kind", "head longer than the message", "head that is no object"],
)  # fmt: skip
def test_what_no_request_can_be_is_malformed(sent: bytes) -> None:
    with pytest.raises(Malformed):
        list(Unpacker().feed(sent))


# What goes out


def test_a_request_goes_out_with_the_jobs_model_and_without_the_programs_credentials() -> None:
    asked = examine(
        request({**HELLO, "model": "claude-small", "speed": "fast"}, "/v1/messages?beta=true", x_api_key="sandbox",
                authorization="Bearer sandbox", anthropic_version="2023-06-01", anthropic_beta="a-1", host="evil"),
        MODEL,
    )  # fmt: skip
    assert asked.headers == {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1"}
    assert asked.body == HELLO and asked.path == "/v1/messages?beta=true"
    assert (asked.model, asked.dropped, asked.costs) == ("claude-small", ("speed",), True)


def test_counting_tokens_and_listing_models_cost_nothing() -> None:
    assert not examine(request({"model": "x", "messages": []}, "/v1/messages/count_tokens?beta=true"), MODEL).costs
    assert not examine(request(b"", "/v1/models/claude-x-1?beta=true", "GET"), MODEL).costs


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"), ("POST", "/v1/messages/batches"), ("POST", "/v1/complete"), ("POST", "/v1/models"),
        ("GET", "/v1/models/../files"), ("GET", "/v1/models/a/b"), ("POST", "/v1/messages?beta=true&x=1"),
        ("POST", "/v1/messages/../files"), ("POST", "http://evil/v1/messages"), ("HEAD", "/"), ("GET", "/v1/models\n"),
    ],
)  # fmt: skip
def test_every_other_path_is_not_found(method: str, path: str) -> None:
    with pytest.raises(Refused) as refused:
        examine(request(HELLO, path, method), MODEL)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"[" * 100_000, b'{"model": NaN', {**HELLO, "max_tokens": True}, {**HELLO, "max_tokens": 0},
        {**HELLO, "max_tokens": "9"}, {**HELLO, "model": None}, {"model": "x", "max_tokens": 10**9},
        {**HELLO, "tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, {**HELLO, "tools": ["x"]},
        {**HELLO, "tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]},
        {**HELLO, "messages": [{"content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}]},
        {**HELLO, "messages": [{"content": [{"type": "tool_result", "content": [{"source": {"type": "file"}}]}]}]},
        {**HELLO, "messages": [{"content": [{"source": {"type": "base64", "media_type": "application/pdf"}}]}]},
    ],
)  # fmt: skip
def test_what_may_not_go_out_is_refused_in_the_apis_own_words(body: object) -> None:
    with pytest.raises(Refused) as refused:
        examine(request(body), MODEL)
    assert refused.value.status == 400
    assert json.loads(refused.value.body)["error"]["type"] == "invalid_request_error"


def test_a_body_of_countless_values_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Refused, match="too many values"):
        examine(request(b"[" + b"[]," * VALUES_MAX), MODEL)


def test_a_number_that_is_none_is_refused() -> None:
    asked = examine(request(json.dumps(HELLO)[:-1].encode() + b', "temperature": 1e999}'), MODEL)
    with pytest.raises(Refused):
        asked.content()


@given(st.dictionaries(st.text(max_size=9), st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists)))
def test_any_object_goes_out_or_is_refused_and_nothing_else(body: dict[str, Any]) -> None:
    with contextlib.suppress(Refused):
        assert examine(request({**body, "model": "x", "max_tokens": 5}), MODEL).max_tokens == 5


@pytest.mark.parametrize(
    ("remaining", "expected"),
    [
        (Limits(), 1000), (Limits(output_tokens=400), 400), (Limits(tokens=300), 300), (Limits(dollars=1.0), 1000),
        (Limits(dollars=0.00375 + 0.0075), 500), (Limits(dollars=0.001), 0),
    ],
)  # fmt: skip
def test_an_answer_is_no_longer_than_what_is_left_pays_for(remaining: Limits, expected: int) -> None:
    assert affordable(PRICES, 1000, 1000, remaining) == pytest.approx(expected, abs=1)


def test_the_command_may_take_what_the_nearer_limit_leaves() -> None:
    assert patience(Limits(wall_s=10.0, working_s=20.0)) == ("wall clock", 10.0)
    assert patience(Limits(wall_s=30.0, working_s=20.0)) == ("working time", 20.0)


# What comes back


@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from(["text/event-stream", "application/json", ""]))
def test_any_answer_can_be_heard(chunks: list[bytes], content_type: str) -> None:
    heard = Heard(content_type)
    for chunk in [*chunks, b'data: {"type": "content_block_delta", "index": 3, "delta": {}}\n', b"data: [1]\n"]:
        heard.take(chunk)
    heard.end()
    assert heard.usage == Usage() and isinstance(heard.content, list)


def test_an_answer_that_is_not_streamed_is_counted_too() -> None:
    heard = Heard("application/json")
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 11}
    heard.take(json.dumps({"content": [text("hi")], "stop_reason": "end_turn", "usage": usage}).encode())
    heard.end()
    assert (heard.usage, heard.stop_reason, heard.content) == (Usage(3, 5, 7, 11), "end_turn", [text("hi")])


# The gateway between a forwarder (this test) and an endpoint


class Inside:
    """The other end of a gateway."""

    def __init__(self, server: MessagesServer, allowed: Limits = Limits(), cap: float = 10.0) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.meter, self.ledger = Meter(), Ledger(cap)
        self.heard, self.lock = bytearray(), threading.Lock()
        endpoint = Endpoint(MODEL, server.url, Limiter(SystemClock()), SecretStr("sk-key"), SecretStr(""))
        self.gateway = Gateway(
            endpoint, self.ledger, PRICES, self.meter, lambda kind, event: self.events.append((kind, event)), allowed,
            self.send,
        )  # fmt: skip

    def send(self, frame: Frame) -> bool:
        if frame.kind is Kind.DATA:
            with self.lock:
                self.heard += frame.body
            self.gateway.hear(Frame(Kind.TAKEN, frame.sequence, {"frames": 1}))
        return True

    def ask(self, connection: int, body: object = HELLO) -> None:
        self.gateway.hear(Frame(Kind.DATA, 5, {}, ask(connection, body)))

    def said(self) -> dict[int, tuple[int, bytes, bool]]:
        """By connection: status, body, whether it came to its end."""
        found: dict[int, tuple[int, bytes, bool]] = {}
        with self.lock:
            rest = bytes(self.heard)
        while rest:
            kind, connection, length = HEADER.unpack_from(rest)
            payload, rest = rest[HEADER.size : HEADER.size + length], rest[HEADER.size + length :]
            status, body, ended = found.get(connection, (0, b"", False))
            status = json.loads(payload)["status"] if kind == Part.HEAD else status
            body = body + payload if kind == Part.BODY else body
            found[connection] = (status, body, ended or kind in (Part.END, Part.ABORT))
        return found

    def wait(self, connections: int) -> dict[int, tuple[int, bytes, bool]]:
        wait_until(lambda: sum(ended for _, _, ended in self.said().values()) == connections, 20)
        return self.said()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield


def test_several_requests_at_once_get_each_its_answer_and_all_are_paid() -> None:
    with MessagesServer([[text("hello to you")]]) as server:
        inside = Inside(server)
        for number in range(1, 7):
            inside.ask(number)
        said = inside.wait(6)
        inside.gateway.close(5.0)
    assert all(status == 200 and b"message_stop" in body for status, body, _ in said.values())
    assert inside.meter.reading.turns == 6 and inside.meter.reading.usage == Usage(600, 0, 0, 300)
    assert (
        inside.ledger.account.spent == pytest.approx(inside.meter.reading.dollars) and not inside.ledger.account.holds
    )


def test_requests_side_by_side_cannot_spend_the_same_turn() -> None:
    with MessagesServer([[text("hi")]]) as server:
        inside = Inside(server, Limits(turns=2))
        for number in range(1, 6):
            inside.ask(number)
        said = inside.wait(5)
        inside.gateway.close(5.0)
    assert sorted(status for status, _, _ in said.values()) == [200, 200, 400, 400, 400]
    assert inside.gateway.limit == "turns" and len(server.requests) == 2
    assert any(b"budget: turns used up" in body for _, body, _ in said.values())


@pytest.mark.parametrize(
    ("allowed", "limit"),
    [
        (Limits(tokens=150), "tokens"),
        (Limits(output_tokens=50), "output tokens"),
        (Limits(dollars=0.01), "dollars"),
    ],
)
def test_a_limit_that_is_used_up_is_named(allowed: Limits, limit: str) -> None:
    with MessagesServer([[text("hi")]]) as server:
        inside = Inside(server, allowed)
        body = {**HELLO, "max_tokens": 50}
        for number in range(1, 30):
            inside.ask(number, body)
            inside.wait(number)
            if inside.gateway.limit:
                break
        inside.gateway.close(5.0)
    assert inside.gateway.limit == limit and len(server.requests) >= 1


def test_a_stream_that_was_cut_is_paid_as_far_as_it_said() -> None:
    with MessagesServer([[text("hi")]], faults=[Cut()]) as server:
        inside = Inside(server)
        inside.ask(1)
        inside.wait(1)
        inside.gateway.close(5.0)
    assert inside.meter.reading.usage == Usage(100, 0, 0, 1) and inside.meter.reading.dollars > 0


def test_closing_breaks_off_what_is_under_way() -> None:
    with MessagesServer([[text("hi")]], faults=[Stall(60.0)]) as server:
        inside = Inside(server)
        inside.ask(1)
        wait_until(lambda: b"message_start" in inside.heard, 20)
        closing = threading.Thread(target=inside.gateway.close, args=(0.0,))
        closing.start()
        closing.join(5)
        assert not closing.is_alive()
    assert inside.ledger.account.holds == 0 and inside.meter.reading.usage.input == 100


def test_an_address_where_nobody_answers_is_told_inside_and_is_the_endpoints_fault() -> None:
    with MessagesServer([[text("hi")]]) as server:
        pass
    inside = Inside(server)
    inside.ask(1)
    assert inside.wait(1)[1][0] == 502
    inside.gateway.close(5.0)
    assert inside.gateway.fault is not None and "cannot be reached" in inside.gateway.fault.cause
    assert inside.gateway.limit == "" and inside.meter.reading.turns == 0


def test_a_forwarder_that_sends_garbage_is_not_listened_to_any_more() -> None:
    with MessagesServer([[text("hi")]]) as server:
        inside = Inside(server)
        inside.gateway.hear(Frame(Kind.DATA, 5, {}, b"\xff" * 100))
        inside.ask(1)
        inside.gateway.close(1.0)
    assert server.requests == [] and "not listened to" in inside.events[0][1]["text"]


def test_the_record_says_each_message_once_and_no_credentials() -> None:
    with MessagesServer([[call("bash", "toolu_1", command="ls")], [text("hi")]]) as server:
        inside = Inside(server)
        inside.ask(1)
        inside.wait(1)
        more = [
            {"role": "assistant", "content": [call("bash", "toolu_1", command="ls")]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a"}]},
        ]
        inside.ask(2, {**HELLO, "messages": HELLO["messages"] + more})
        inside.wait(2)
        inside.gateway.close(5.0)
    requests = [event for kind, event in inside.events if kind == "request"]
    assert [(event["messages_kept"], len(event["messages"])) for event in requests] == [(0, 1), (1, 2)]
    responses = [event for kind, event in inside.events if kind == "response"]
    assert responses[0]["content"] == [call("bash", "toolu_1", command="ls")]
    assert responses[0]["request_id"].startswith("req_") and "sk-key" not in json.dumps(inside.events)


def test_pieces_are_no_larger_than_pid_1_passes_on() -> None:
    sizes: list[int] = []
    with MessagesServer([[text("x" * 1_000_000)]]) as server:
        inside = Inside(server)
        inner = inside.send
        inside.gateway.send = lambda frame: sizes.append(len(frame.body)) or inner(frame)  # type: ignore[func-returns-value]
        inside.ask(1)
        inside.wait(1)
        inside.gateway.close(5.0)
    assert max(sizes) <= 65536 and len(inside.said()[1][1]) > 1_000_000


def test_asked_says_what_it_sends() -> None:
    assert json.loads(Asked("POST", "/v1/messages", {}, dict(HELLO)).content() or b"") == HELLO
    assert pack(Part.END, 3) == HEADER.pack(Part.END, 3, 0)


def test_an_image_is_paid_for_beforehand_whatever_its_bytes() -> None:
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    asked = examine(request({**HELLO, "messages": [{"role": "user", "content": [block] * 3}]}), MODEL)
    assert asked.sent_tokens_max() >= len(asked.content() or b"") + 3 * 5000


def test_a_longer_life_in_the_cache_has_another_price_and_is_left_out() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    body = {
        **HELLO,
        "tools": [{"name": "x", "input_schema": {}, "cache_control": dict(mark)}],
        "cache_control": dict(mark),
    }
    asked = examine(request(body), MODEL)
    assert b"1h" not in (asked.content() or b"") and "ttl" in asked.dropped
