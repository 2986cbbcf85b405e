"""What the gateway makes of requests and answers, however they were made: pure, without a container."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from runner.agents.command import command_timeout
from runner.budget.clock import SystemClock
from runner.budget.ledger import Ledger, Meter
from runner.faults import InfrastructureFault, StoreFault
from runner.gateway import admission as admission_module
from runner.gateway.admission import FAILURES_FREE, affordable_tokens, billable
from runner.gateway.bounded_json import VALUES_MAX
from runner.gateway.framing import (
    BODY_BYTES_MAX,
    HEADER,
    LENGTH,
    FramingError,
    Part,
    Request,
    Unpacker,
    pack,
)
from runner.gateway.policy import ANSWER_TOKENS_MAX, RequestRejected, authorize
from runner.gateway.recorder import Recorder
from runner.gateway.response_parser import ResponseParser
from runner.gateway.sender import FRAMES_AHEAD_MAX, PIECE_BYTES
from runner.gateway.server import Gateway
from runner.gateway.upstream import Endpoint
from runner.gateway.wait_timer import WaitTimer
from runner.llm.backoff import Backoff
from runner.llm.prices import Prices
from runner.records.episode import Limits, Usage
from runner.records.events import Attempt, Event, event_to_json
from runner.records.untrusted_json import LEVELS_MAX
from runner.sandbox.wire import Frame, Kind
from tests.conftest import wait_until
from tests.fakes.messages_server import Cut, MessagesServer, Stall, Status, call, text

pytestmark = pytest.mark.slow  # speaks to an endpoint on loopback that stalls and pauses

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
    with contextlib.suppress(FramingError):
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
    with pytest.raises(FramingError):
        list(Unpacker().feed(sent))


def test_the_window_is_of_the_same_size_on_both_sides(project: Path) -> None:
    text = (project / "runner/sandbox/inside/channel.py").read_text()
    inside = dict(re.findall(r"^([A-Z_]+) = (\d+)", text, re.M))
    assert int(inside["FRAMES_AHEAD_MAX"]) == FRAMES_AHEAD_MAX and int(inside["PIECE_BYTES"]) == PIECE_BYTES


# What goes out


def test_a_request_goes_out_with_the_jobs_model_and_without_the_programs_credentials() -> None:
    asked = authorize(
        request({**HELLO, "model": "claude-small", "speed": "fast"}, "/v1/messages?beta=true", x_api_key="sandbox",
                authorization="Bearer sandbox", anthropic_version="2023-06-01", anthropic_beta="effort-1", host="evil"),
        MODEL,
    )  # fmt: skip
    assert asked.headers == {"anthropic-version": "2023-06-01", "anthropic-beta": "effort-1"}
    assert asked.body == HELLO and asked.path == "/v1/messages?beta=true"
    assert (asked.model, asked.dropped, asked.costs) == ("claude-small", ("speed",), True)


def test_counting_tokens_and_listing_models_cost_nothing() -> None:
    assert not authorize(request({"model": "x", "messages": []}, "/v1/messages/count_tokens?beta=true"), MODEL).costs
    assert not authorize(request(b"", "/v1/models/claude-x-1?beta=true", "GET"), MODEL).costs


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"), ("POST", "/v1/messages/batches"), ("POST", "/v1/complete"), ("POST", "/v1/models"),
        ("GET", "/v1/models/../files"), ("GET", "/v1/models/a/b"), ("POST", "/v1/messages?beta=true&x=1"),
        ("POST", "/v1/messages/../files"), ("POST", "http://evil/v1/messages"), ("HEAD", "/"), ("GET", "/v1/models\n"),
    ],
)  # fmt: skip
def test_every_other_path_is_not_found(method: str, path: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        authorize(request(HELLO, path, method), MODEL)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"[" * 100_000, b'{"model": NaN', b"\xff\xfe{\x00}\x00",
        {**HELLO, "temperature": float("inf")}, json.dumps(HELLO)[:-1].encode() + b', "temperature": 1e999}',
        {**HELLO, "max_tokens": True}, {**HELLO, "max_tokens": 0},
        {**HELLO, "max_tokens": "9"}, {**HELLO, "model": None}, {"model": "x", "max_tokens": 10**9},
        {**HELLO, "tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, {**HELLO, "tools": ["x"]},
        {**HELLO, "tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]},
        {**HELLO, "messages": [{"content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}]},
        {**HELLO, "messages": [{"content": [{"type": "tool_result", "content": [{"source": {"type": "file"}}]}]}]},
        {**HELLO, "messages": [{"content": [{"source": {"type": "base64", "media_type": "application/pdf"}}]}]},
    ],
)  # fmt: skip
def test_what_may_not_go_out_is_refused_in_the_apis_own_words(body: object) -> None:
    with pytest.raises(RequestRejected) as refused:
        authorize(request(body), MODEL)
    assert refused.value.status == 400
    assert json.loads(refused.value.body)["error"]["type"] == "invalid_request_error"


def test_a_body_of_countless_values_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(RequestRejected, match="too many values"):
        authorize(request(b"[" + b"[]," * VALUES_MAX), MODEL)


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=9), st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists)))
def test_any_object_goes_out_or_is_refused_and_nothing_else(body: dict[str, Any]) -> None:
    with contextlib.suppress(RequestRejected):
        assert authorize(request({"messages": [], **body, "model": "x", "max_tokens": 5}), MODEL).max_tokens == 5


@pytest.mark.parametrize(
    ("remaining", "expected"),
    [
        (Limits(), 1000), (Limits(output_tokens=400), 400), (Limits(tokens=300), 300), (Limits(dollars=1.0), 1000),
        (Limits(dollars=0.00375 + 0.0075), 500), (Limits(dollars=0.001), 0),
    ],
)  # fmt: skip
def test_an_answer_is_no_longer_than_what_is_left_pays_for(remaining: Limits, expected: int) -> None:
    assert affordable_tokens(PRICES, 1000, 1000, remaining) == pytest.approx(expected, abs=1)


def test_the_command_may_take_what_the_nearer_limit_leaves() -> None:
    assert command_timeout(Limits(wall_s=10.0, working_s=20.0)) == ("wall clock", 10.0)
    assert command_timeout(Limits(wall_s=30.0, working_s=20.0)) == ("working time", 20.0)


# What comes back


@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from(["text/event-stream", "application/json", ""]))
def test_any_answer_can_be_heard(chunks: list[bytes], content_type: str) -> None:
    heard = ResponseParser(content_type)
    for chunk in [*chunks, b'data: {"type": "content_block_delta", "index": 3, "delta": {}}\n', b"data: [1]\n"]:
        heard.feed(chunk)
    heard.close()
    assert heard.usage == Usage() and isinstance(heard.content, list)


def test_an_answer_that_is_not_streamed_is_counted_too() -> None:
    heard = ResponseParser("application/json")
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 11}
    heard.feed(json.dumps({"content": [text("hi")], "stop_reason": "end_turn", "usage": usage}).encode())
    heard.close()
    assert (heard.usage, heard.stop_reason, heard.content) == (
        Usage(input=3, cache_write=5, cache_read=7, output=11),
        "end_turn",
        [text("hi")],
    )


# The gateway between a forwarder (this test) and an endpoint


class Inside:
    """The other end of a gateway."""

    def __init__(self, server: MessagesServer, allowed: Limits = Limits(), cap: float = 10.0) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.meter, self.ledger = Meter(), Ledger(cap)
        self.heard, self.lock = bytearray(), threading.Lock()
        endpoint = Endpoint(MODEL, server.url, Backoff(SystemClock()), SecretStr("sk-key"), SecretStr(""))
        self.gateway = Gateway(
            endpoint, ledger=self.ledger, prices=PRICES, meter=self.meter, allowed=allowed, send=self.send,
            emit=lambda event: self.events.append((event.kind, event_to_json(event))),
        )  # fmt: skip

    def send(self, frame: Frame) -> bool:
        if frame.kind is Kind.DATA:
            self.hear(frame)
            self.gateway.on_frame(Frame(Kind.TAKEN, frame.sequence, {"frames": 1}))
        return True

    def hear(self, frame: Frame) -> bool:
        with self.lock:
            self.heard += frame.body
        return True

    def ask(self, connection: int, body: object = HELLO) -> None:
        self.gateway.on_frame(Frame(Kind.DATA, 5, {}, ask(connection, body)))

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
        wait_until(lambda: sum(ended for _, _, ended in self.said().values()) == connections)
        return self.said()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield


@pytest.mark.parametrize("raised", [StoreFault(cause="no space left", hint="make room"), OverflowError("too many")])
@pytest.mark.parametrize("event", ["request", "response"])
def test_what_cannot_be_recorded_breaks_the_exchange_off_and_is_told_to_the_episode(
    event: str, raised: Exception
) -> None:
    """A disk that is full is the host's: a program that waited for its answer would be judged by its deadline."""
    with MessagesServer([[text("hello")]]) as server:
        inside = Inside(server)
        record = inside.gateway._recorder._emit

        def emit(what: Event) -> None:
            if what.kind == event:
                raise raised
            record(what)

        inside.gateway._recorder._emit = emit
        inside.gateway.send = lambda frame: frame.kind is not Kind.DATA or inside.hear(frame)
        inside.ask(1)
        inside.wait(1)
        wait_until(lambda: inside.gateway.fault is not None)
        with pytest.raises(InfrastructureFault):
            inside.gateway.on_frame(Frame(Kind.TAKEN, 5, {"frames": 1}))
        inside.gateway.close(1.0)
    assert not inside.ledger.account.open_reservations
    assert (inside.ledger.account.spent > 0) == (event == "response")


