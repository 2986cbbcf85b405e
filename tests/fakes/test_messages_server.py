"""The double of the Messages API keeps the real one's promises, as the vendor's own SDK and a bare socket see them."""

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.fakes.messages_server import (
    MIB,
    Answer,
    BigText,
    ContextTooLong,
    Conversation,
    Cut,
    DuplicateIds,
    ErrorEvent,
    Fault,
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

pytestmark = pytest.mark.slow  # speaks to a server on loopback

KEY = "sk-test"
HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": KEY, "content-type": "application/json"}
HELLO: dict[str, Any] = {"role": "user", "content": "hello"}
ASKED: dict[str, Any] = {"model": "claude-test", "max_tokens": 1000, "stream": True, "messages": [HELLO]}
EDITING = {"edits": [{"type": "clear_tool_uses_20250919", "keep": {"type": "tool_uses", "value": 1}}]}
BETA = {"anthropic-beta": "context-management-2025-06-27"}
CACHE_CONTROL = {"cache_control": {"type": "ephemeral"}}
TOOL = {"name": "ls", "description": "Lists.", "input_schema": {"type": "object"}}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def sdk(server: MessagesServer) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=KEY, base_url=server.url, max_retries=0, timeout=30.0)


def said(server: MessagesServer, *messages: Mapping[str, Any], **given: Any) -> anthropic.types.Message:
    """The SDK's answer, put together from the stream."""
    body = {"model": "claude-test", "max_tokens": 1000, "messages": list(messages) or [HELLO], **given}
    with sdk(server).messages.stream(**body) as stream:
        for _ in stream:
            pass
        return stream.current_message_snapshot


def back(message: anthropic.types.Message) -> dict[str, Any]:
    """An answer as it is sent back."""
    return {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]}


