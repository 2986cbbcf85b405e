"""Transcripts are read whatever was done to them, and hold what a model was asked, to the byte."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.agents.model import ModelAgent, ModelConfig
from runner.agents.protocol import AgentContext, Observation
from runner.agents.tool_formats import toolkit
from runner.budget.clock import SystemClock
from runner.budget.ledger import Ledger
from runner.episode.tools import schemas
from runner.faults import UsageFault
from runner.job.setup import load_task
from runner.llm.client import AnthropicTransport
from runner.llm.messages import request_sha256
from runner.llm.model import ModelClient
from runner.llm.prices import prices_of
from runner.records.episode import Limits, ToolResult
from runner.records.events import (
    EndEvent,
    Event,
    NoteEvent,
    RequestEvent,
    ToolResultEvent,
    TurnEvent,
    event_to_json,
)
from runner.settings import Settings
from runner.store.transcript import read_transcript, transcripts_by_run, transcripts_of
from tests.fakes.messages_server import MessagesServer, Status, call, text, thinking
from tests.sent_requests import reconstruct_requests

MODEL = "claude-sonnet-5-5"
TURN = {
    "event": "turn",
    "turn": 1,
    "say": "I look.",
    "calls": [{"id": "a", "tool": "bash", "input": {"command": "ls"}}],
}
ANSWER = {"event": "answer", "call": "a", "text": "x\n[exit status 0]", "is_error": False, "seconds": 0.1}
BUDGET = {"event": "budget", "turn": 1, "spent": {"turns": 1}, "left": {"turns": 9}}
END = {"event": "end", "ending": "ended", "turns": 1, "calls": 1, "seconds": 1.0}


def written(path: Path, *events: dict[str, Any] | bytes) -> Path:
    """A transcript of these events, or lines."""
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def asked_of(path: Path, server: MessagesServer, turns: int, **config: Any) -> None:
    """A model's conversation of so many turns, noted into a transcript."""
    transport = AnthropicTransport(MODEL, api_key="k", auth_token="", base_url=server.url)
    client = ModelClient(transport, prices_of(MODEL, "anthropic"), Ledger(100.0), SystemClock(), lambda said: None)

    def emit(event: Event) -> None:
        with path.open("a") as file:
            file.write(json.dumps(event_to_json(event)) + "\n")

    assignment = AgentContext(load_task(Settings(), "slow_nbody"), 1, emit)
    agent = ModelAgent(client, ModelConfig("You are at work.", toolkit("schema", schemas()), **config), assignment)
    answers: tuple[ToolResult, ...] = ()
    for _ in range(turns):
        turn = agent.act(Observation("Make it fast: ünïcode.", answers, Limits(turns=9)))
        answers = tuple(ToolResult(one.id, f"{one.id}: \x1b[31m" + 40 * " done", is_error=False) for one in turn.calls)


def test_a_line_that_was_cut_off_and_one_that_was_spoiled_are_told_and_the_rest_stands(tmp_path: Path) -> None:
    whole = [TURN, b"{spoiled", ANSWER, b'["no object"]', b"[" * 100_000, BUDGET, END]
    path = written(tmp_path / "t.jsonl", *whole)
    path.write_bytes(path.read_bytes() + b'{"event": "turn", "turn": 2, "sa')
    read = read_transcript(path)
    assert [entry.kind for entry in read.entries] == ["turn", "answer", "budget", "end"]
    assert [line.line for line in read.unreadable] == [2, 4, 5, 8]
    assert read.unreadable[-1].why.startswith("cut off: ")


