"""The transcript's events: what is written is read again, whatever is in it, and what older versions wrote, too."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runner.agents.protocol import AgentContext
from runner.records import events
from runner.records.episode import ToolCall
from runner.records.events import (
    EVENTS,
    Event,
    NoteEvent,
    ToolResultEvent,
    TurnEvent,
    event_from_json,
    event_to_json,
)
from runner.store.transcript import Entry, read_transcript
from runner.tasks.task import Task

OLD_TRANSCRIPTS = sorted((Path(__file__).parents[1] / "old_jobs").glob("*/run_*/transcript.jsonl"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)


def drawn_events() -> st.SearchStrategy[Event]:
    """An event of any kind, with anything in it that its types allow."""
    types = {
        "dict[str, typing.Any]": OBJECTS,
        "tuple[dict[str, typing.Any], ...]": st.lists(OBJECTS, max_size=3).map(tuple),
        "tuple[dict[str, typing.Any], ...] | None": st.none() | st.lists(OBJECTS, max_size=3).map(tuple),
        "typing.Any": VALUES,
    }

    def of(cls: type[Event]) -> st.SearchStrategy[Event]:
        calls = st.builds(ToolCall, st.text(), st.text(), OBJECTS, st.text())
        fields = {name: types[str(hint)] for name, hint in cls.__annotations__.items() if str(hint) in types}
        if cls is TurnEvent:
            fields["calls"] = st.lists(calls, max_size=3).map(tuple)
        own_keys = set(cls.__annotations__) - {"more", "facts"} | {"event", "at"}
        inline = st.dictionaries(st.text().filter(lambda key: key not in own_keys), VALUES, max_size=4)
        for name in {"more", "facts"} & set(cls.__annotations__):
            fields[name] = OBJECTS if cls is events.EndEvent else inline
        return st.builds(cls, **fields)

    return st.one_of([of(cls) for cls in EVENTS.values()])


@pytest.mark.slow
@given(drawn_events())
def test_what_was_written_of_an_event_is_the_event_again(event: Event) -> None:
    read = event_from_json(json.loads(json.dumps(event_to_json(event))))
    assert repr(read) == repr(event)  # in words, since a time may be no number, which equals nothing


@pytest.mark.parametrize("path", OLD_TRANSCRIPTS, ids=lambda path: path.parent.name)
def test_an_old_transcript_is_read_whole_and_written_again_as_it_was(path: Path) -> None:
    read = read_transcript(path)
    assert read.entries and read.unreadable == ()
    assert [written(entry) for entry in read.entries] == [entry.raw for entry in read.entries]


def written(entry: Entry) -> dict[str, Any]:
    assert entry.event is not None
    return {"at": entry.at, **event_to_json(entry.event)}


@pytest.mark.slow
def test_every_kind_of_event_is_made_by_some_writer_and_no_line_is_built_by_hand() -> None:
    made: set[str] = set()
    for path in (Path(__file__).parents[2] / "runner").rglob("*.py"):
        if path.name == "events.py":
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                made.add(node.func.id)
            if isinstance(node, ast.Dict):
                assert not any(isinstance(key, ast.Constant) and key.value == "event" for key in node.keys), path
    assert {cls.__name__ for cls in EVENTS.values()} <= made


def test_keys_that_another_version_writes_are_ignored_and_those_that_it_lacks_have_their_defaults() -> None:
    line = {"event": "turn", "at": "now", "turn": 1, "say": "hello", "mood": "good"}
    assert event_from_json(line) == TurnEvent(turn=1, say="hello")
    assert event_from_json({"event": "mood"}) is None
    with pytest.raises(ValidationError):
        event_from_json({"event": "turn", "turn": 1})


def test_facts_and_more_are_keys_of_the_line_and_never_take_the_place_of_its_own() -> None:
    result = ToolResultEvent(call="a", text="x", is_error=False, facts={"exit_status": 3, "text": "forged"})
    line = event_to_json(result)
    assert (line["exit_status"], line["text"]) == (3, "x") and "facts" not in line
    read = event_from_json(line)
    assert isinstance(read, ToolResultEvent) and read.exit_status == 3
    forged = event_to_json(NoteEvent(text="x", more={"event": "end", "at": "then", "n": 1}))
    assert forged == {"event": "note", "text": "x", "n": 1}


def test_an_agents_note_is_an_event_in_the_old_form_of_the_call_as_well(nbody: Task) -> None:
    written: list[Event] = []
    context = AgentContext(nbody, 1, written.append)
    context.note("I think", tokens=7)
    context.note("note", {"text": "I think", "tokens": 7})
    context.note("turn", {"turn": 2, "say": "hello"})
    context.note("mood", {"text": "good"})
    note = NoteEvent(text="I think", more={"tokens": 7})
    assert written == [note, note, TurnEvent(turn=2, say="hello"), NoteEvent(text="good", more={"kind": "mood"})]