def test_several_requests_at_once_get_each_its_answer_and_all_are_paid() -> None:
    with MessagesServer([[text("hello to you")]]) as server:
        inside = Inside(server)
        for number in range(1, 7):
            inside.ask(number)
        said = inside.wait(6)
        inside.gateway.close(5.0)
    assert all(status == 200 and b"message_stop" in body for status, body, _ in said.values())
    assert inside.meter.reading.turns == 6 and inside.meter.reading.usage == Usage(
        input=600, cache_write=0, cache_read=0, output=300
    )
    assert (
        inside.ledger.account.spent == pytest.approx(inside.meter.reading.dollars)
        and not inside.ledger.account.open_reservations
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
    assert any(b"budget exceeded: turns" in body for _, body, _ in said.values())


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


def test_a_stream_that_was_cut_is_paid_for_what_was_generated_and_keeps_its_turn() -> None:
    with MessagesServer([[text("x" * 400)]], faults=[Cut()]) as server:
        inside = Inside(server, Limits(turns=1))
        inside.ask(1)
        said = inside.wait(1)[1][1]
        inside.ask(2)
        assert b"budget exceeded: turns" in inside.wait(2)[2][1]
        inside.gateway.close(5.0)
    came = sum(
        len(json.loads(line[5:])["delta"].get("text", ""))
        for line in said.splitlines()
        if line.startswith(b"data:") and b"_delta" in line
    )
    assert came > 0 and inside.meter.reading.usage == Usage(input=100, cache_write=0, cache_read=0, output=1 + came)
    assert inside.ledger.account.spent == pytest.approx(
        PRICES.cost(Usage(input=100, cache_write=0, cache_read=0, output=1 + came))
    )
    response = next(event for kind, event in inside.events if kind == "response")
    assert response["tries"][0]["is_bound"]


def test_an_answer_that_broke_off_before_it_said_anything_costs_all_that_was_sent() -> None:
    asked = authorize(request(), MODEL)
    assert billable(PRICES, asked, ResponseParser("text/event-stream"))[1] == PRICES.cost_max(
        asked.sent_tokens_max(), 0
    )
    assert billable(PRICES, asked, ResponseParser("application/json"))[1] == PRICES.cost_max(
        asked.sent_tokens_max(), 1000
    )


def test_closing_breaks_off_what_is_under_way() -> None:
    with MessagesServer([[text("hi")]], faults=[Stall(60.0)]) as server:
        inside = Inside(server)
        inside.ask(1)
        wait_until(lambda: b"message_start" in inside.heard)
        closing = threading.Thread(target=inside.gateway.close, args=(0.0,))
        closing.start()
        closing.join(5)
        assert not closing.is_alive()
    assert inside.ledger.account.open_reservations == 0 and inside.meter.reading.usage.input == 100
    assert inside.meter.reading.turns == 1


def test_an_address_where_nobody_answers_is_told_inside_and_is_a_reason_to_ask_the_endpoint() -> None:
    with MessagesServer([[text("hi")]]) as server:
        pass
    inside = Inside(server)
    inside.ask(1)
    assert inside.wait(1)[1][0] == 502
    inside.gateway.close(5.0)
    assert "cannot be reached" in inside.gateway.upstream_suspect
    assert inside.gateway.limit is None and inside.meter.reading.turns == 0


@pytest.mark.parametrize(
    ("faults", "suspected"),
    [
        ([None, Status(429)], True), ([None, Status(503)], True), ([None, Status(401)], True), ([None, Cut()], True),
        ([Status(500), None], False), ([None, Status(400)], False), ([Status(429), Status(413)], False),
    ],
)  # fmt: skip
def test_only_the_last_exchange_says_whether_the_endpoint_is_to_be_asked(faults: list[Any], suspected: bool) -> None:
    with MessagesServer([[text("hi")]], faults=faults) as server:
        inside = Inside(server)
        for number in (1, 2):
            inside.ask(number)
            inside.wait(number)
        inside.gateway.close(5.0)
    assert bool(inside.gateway.upstream_suspect) is suspected


def test_a_forwarder_that_sends_garbage_is_not_listened_to_any_more() -> None:
    with MessagesServer([[text("hi")]]) as server:
        inside = Inside(server)
        inside.gateway.on_frame(Frame(Kind.DATA, 5, {}, b"\xff" * 100))
        inside.ask(1)
        inside.gateway.close(1.0)
    assert server.requests == [] and "ignored from now on" in inside.events[0][1]["text"]


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


def test_a_limited_request_says_what_it_sends() -> None:
    asked = authorize(request(), MODEL)
    assert json.loads(asked.content or b"") == HELLO and asked.limited_to(1000) is asked
    assert json.loads(asked.limited_to(7).content or b"") == {**HELLO, "max_tokens": 7}
    assert pack(Part.END, 3) == HEADER.pack(Part.END, 3, 0)


def test_an_image_is_paid_for_beforehand_whatever_its_bytes() -> None:
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    asked = authorize(request({**HELLO, "messages": [{"role": "user", "content": [block] * 3}]}), MODEL)
    assert asked.sent_tokens_max() >= len(asked.content or b"") + 3 * 5000


def test_a_longer_life_in_the_cache_has_another_price_and_is_left_out() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    body = {
        **HELLO,
        "tools": [{"name": "x", "input_schema": {}, "cache_control": dict(mark)}],
        "cache_control": dict(mark),
    }
    asked = authorize(request(body), MODEL)
    assert b"1h" not in (asked.content or b"") and "ttl" in asked.dropped


# What a program must not get out


@pytest.mark.parametrize(
    ("role", "block", "named"),
    [
        ("system", {"type": "tool_addition", "tool": {"type": "tool_definition", "definition":
         {"type": "web_fetch_20250910", "name": "web_fetch"}}}, "tool_addition"),
        ("user", {"type": "tool_addition", "tool": {}}, "tool_addition"),
        ("user", {"type": "search_result", "source": "http://x", "content": []}, "search_result"),
        ("user", {"type": "container_upload", "file_id": "f"}, "container_upload"),
        ("assistant", {"type": "server_tool_use", "id": "s", "name": "web_fetch", "input": {}}, "server_tool_use"),
        ("user", {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference"}]}, "tool_reference"),
        ("user", {"type": "tool_result", "content": [{"type": "tool_result"}]}, "tool_result"),
        ("user", {"type": "document", "source": {"type": "url", "url": "http://x"}}, "url"),
        ("user", {"type": "document", "source": {"type": "content", "content": [{"type": "document"}]}}, "document"),
        ("user", {"type": "document", "source": "http://x"}, "None"),
        ("user", {"type": "image"}, "None"), ("system", {"type": "image"}, "image"), ("user", "text", "None"),
    ],
)  # fmt: skip
def test_a_block_that_is_not_on_the_list_is_refused_by_name(role: str, block: Any, named: str) -> None:
    with pytest.raises(RequestRejected, match=named) as refused:
        authorize(request({**HELLO, "messages": [{"role": role, "content": [block]}]}), MODEL)
    assert refused.value.status == 400


@pytest.mark.parametrize("body", [
    {"messages": [{"role": "tool", "content": "x"}]}, {"messages": ["x"]}, {"messages": {}}, {"messages": None},
    {"messages": [{"role": ["user"], "content": "x"}]}, {"system": [{"type": "tool_addition"}]}, {"system": 3},
    {"messages": [{"role": "user", "content": {"type": "text"}}]}, {"tools": {"type": "web_fetch_1"}},
    {"tools": [{"type": "tool_search_tool_regex_20251119", "name": "t"}]},
])  # fmt: skip
def test_roles_and_forms_that_are_not_on_the_list_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(RequestRejected) as refused:
        authorize(request({**HELLO, **body}), MODEL)
    assert refused.value.status == 400


def test_what_programs_do_send_goes_out_as_it_is() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    blocks = [
        text("x"), image, {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
        {"type": "document", "source": {"type": "content", "content": [text("x"), image]}},
        {"type": "tool_result", "tool_use_id": "t", "content": [text("x"), image]},
        {"type": "tool_result", "tool_use_id": "t", "content": "x"}, {"type": "tool_result", "tool_use_id": "t"},
    ]  # fmt: skip
    said = [
        {"type": "thinking", "thinking": "x", "signature": "s"}, {"type": "redacted_thinking", "data": "x"},
        call("bash", "t", source={"type": "url", "url": "a word of the program's own tool"}),
    ]  # fmt: skip
    body = {
        **HELLO, "system": [text("x")], "tools": [{"name": "x", "input_schema": {}}, {"type": "bash_20250124", "name": "b"}],
        "messages": [{"role": "user", "content": blocks}, {"role": "assistant", "content": said},
                     {"role": "system", "content": "x"}, {"role": "system", "content": [text("x")]}],
    }  # fmt: skip
    asked = authorize(request(body), MODEL)
    assert (asked.body, asked.dropped, asked.images) == (body, (), 3)


def test_betas_tool_keys_and_edits_that_are_not_on_the_list_are_left_out_and_told() -> None:
    body = {
        **HELLO, "tools": [{"name": "x", "input_schema": {}, "allowed_callers": ["code_execution"]}],
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}, {"type": "compact_20260112"}, 3]},
    }  # fmt: skip
    betas = "claude-code-20250219, mcp-client-2025-11-20,context-management-2025-06-27,inline-tools-1"
    asked = authorize(request(body, anthropic_beta=betas), MODEL)
    assert asked.headers["anthropic-beta"] == "claude-code-20250219,context-management-2025-06-27"
    assert asked.body is not None and asked.body["tools"] == [{"name": "x", "input_schema": {}}]
    assert asked.body["context_management"] == {"edits": [{"type": "clear_tool_uses_20250919"}]}
    assert {"anthropic-beta: mcp-client-2025-11-20", "anthropic-beta: inline-tools-1", "tools: allowed_callers",
            "context_management: compact_20260112"} <= set(asked.dropped)  # fmt: skip
    only = authorize(
        request({**HELLO, "context_management": {"edits": [{"type": "compact_1"}]}}, anthropic_beta="x-1"), MODEL
    )
    assert "context_management" not in (only.body or {}) and "anthropic-beta" not in only.headers


def nested(levels: int) -> bytes:
    return json.dumps(HELLO)[:-1].encode() + b', "metadata": ' + b'{"x":' * levels + b"1" + b"}" * levels + b"}"


def test_a_body_that_is_nested_too_deep_is_refused_and_what_stands_in_texts_is_not() -> None:
    assert authorize(request(nested(LEVELS_MAX - 1)), MODEL)
    with pytest.raises(RequestRejected, match="nested deeper"):
        authorize(request(nested(LEVELS_MAX)), MODEL)
    words = '\\" [{,' * VALUES_MAX
    assert authorize(request({**HELLO, "messages": [{"role": "user", "content": words}]}), MODEL)


@given(st.lists(st.sampled_from([b'"', b"\\", b"[", b"{", b"]", b"}", b",", b"x"]), max_size=200))
def test_any_brackets_and_quotes_are_a_body_or_refused(parts: list[bytes]) -> None:
    with contextlib.suppress(RequestRejected):
        authorize(request(b"".join(parts)), MODEL)


@pytest.mark.parametrize("over", [100, 10_000_000])
def test_a_request_that_is_too_large_is_answered_and_the_next_one_is_heard(over: int) -> None:
    large = b"x" * (BODY_BYTES_MAX + over)
    head = json.dumps(dict(request().head)).encode()
    payload = LENGTH.pack(len(head)) + head + large
    sent, unpacker = HEADER.pack(Part.ASK, 7, len(payload)) + payload + ask(8), Unpacker()
    found = [each for at in range(0, len(sent), 65536) for each in unpacker.feed(sent[at : at + 65536])]
    assert [each.connection for each in found] == [7, 8] and json.loads(found[1].body) == HELLO
    with pytest.raises(RequestRejected) as refused:
        authorize(found[0], MODEL)
    assert refused.value.status == 413 and len(found[0].body) == 0


# What a program must not spend, or end


def test_an_answer_is_cut_to_what_any_program_needs_and_to_what_the_job_has_left() -> None:
    with MessagesServer([[text("hi")]]) as server:
        rich, poor = Inside(server), Inside(server, cap=0.10)
        for inside in (rich, poor):
            inside.ask(1, {**HELLO, "max_tokens": 1_000_000})
            assert inside.wait(1)[1][0] == 200
            inside.gateway.close(5.0)
            assert not inside.ledger.exhausted and inside.gateway.limit is None
    first, second = (asked["max_tokens"] for asked in server.requests)
    assert first == ANSWER_TOKENS_MAX and 5_000 < second < 0.10 / 15e-6


def test_a_request_that_asks_for_too_much_ends_neither_job_nor_episode() -> None:
    with MessagesServer([[text("hi")]]) as server:
        inside = Inside(server, cap=1.0)
        inside.ask(1, {**HELLO, "messages": [{"role": "user", "content": "x" * 1_000_000}]})
        inside.ask(2)
        said = inside.wait(2)
        inside.gateway.close(5.0)
    assert said[1][0] == 400 and b"the job's dollars do not pay" in said[1][1] and said[2][0] == 200
    assert not inside.ledger.exhausted and inside.gateway.limit is None


def test_a_job_without_the_dollars_of_a_small_turn_is_over_and_one_with_them_is_not() -> None:
    for cap, exhausted in ((0.001, True), (0.1, False)):
        with MessagesServer([[text("hi")]]) as server:
            inside = Inside(server, cap=cap)
            inside.ask(1, {**HELLO, "messages": [{"role": "user", "content": "x" * 100_000}]})
            inside.wait(1)
            inside.gateway.close(5.0)
        assert inside.ledger.exhausted is exhausted and inside.gateway.limit == "the job's dollars"
        assert server.requests == []


def test_thoughts_longer_than_an_answer_may_be_are_refused() -> None:
    with pytest.raises(RequestRejected, match="budget_tokens"):
        authorize(
            request({**HELLO, "max_tokens": 100_000, "thinking": {"type": "enabled", "budget_tokens": 70_000}}), MODEL
        )


def test_what_the_endpoint_asked_a_model_besides_is_counted() -> None:
    heard = ResponseParser("application/json")
    usage = {
        "input_tokens": 3, "output_tokens": 5, "iterations": [
            {"type": "compaction", "input_tokens": 100, "output_tokens": 70}, {"type": "message", "input_tokens": 3}, 7],
    }  # fmt: skip
    heard.feed(json.dumps({"content": [], "usage": usage}).encode())
    heard.close()
    assert heard.usage == Usage(input=103, cache_write=0, cache_read=0, output=75)


def test_failures_after_the_first_ones_take_turns() -> None:
    with MessagesServer([[text("hi")]], faults=[Status(500)] * 3) as server:
        inside = Inside(server, Limits(turns=3))
        for number in range(1, FAILURES_FREE + 4):
            inside.ask(number, {**HELLO, "messages": 3} if number <= FAILURES_FREE else HELLO)
            inside.wait(number)
        assert inside.gateway.limit is None
        inside.ask(FAILURES_FREE + 4)
        inside.wait(FAILURES_FREE + 4)
        inside.gateway.close(5.0)
    assert inside.gateway.limit == "turns" and len(server.requests) == 3


def test_what_asks_no_model_says_nothing_about_room_for_messages() -> None:
    pauses: list[float] = []
    with MessagesServer([[text("hi")]]) as server:
        inside = Inside(server)
        limiter = inside.gateway.endpoint.limiter
        limiter.on_rate_limited = limiter.on_success = lambda *seconds: pauses.append(1.0)  # type: ignore[method-assign]
        head = {"method": "GET", "path": "/v1/models/m", "headers": []}
        inside.gateway._serve(Request(1, head, b""))
        inside.wait(1)
        assert inside.said()[1][0] == 200 and pauses == []
        inside.ask(2)
        inside.wait(2)
        inside.gateway.close(5.0)
    assert pauses == [1.0]


def test_waiting_counts_as_waiting_once_for_all_that_wait_together() -> None:
    with MessagesServer([[text("hi")]], faults=[Status(429, "1")]) as server:
        inside = Inside(server)
        inside.ask(1)
        inside.wait(1)
        for number in range(2, 8):
            inside.ask(number)
        inside.wait(7)
        inside.gateway.close(5.0)
    assert 0.3 < inside.meter.reading.waited_s < 4.0


def test_stretches_of_waiting_are_told_when_the_last_one_ends() -> None:
    told: list[float] = []
    waits = WaitTimer(told.append)
    with waits.waiting():
        with waits.waiting():
            pass
        assert told == []
    assert len(told) == 1 and told[0] >= 0.0


@pytest.mark.slow
def test_requests_under_way_have_so_many_bytes_together_and_an_episode_so_many_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission_module, "REQUEST_BYTES_MAX", int(1.5 * len(json.dumps(HELLO))))
    monkeypatch.setattr(admission_module, "REQUESTS_MAX", 3)
    with MessagesServer([[text("hi")]], faults=[Stall(2.0)]) as server:
        inside = Inside(server)
        inside.ask(1)
        inside.ask(2, {**HELLO, "metadata": {"user_id": "x" * 300}})
        assert inside.wait(1)[2][0] == 429
        inside.wait(2)
        for number in (3, 4):
            inside.ask(number)
        said = inside.wait(4)
        inside.gateway.close(5.0)
    assert [said[number][0] for number in (1, 3, 4)] == [200, 200, 400] and inside.gateway.limit == "requests"