def result(call_id: str, content: Any = "ok") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def user(*blocks: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def post(
    server: MessagesServer, body: object = ASKED, headers: Mapping[str, str] = HEADERS, path: str = "/v1/messages"
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=30)
    try:
        connection.request("POST", path, json.dumps(body), dict(headers))
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def events(server: MessagesServer, **changed: Any) -> list[dict[str, Any]]:
    raw = post(server, {**ASKED, **changed}, {**HEADERS, **BETA})[1].decode()
    parts = [part.split("\n") for part in raw.strip().split("\n\n")]
    assert all(event == f"event: {json.loads(data[6:])['type']}" for event, data in parts)
    return [json.loads(data.removeprefix("data: ")) for _, data in parts]


# Answers


def test_events_come_in_the_real_order() -> None:
    with MessagesServer([[thinking("so"), redacted_thinking(), text("hello"), call("ls", path="a")]]) as server:
        sequence = [(event["type"], event.get("delta", {}).get("type")) for event in events(server)]
    begin, end, delta = ("content_block_start", None), ("content_block_stop", None), "content_block_delta"
    assert sequence == [
        ("message_start", None),
        *(begin, ("ping", None), (delta, "thinking_delta"), (delta, "thinking_delta"), (delta, "signature_delta"), end),
        *(begin, end),
        *(begin, (delta, "text_delta"), (delta, "text_delta"), end),
        *(begin, (delta, "input_json_delta"), (delta, "input_json_delta"), (delta, "input_json_delta"), end),
        *(("message_delta", None), ("message_stop", None)),
    ]
    assert server.complaints == []


def test_the_sdk_puts_an_answer_together_as_it_was_written() -> None:
    blocks = [thinking("hm"), redacted_thinking(), text("voilà ☃\n"), call("ls", "toolu_1", paths=["a", {"b": 1.5}])]
    with MessagesServer([blocks]) as server:
        message = said(server)
        raw = list(sdk(server).messages.create(**ASKED))
    assert back(message)["content"] == blocks and message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (100, 50)
    assert [event.type for event in raw][-2:] == ["message_delta", "message_stop"]
    assert server.complaints == [] and server.keys == [KEY, KEY]


@pytest.mark.parametrize(
    "reason", ["tool_use", "end_turn", "max_tokens", "refusal", "pause_turn", "model_context_window_exceeded", None]
)
def test_an_answer_may_name_its_own_ending_and_usage(reason: str | None) -> None:
    usage = {"input_tokens": 7, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 2}
    with MessagesServer([Answer([text("so")], reason, usage)]) as server:
        message = said(server)
    assert message.stop_reason == reason
    assert usage == {name: getattr(message.usage, name) for name in usage}


def test_a_refusal_and_a_long_text_can_be_asked_for() -> None:
    with MessagesServer([BigText()], faults=[Refusal(), None, [text("once")]]) as server:
        answers = [said(server) for _ in range(4)]
    assert answers[0].stop_reason == "refusal" and answers[0].stop_details is not None
    assert [len(answer.content[0].text) for answer in answers[1:]] == [MIB, 4, MIB]  # type: ignore[union-attr]


def test_a_turn_is_the_number_of_answers_before_it_and_the_last_is_repeated() -> None:
    with MessagesServer([[call("ls")], [call("ls")]]) as server:
        messages: list[Any] = [HELLO]
        for _ in range(4):
            answer = said(server, *messages)
            messages += [back(answer), user(result(answer.content[-1].id))]  # type: ignore[union-attr]
    assert server.complaints == []  # so each call had an id of its own


def test_conversations_are_told_apart_by_what_they_begin_with() -> None:
    script = [
        Conversation("run 1", [[text("one")]], [Status(500)]),
        Conversation("SYSTEM 2", [[text("two")]]),
        Conversation(None, [[text("other")]]),
    ]
    with MessagesServer(script) as server:
        with pytest.raises(anthropic.InternalServerError):
            said(server, user(text("this is run 1")))
        answers = [said(server, user(text("this is run 1"))), said(server, HELLO, system="SYSTEM 2"), said(server)]
    assert [answer.content[0].text for answer in answers] == ["one", "two", "other"]  # type: ignore[union-attr]


def test_a_function_may_be_the_script() -> None:
    with MessagesServer(lambda body: [text(body["messages"][0]["content"] * 2)]) as server:
        assert said(server).content[0].text == "hellohello"  # type: ignore[union-attr]


def test_many_clients_are_answered_at_once() -> None:
    with MessagesServer(lambda body: [text(body["messages"][0]["content"])]) as server:
        with ThreadPoolExecutor(32) as pool:
            asked = [{**ASKED, "messages": [{"role": "user", "content": f"<{n}>"}]} for n in range(128)]
            answers = list(pool.map(lambda body: post(server, body)[1].decode(), asked))
        identities = {json.loads(answer.split("data: ")[1].split("\n")[0])["message"]["id"] for answer in answers}
    assert len(server.requests) == len(identities) == 128 and server.complaints == []


# Faults


@pytest.mark.parametrize(
    ("code", "kind", "error"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (401, "authentication_error", anthropic.AuthenticationError),
        (403, "permission_error", anthropic.PermissionDeniedError),
        (404, "not_found_error", anthropic.NotFoundError),
        (408, "timeout_error", anthropic.APIStatusError),
        (413, "request_too_large", anthropic.APIStatusError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (529, "overloaded_error", anthropic.APIStatusError),
    ],
)
def test_an_error_answer_has_the_vendors_form(code: int, kind: str, error: type[anthropic.APIStatusError]) -> None:
    with MessagesServer([[text("then")]], faults=[Status(code, retry_after="7")]) as server:
        with pytest.raises(error) as raised:
            said(server)
        assert said(server).content[0].text == "then"  # type: ignore[union-attr]
    refused: Any = raised.value
    assert (refused.status_code, refused.body["error"]["type"]) == (code, kind)
    assert refused.response.headers["retry-after"] == "7"
    assert refused.request_id == refused.body["request_id"] != ""


def test_a_reset_comes_before_any_byte() -> None:
    with MessagesServer([[text("then")]], faults=[Reset(), Reset()]) as server:
        with pytest.raises(ConnectionResetError):
            post(server)
        with pytest.raises(anthropic.APIConnectionError):
            said(server)
        assert said(server).stop_reason == "end_turn"


def test_a_reset_in_mid_stream_comes_after_some_bytes() -> None:
    body = json.dumps(ASKED)
    head = "".join(f"{name}: {value}\r\n" for name, value in {**HEADERS, "content-length": str(len(body))}.items())
    heard = b""
    with MessagesServer([BigText(1000)], faults=[ResetMidStream(), ResetMidStream()]) as server:
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30) as client:
            client.sendall(f"POST /v1/messages HTTP/1.1\r\nhost: x\r\n{head}\r\n{body}".encode())
            with pytest.raises(ConnectionResetError):
                while piece := client.recv(100):
                    heard += piece
        with pytest.raises(Exception, match="reset"):
            said(server)
    assert b"message_start" in heard and b"message_delta" not in heard


def test_a_cut_answer_ends_without_a_reason_and_without_an_error() -> None:
    with MessagesServer([[text("hello")]], faults=[Cut()]) as server:
        message = said(server)
    assert message.stop_reason is None and message.content[0].text == "hel"  # type: ignore[union-attr]


def test_an_error_may_come_after_status_200() -> None:
    with MessagesServer([[text("hello")]], faults=[ErrorEvent()]) as server:
        with pytest.raises(anthropic.APIStatusError) as raised:
            said(server)
    refused: Any = raised.value
    assert (refused.status_code, refused.body["error"]["type"]) == (200, "overloaded_error")


@pytest.mark.parametrize("fault", [MalformedToolJson(), MalformedToolJson("<ls>")])
def test_a_calls_input_may_be_no_json_in_a_stream_that_is_whole(fault: Fault) -> None:
    with MessagesServer([[call("ls", path="a")]], faults=[fault]) as server:
        stream = events(server)
    whole = "".join(event["delta"].get("partial_json", "") for event in stream if "delta" in event)
    with pytest.raises(json.JSONDecodeError):
        json.loads(whole)
    assert whole and stream[-2]["delta"]["stop_reason"] == "tool_use" and stream[-1]["type"] == "message_stop"


@pytest.mark.parametrize("calls", [[call("ls")], [call("ls"), call("cat", "toolu_2")]])
def test_calls_may_share_an_id_and_the_client_may_send_others_back(calls: Sequence[Mapping[str, Any]]) -> None:
    with MessagesServer([calls, [text("done")]], faults=[DuplicateIds()]) as server:
        answer = said(server)
        ids = [block.id for block in answer.content]  # type: ignore[union-attr]
        history: Any = back(answer)
        assert len(ids) == 2 and len(set(ids)) == 1
        history["content"][1]["id"] = "toolu_repaired"
        said(server, HELLO, history, user(result(ids[0]), result("toolu_repaired")))
        assert server.complaints == []
        said(server, HELLO, back(answer), user(result(ids[0]), result(ids[1])))
    assert [each for each in server.complaints if "is used 2 times" in each]


def test_a_fault_that_has_nothing_to_spoil_is_a_complaint() -> None:
    with MessagesServer([[text("no call")]], faults=[MalformedToolJson()]) as server:
        said(server)
    assert ["for an answer without calls" in each for each in server.complaints] == [True]


def test_a_stall_is_silence_after_which_the_answer_goes_on() -> None:
    with MessagesServer([[text("hello")]], faults=[Stall(0.05)]) as server:
        assert said(server).content[0].text == "hello"  # type: ignore[union-attr]


def test_neither_a_stall_nor_an_idle_client_delays_the_end() -> None:
    idle = http.client.HTTPConnection("127.0.0.1", timeout=30)
    with ThreadPoolExecutor(1) as pool:
        with MessagesServer([[text("hello")]], faults=[None, Stall(3600)]) as server:
            idle.port = int(server.url.rpartition(":")[2])
            idle.request("POST", "/v1/messages", json.dumps(ASKED), HEADERS)
            idle.getresponse().read()
            stalled = pool.submit(post, server)
            while len(server.requests) < 2 and not stalled.done():
                time.sleep(0.01)
            began = time.monotonic()
        assert time.monotonic() - began < 60
        with pytest.raises(http.client.IncompleteRead):
            stalled.result(timeout=30)
    assert idle.sock is not None and idle.sock.recv(1) == b""
    idle.close()


def test_a_conversation_may_outgrow_the_model() -> None:
    with MessagesServer([[text("never")]], faults=[ContextTooLong(7, 6)]) as server:
        with pytest.raises(anthropic.BadRequestError, match="prompt is too long: 7 tokens > 6 maximum"):
            said(server)


# Settings


@pytest.mark.parametrize(("known", "headers"), [(False, BETA), (True, {})])
def test_context_editing_may_be_unknown(known: bool, headers: dict[str, str]) -> None:
    with MessagesServer([[text("never")]], context_editing=known) as server:
        with pytest.raises(anthropic.BadRequestError, match="context_management: Extra inputs are not permitted"):
            said(server, extra_body={"context_management": EDITING}, extra_headers=headers)
    assert len(server.complaints) == int(known)  # the header was forgotten


def test_edits_of_the_context_are_told_at_the_end() -> None:
    calls = [call("ls"), call("ls"), call("ls")]
    with MessagesServer([calls, [text("done")]]) as server:
        assert events(server, context_management=EDITING)[-2]["context_management"] == {"applied_edits": []}
        answer = said(server)
        ids = [block.id for block in answer.content]  # type: ignore[union-attr]
        messages = [HELLO, back(answer), user(*(result(id_, "x" * 400) for id_ in ids))]
        applied = events(server, context_management=EDITING, messages=messages)[-2]["context_management"]
        assert "context_management" not in events(server, messages=messages)[-2]
        beta = sdk(server).beta.messages.create(
            **{**ASKED, "messages": messages}, context_management=EDITING, betas=["context-management-2025-06-27"]
        )
        assert list(beta)[-2].context_management.applied_edits[0].cleared_tool_uses == 2
    cleared = {"type": "clear_tool_uses_20250919", "cleared_tool_uses": 2, "cleared_input_tokens": 200}
    assert applied == {"applied_edits": [cleared]} and server.complaints == []


def test_unknown_models_and_keys_are_refused() -> None:
    with MessagesServer([[text("yes")]], models={"claude-test"}, allowed_keys={KEY}) as server:
        assert said(server).stop_reason == "end_turn"
        assert sdk(server).models.retrieve("claude-test").id == "claude-test"
        with pytest.raises(anthropic.NotFoundError):
            sdk(server).models.retrieve("clode")
        with pytest.raises(anthropic.NotFoundError, match="model: clode"):
            said(server, model="clode")
        with pytest.raises(anthropic.AuthenticationError):
            said(server, extra_headers={"x-api-key": "other"})
    assert server.keys == [KEY, KEY, "other"]


def test_prompt_caching_reads_what_an_earlier_request_marked() -> None:
    system = [{"type": "text", "text": "s" * 4000, **CACHE_CONTROL}]
    with MessagesServer([[call("ls")]], cache=True) as server:
        first = said(server, user(text("a" * 400)), system=system)
        other = said(server, user(text("b" * 400)), system=system)
        history = [user(text("b" * 400)), back(other)]
        turn = user({**result(other.content[0].id), **CACHE_CONTROL})  # type: ignore[union-attr]
        second = said(server, *history, turn, system=system)
        history += [user(result(other.content[0].id)), back(second)]  # type: ignore[union-attr]
        third = said(server, *history, user({**result(second.content[0].id), **CACHE_CONTROL}), system=system)  # type: ignore[union-attr]
        changed = said(server, HELLO, system=[{"type": "text", "text": "t", **CACHE_CONTROL}])
    counts = [
        (u.cache_read_input_tokens or 0, u.cache_creation_input_tokens or 0, u.input_tokens)
        for u in (each.usage for each in (first, other, second, third, changed))
    ]
    (read0, written0, fresh0), (read1, written1, _), (read2, written2, fresh2), (read3, _, _), (read4, written4, _) = (
        counts
    )
    assert (read0, read1, written1, read4) == (0, written0, 0, 0) and written0 > 1000 and fresh0 >= 100
    assert read2 == written0 and 100 < written2 < 300 and fresh2 == 0
    assert read3 == read2 + written2 and written4 > 0
    assert server.complaints == []


# Complaints


def test_a_whole_conversation_that_is_sent_back_as_served_has_no_complaint() -> None:
    script = [[thinking("hm"), text("I look."), call("ls", path="a"), call("bash", command="pwd")], [text("done")]]
    native = [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    ]
    settings: Any = {"tools": [TOOL, *native], "system": "You play.", "max_tokens": 2000}
    with MessagesServer(script) as server:
        for how in ({"type": "adaptive"}, {"type": "enabled", "budget_tokens": 1024}):
            answer = said(server, HELLO, thinking=how, **settings)
            ids = [block.id for block in answer.content if block.type == "tool_use"]
            heard = user(result(ids[0]), result(ids[1], [text("out")]), {**text("[left: 3]"), **CACHE_CONTROL})
            said(server, HELLO, back(answer), heard, thinking=how, **settings)
    assert server.complaints == [] and len(server.requests) == 4


def test_a_paused_answer_is_sent_back_to_go_on() -> None:
    paused = Answer([text("wait")], "pause_turn")
    with MessagesServer([paused, [text("on")], [text("done")]]) as server:
        first = said(server)
        second = said(server, HELLO, back(first))
        said(server, HELLO, back(first), back(second), HELLO)
        merged = {"role": "assistant", "content": [*back(first)["content"], *back(second)["content"]]}
        said(server, HELLO, merged, HELLO)
        assert server.complaints == []
        said(server, HELLO, back(second))
    assert server.complaints == ["the last message is the assistant's, and it was not paused"]


def test_an_answer_that_was_cut_is_nothing_to_send_back() -> None:
    with MessagesServer([[thinking("hm"), text("one"), text("two")]], faults=[Cut()]) as server:
        said(server, HELLO, back(said(server)), HELLO)
    assert any("thinking that was not served so" in each for each in server.complaints)


def altered(changes: Mapping[int, Mapping[str, Any] | None]) -> list[str]:
    """Complaints when the answer's blocks come back with changes; None leaves a block out."""
    with MessagesServer(
        [[thinking("hm"), redacted_thinking(), call("ls", "toolu_1", path="a")], [text("x")]]
    ) as server:
        history: Any = back(said(server))
        blocks = [{**block, **(changes.get(at, {}) or {})} for at, block in enumerate(history["content"])]
        kept = [block for at, block in enumerate(blocks) if changes.get(at, {}) is not None]
        ids = [block["id"] for block in kept if block["type"] == "tool_use"]
        said(server, HELLO, {**history, "content": kept}, user(*(result(id_) for id_ in ids)))
    return server.complaints


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({0: {"thinking": "ha"}}, "thinking that was not served so: 'ha'"),
        ({0: {"signature": "forged"}}, "thinking that was not served so"),
        ({0: None}, "the thinking before the call toolu_1 is missing"),
        ({1: {"data": "bm9uZQ=="}}, "redacted_thinking that was not served so"),
        ({2: {"id": "toolu_9"}}, "the call toolu_9 (ls) was not served so"),
        ({2: {"input": {"path": "b"}}}, "the call toolu_1 (ls) was not served so"),
        ({2: {"name": "cat"}}, "the call toolu_1 (cat) was not served so"),
        ({2: {"parsed": 1}}, "tool_use with missing or extra ['parsed']"),
    ],
)
def test_a_history_that_was_altered_is_seen(changes: Mapping[int, Any], complaint: str) -> None:
    assert altered({}) == []
    assert any(complaint in each for each in altered(changes))