def test_an_event_of_another_form_than_its_kind_has_is_told_like_a_spoiled_line(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", {**TURN, "calls": [{"id": 1}]}, {**ANSWER, "text": None}, END)
    read = read_transcript(path)
    assert [entry.kind for entry in read.entries] == ["end"]
    assert [line.why.split(":")[0] for line in read.unreadable] == [
        "not a valid turn event",
        "not a valid answer event",
    ]


def test_a_kind_of_a_later_version_is_kept_as_it_is(tmp_path: Path) -> None:
    read = read_transcript(written(tmp_path / "t.jsonl", {"event": "mood", "is": "good"}, {**TURN, "more": 1}))
    assert read.entries[0].event is None and read.entries[0].raw["is"] == "good"
    assert isinstance(read.entries[1].event, TurnEvent) and read.unreadable == ()


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_no_bytes_stop_a_reader(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("t") / "t.jsonl"
    path.write_bytes(b"\n".join(lines))
    read_transcript(path)


def test_a_turn_is_closed_by_its_budget_and_what_comes_after_belongs_to_the_next(tmp_path: Path) -> None:
    asked = {"event": "request", "turn": 2, "sha256": "0"}
    note = {"event": "note", "text": "outputs were cleared"}
    read = read_transcript(
        written(tmp_path / "t.jsonl", TURN, ANSWER, BUDGET, note, asked, {**TURN, "turn": 2}, ANSWER, END)
    )
    first, second = read.steps
    assert (first.number, first.is_whole, second.number, second.is_whole) == (1, True, 2, False)
    assert [type(entry.event) for entry in second.entries] == [NoteEvent, RequestEvent, TurnEvent, ToolResultEvent]
    assert read.all(EndEvent)[0].ending == "ended"


def test_a_path_means_a_transcript_a_run_or_a_job(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        (tmp_path / f"run_{number}").mkdir()
        written(tmp_path / f"run_{number}" / "transcript.jsonl", END)
    (tmp_path / "run_x").mkdir()
    assert [path.parent.name for path in transcripts_of(tmp_path)] == ["run_1", "run_2", "run_10"]
    assert sorted(transcripts_by_run(tmp_path)) == [1, 2, 10]
    one = tmp_path / "run_2" / "transcript.jsonl"
    assert transcripts_of(tmp_path / "run_2") == transcripts_of(one) == [one]
    with pytest.raises(UsageFault, match="there is no transcript in"):
        transcripts_of(tmp_path / "run_x")


def work(count: int) -> Callable[[Any], Any]:
    """Calls for so many turns, with thoughts, then a word."""

    def answer(body: Any) -> Any:
        said = sum(message["role"] == "assistant" for message in body["messages"])
        if said >= count:
            return [text("That is all.")]
        return [thinking(f"thought {said}"), text("Once more."), call("bash", f"toolu_{said}", command=f"echo {said}")]

    return answer


@pytest.mark.slow
@pytest.mark.parametrize("case", ["plain", "retried", "cleared here", "thinking"])
def test_every_request_comes_back_as_it_was_sent(tmp_path: Path, case: str) -> None:
    path = tmp_path / "t.jsonl"
    config: dict[str, Any] = {
        "cleared here": {"context_tokens": 150, "endpoint_edits": False},
        "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000},
    }.get(case, {})
    faults = [None, Status(529)] if case == "retried" else []
    with MessagesServer(work(7), faults=faults) as server:
        asked_of(path, server, 8, **config)
    sent = list(reconstruct_requests(read_transcript(path).all(RequestEvent)))
    assert len(sent) == 8 and all(one.matches for one in sent)
    assert [request_sha256(one.body) for one in sent] == [one.sha256 for one in sent]
    last = {key: value for key, value in server.requests[-1].items() if key != "system"}
    assert {key: value for key, value in sent[-1].body.items() if key != "system"} == last
    kept = [one.messages_kept for one in read_transcript(path).all(RequestEvent)]
    assert (kept != sorted(kept)) == (case == "cleared here")


def test_a_request_after_a_lost_line_does_not_pass_for_what_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with MessagesServer(work(3)) as server:
        asked_of(path, server, 4)
    lines = path.read_bytes().splitlines(keepends=True)
    second = [place for place, line in enumerate(lines) if b'"event": "request"' in line][1]
    path.write_bytes(b"".join(lines[:second] + lines[second + 1 :]))
    assert [one.matches for one in reconstruct_requests(read_transcript(path).all(RequestEvent))] == [
        True,
        False,
        False,
    ]


def test_a_programs_own_request_has_no_fingerprint_to_compare(tmp_path: Path) -> None:
    body = {"model": "m", "max_tokens": 5}
    first = {
        "event": "request", "turn": 1, "body": body, "asked_model": "m", "messages_kept": 0, "sha256": "0",
        "messages": [{"role": "user", "content": "hello"}], "system": "own", "tools": [{"name": "t"}],
    }  # fmt: skip
    large = {"event": "request", "turn": 2, "body": {}, "too_large": 10**8, "sha256": "1", "asked_model": "m"}
    sent = list(reconstruct_requests(read_transcript(written(tmp_path / "t.jsonl", first, large)).all(RequestEvent)))
    assert sent[0].body == {**body, "system": "own", "tools": [{"name": "t"}], "messages": first["messages"]}
    assert [one.matches for one in sent] == [None, None]