# What is kept, and what it must not hold


def test_past_its_bytes_the_record_keeps_hashes_and_sizes() -> None:
    events: list[Event] = []
    record = Recorder(events.append, bytes_max=3_000)
    asked = authorize(request({**HELLO, "messages": [{"role": "user", "content": "x" * 2_000}]}), MODEL)
    record.request(1, asked)
    record.request(2, authorize(request({**HELLO, "messages": [{"role": "user", "content": "y" * 2_000}]}), MODEL))
    heard = ResponseParser("application/json")
    heard.feed(json.dumps({"content": [text("z" * 2_000)], "usage": {}}).encode())
    heard.close()
    record.response(2, heard, Attempt(request_id="r"))
    first, second, third = map(event_to_json, events)
    assert first["messages_kept"] == 0 and len(first["messages"][0]["content"]) == 2_000
    assert second["too_large"] > 2_000 and second["messages"] == [] and len(second["sha256"]) == 64
    assert third["too_large"] > 2_000 and third["content"] == [] and len(third["sha256"]) == 64


@pytest.mark.parametrize("size", [0, 65_530, 200_000])
def test_a_key_that_the_endpoint_repeats_reaches_neither_program_nor_record(size: int) -> None:
    refusal = Status(401, message="x" * size + "bad key sk-key " * 3)
    with MessagesServer([[text("hi")]], faults=[refusal]) as server:
        inside = Inside(server)
        inside.ask(1)
        status, body, _ = inside.wait(1)[1]
        inside.gateway.close(5.0)
    assert status == 401 and b"sk-key" not in body and len(body) <= 64 * 1024 and (size > 0 or b"bad key ***" in body)
    assert "sk-key" not in json.dumps(inside.events) and "HTTP 401" in json.dumps(inside.events)