def test_any_input_may_come_back_for_one_that_was_broken() -> None:
    with MessagesServer([[call("ls", "toolu_1", path="a")], [text("x")]], faults=[MalformedToolJson()]) as server:
        events(server)
        said(server, HELLO, {"role": "assistant", "content": [call("ls", "toolu_1")]}, user(result("toolu_1")))
    assert server.complaints == []


def test_a_second_server_can_go_on_with_the_firsts_conversations() -> None:
    with MessagesServer([[thinking("hm"), call("ls", "toolu_1")]]) as first:
        answer = said(first)
    with MessagesServer([[text("done")]], served=first.served) as second:
        said(second, HELLO, back(answer), user(result("toolu_1")))
    assert second.complaints == []


CALLS = {"role": "assistant", "content": [call("ls", "toolu_1"), call("ls", "toolu_2")]}


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"model": ""}, "model is ''"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"stream": False}, "stream is False"),
        ({"messages": []}, "messages is []"),
        ({"temperature": 0.5}, "temperature is set"),
        ({"top_p": 0.5}, "top_p is set"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "thinking is"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking is"),
        ({"messages": [CALLS]}, "a message of assistant where user's was due"),
        ({"messages": [HELLO, HELLO]}, "a message of user where assistant's was due"),
        ({"messages": [HELLO, CALLS]}, "the last message is the assistant's"),
        ({"messages": [HELLO, CALLS, HELLO]}, "tool results [] for the calls ['toolu_1', 'toolu_2']"),
        ({"messages": [HELLO, CALLS, user(result("toolu_2"), result("toolu_1"))]}, "tool results ['toolu_2', 'toolu_1']"),
        ({"messages": [HELLO, CALLS, user(result("toolu_1"), text("x"), result("toolu_2"))]}, "after other content"),
        ({"messages": [user(result("toolu_0"))]}, "tool results ['toolu_0'] for the calls []"),
        ({"messages": [user(text(""))]}, "text is empty"),
        ({"messages": [user()]}, "content is []"),
        ({"messages": [{"role": "user", "content": " "}]}, "content is ' '"),
        ({"messages": [user({"type": "sound"})]}, "'sound' in the content of user"),
        ({"messages": [user(thinking("hm"))]}, "'thinking' in the content of user"),
        ({"messages": [user({"type": "tool_result", "tool_use_id": "toolu_1"})]}, "missing or extra ['content']"),
        ({"messages": [user(result("toolu_1", None))]}, "content is None"),
        ({"messages": ["hello"]}, "a body that cannot be read"),
        ({"system": [text("")]}, "system.0: text is empty"),
        ({"tools": [{**TOOL, "description": ""}]}, "tool ls lacks a schema or a description"),
        ({"tools": [{"name": "ls", "description": "Lists."}]}, "tool ls lacks a schema or a description"),
        ({"tools": [TOOL, TOOL]}, "tool ls is defined 2 times"),
        ({"tools": [{"type": "bash_20250124", "name": "shell"}]}, "tool shell has the type bash_20250124"),
        ({"messages": [user(*[{**text("x"), **CACHE_CONTROL}] * 5)]}, "cache_control stands 5 times"),
        ({"messages": [user({**text("x"), "cache_control": {"type": "for ever"}})]}, "cache_control is"),
        ({"messages": [user({**text(""), **CACHE_CONTROL})]}, "cache_control on text"),
        (
            {"messages": [HELLO, {"role": "assistant", "content": [{**thinking("h"), **CACHE_CONTROL}]}, HELLO]},
            "on thinking",
        ),
    ],
)  # fmt: skip
def test_what_the_real_endpoint_would_refuse_is_a_complaint(changed: dict[str, Any], complaint: str) -> None:
    with MessagesServer([[text("x")]]) as server:
        post(server, {**ASKED, **changed})
    assert any(complaint in each for each in server.complaints), server.complaints