KEY = "sk-" + "0123456789" * 3


def test_neither_does_one_in_an_error_that_comes_with_status_200() -> None:
    """Proxies begin a stream, and say in it what went wrong."""
    with MessagesServer([[text("hi")]], faults=[Status(200, message=f"bad key {KEY}")]) as server:
        inside = Inside(server)
        inside.gateway.endpoint.api_key = SecretStr(KEY)
        inside.ask(1)
        status, body, _ = inside.wait(1)[1]
        inside.gateway.close(5.0)
    assert status == 200 and KEY.encode() not in body and b"bad key ***" in body
    assert KEY not in json.dumps(inside.events)


@given(
    st.lists(st.sampled_from([KEY, KEY[:-1], KEY[:7], "sk-", "s", "x", "\n\n", "sandbox"]), max_size=8),
    st.integers(1, 40),
    st.sampled_from([KEY, "sandbox", ""]),
)
def test_an_answer_passes_as_it_is_but_for_the_key_wherever_it_is_cut(words: list[str], size: int, key: str) -> None:
    """A key that may be a word is no secret that an answer could not hold."""
    sent = "".join(words).encode()
    endpoint = Endpoint(MODEL, "http://localhost", Backoff(SystemClock()), SecretStr(key), SecretStr(""))
    response: Any = SimpleNamespace(chunks=lambda: (sent[at : at + size] for at in range(0, len(sent), size)))
    passed = b"".join(endpoint.answer_of(response))
    assert passed == (sent.replace(KEY.encode(), b"***") if key == KEY else sent)


@pytest.mark.parametrize("key", [KEY, ""])
def test_no_event_of_an_answer_waits_for_the_next_one(key: str) -> None:
    endpoint = Endpoint(MODEL, "http://localhost", Backoff(SystemClock()), SecretStr(key), SecretStr(""))
    events = [b"data: {}\n\n", b"data: []\n\n"]
    response: Any = SimpleNamespace(chunks=lambda: iter(events))
    assert list(endpoint.answer_of(response)) == events


def test_a_systems_words_within_a_conversation_go_out_with_the_beta_that_they_need() -> None:
    words = {"role": "system", "content": [{"type": "text", "text": "be brief"}]}
    body = {**HELLO, "messages": [*HELLO["messages"], words]}  # type: ignore[list-item]
    asked = authorize(request(body, anthropic_beta="mid-conversation-system-2026-04-07"), MODEL)
    assert asked.headers["anthropic-beta"] == "mid-conversation-system-2026-04-07" and asked.dropped == ()
    assert json.loads(asked.content or b"{}")["messages"][-1] == words