def test_the_path_and_the_version_are_looked_at() -> None:
    with MessagesServer([[text("x")]]) as server:
        assert post(server, path="/v1/messages?beta=true")[0].status == 200 and server.complaints == []
        assert post(server, path="/v2/messages")[0].status == 404
        post(server, headers={"x-api-key": KEY})
    assert server.complaints == ["path /v2/messages", "the header anthropic-version is missing"]


def test_a_script_that_fails_is_a_complaint() -> None:
    with MessagesServer([Conversation("never", [[text("x")]])]) as server:
        with pytest.raises(anthropic.APIConnectionError):
            said(server)
    assert ["no conversation of the script begins so: 'hello'" in each for each in server.complaints] == [True]


# A process of its own


def test_it_serves_as_a_process_until_stdin_closes(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    turns = [[text("one")], {"blocks": [text("two")], "stop_reason": "max_tokens"}, {"type": "BigText", "bytes": 9}]
    faults = [None, "Cut", {"type": "Status", "code": 429, "retry_after": "0"}]
    script.write_text(json.dumps([{"match": "run 1", "turns": turns, "faults": faults}]))
    command = [sys.executable, "-m", "tests.fakes.messages_server", "--script", str(script), "--port", "0"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdin is not None and process.stdout is not None
        server: Any = MessagesServerElsewhere(json.loads(process.stdout.readline())["url"])
        asked = user(text("run 1"))
        one = said(server, asked)
        assert said(server, asked).stop_reason is None
        with pytest.raises(anthropic.RateLimitError):
            said(server, asked)
        two = said(server, asked, back(one), HELLO)
        assert two.stop_reason == "max_tokens"
        three = said(server, asked, back(one), HELLO, back(two), HELLO, extra_body={"top_k": 1})
        assert three.content[0].text == "012345678"  # type: ignore[union-attr]
        process.stdin.close()
        assert json.loads(process.stdout.read()) == {"requests": 5, "complaints": ["top_k is set"]}
    assert process.returncode == 0


class MessagesServerElsewhere:
    """What the helpers above need of a server: where it is."""

    def __init__(self, url: str) -> None:
        self.url = url
