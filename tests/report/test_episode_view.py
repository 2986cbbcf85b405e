"""An episode as a person reads it: everything that was recorded, folded, and fit for a terminal."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.records.run import JobConfig
from runner.report.episode_view import episode_lines, job_lines, summary_so_far
from runner.report.escape import shown_lines
from runner.store.transcript import Transcript, read_transcript

START = {
    "event": "start", "at": "2026-01-01T00:00:00+00:00", "run": 3, "agent": "model", "task": "slow_nbody", "model": "m-1",
    "limits": {"turns": 9, "dollars": 1.5},
}  # fmt: skip
END = {"event": "end", "ending": "submitted", "turns": 2, "calls": 3, "seconds": 12.34}


def turn(*calls: dict[str, Any], number: int = 1, say: str = "") -> dict[str, Any]:
    named = [{"id": f"c{place}", **call} for place, call in enumerate(calls)]
    return {"event": "turn", "at": "2026-01-01T00:00:05+00:00", "turn": number, "say": say, "calls": named}


def bash(command: str) -> dict[str, Any]:
    return {"tool": "bash", "input": {"command": command}}


def answer(text: str, call: str = "c0", *, is_error: bool = False) -> dict[str, Any]:
    return {"event": "answer", "call": call, "text": text, "is_error": is_error, "seconds": 0.5}


@pytest.fixture
def transcript(tmp_path: Path) -> Any:
    def made(*events: dict[str, Any]) -> Transcript:
        path = tmp_path / "transcript.jsonl"
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        return read_transcript(path)

    return made


def read(transcript: Transcript, most: int | None = 12) -> list[str]:
    return [line.plain for line in episode_lines(transcript, most)]


def test_a_command_reads_as_one_and_its_answer_follows_it(transcript: Any) -> None:
    said = turn(
        bash("cd x\nls"), {"tool": "view", "input": {"path": "a.py", "view_range": [1, 4]}}, say="I look.\nTwice."
    )
    lines = read(transcript(START, said, answer("a.py"), answer("no such file", "c1", is_error=True), END))
    first = lines.index("I look.")
    assert lines[first : first + 8] == [
        "I look.", "Twice.", "$ cd x", "> ls", "  │ a.py", "  └ 0.50 s", "✎ view a.py lines [1, 4]", "  │ no such file",
    ]  # fmt: skip
    assert lines[first - 1].startswith("── Turn 1 at 5.0 s ──") and "  └ error, 0.50 s" in lines
    assert lines[0] == "Run 3: slow_nbody, played by model (m-1)" and "  limits   9 turns, $1.50" in lines
    assert lines[-1] == "End: submitted, after 2 turns, 3 calls, 12.3 s"


def test_a_long_output_is_folded_to_its_head_and_its_tail(transcript: Any) -> None:
    played = transcript(turn(bash("seq 97")), answer("\n".join(map(str, range(1, 98)))))
    shown = [line.removeprefix("  │ ") for line in read(played) if line.startswith("  │ ")]
    assert shown == [*"123456", "... 85 more lines", "92", "93", "94", "95", "96", "97"]
    assert sum(line.startswith("  │ ") for line in read(played, None)) == 97
    assert [line for line in read(played, 1) if line.startswith("  │ ")] == ["  │ 1", "  │ ... 96 more lines"]


def test_an_edit_shows_its_path_and_first_lines(transcript: Any) -> None:
    calls = (
        {"tool": "create", "input": {"path": "a.py", "file_text": "\n".join("abcdefgh")}},
        {"tool": "str_replace", "input": {"path": "a.py", "old_str": "x", "new_str": "y"}},
        {"tool": "insert", "input": {"path": "a.py", "insert_line": 4, "insert_text": "z"}},
        {"tool": "submit", "input": {"path": "a.py"}},
        {"tool": "made_up", "input": {"x": 1}},
    )
    answers = [answer("done", f"c{place}") for place in range(5)]
    lines = read(transcript(turn(*calls), *answers), 4)
    shown = [line for line in lines if line[:3] in ("✎ c", "✎ r", "✎ i", "✎ s", "✎ m", "  +", "  -")]
    assert shown == [
        "✎ create a.py (8 lines)", "  + a", "  + b", "  + ... 6 more lines", "✎ replace in a.py", "  - x", "  + y",
        "✎ insert into a.py after line 4", "  + z", "✎ submit a.py", '✎ made_up {"x": 1}',
    ]  # fmt: skip


def test_tries_that_failed_thoughts_tokens_and_notes_are_shown(transcript: Any) -> None:
    usage = {"input": 100, "cache_read": 300, "cache_write": 0, "output": 50}
    tries = [{"seconds": 1.5, "error": "HTTP 529"}, {"seconds": 2.0, "usage": usage, "dollars": 0.01}]
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "redacted_thinking"}, {"type": "text", "text": "Said."}]
    asked = {"event": "request", "turn": 1, "sha256": "0"}
    said = {"event": "response", "turn": 1, "tries": tries, "content": content, "stop_reason": "tool_use"}
    note = {"event": "note", "text": "outputs were cleared"}
    left = {"event": "budget", "turn": 1, "left": {"turns": 8}}
    changed = {"event": "snapshot", "turn": 1, "sha256": "ab" * 32, "bytes": 7, "stored_at": "s/x.py"}
    lines = read(transcript(START, asked, said, note, turn(say="Said."), changed, left))
    for line in (
        "  a try failed after 1.5 s ($0.0000): HTTP 529",
        "  hm",
        "  (thinking that the vendor keeps to itself)",
        "  400 tokens sent (75% from the cache), 50 written, $0.0100, 3.5 s, tool_use",
        "  note: outputs were cleared",
        "  file changed: 7 bytes, abababababab, kept as s/x.py",
        "  left: 8 turns",
        "No end: the episode goes on, or the runner was killed",
    ):
        assert line in lines
    assert lines.count("Said.") == 1
    styles = {line.plain: str(line.style) for line in episode_lines(transcript(asked, said), 12)}
    assert "dim" in styles["  hm"]


def test_what_a_program_in_the_sandbox_was_answered_is_shown_while_it_runs(transcript: Any) -> None:
    content = [
        {"type": "text", "text": "From inside."},
        {"type": "tool_use", "name": "bash", "input": {"command": "id"}},
    ]
    said = {"event": "response", "turn": 1, "content": content}
    lines = read(transcript(turn({"tool": "command", "input": {"command": "agent --go"}}), said, answer("over")))
    assert [line for line in lines if line in ("$ agent --go", "From inside.", "$ id", "  │ over")] == [
        "$ agent --go", "From inside.", "$ id", "  │ over",
    ]  # fmt: skip


def test_calls_that_were_never_run_and_lines_that_cannot_be_read_are_told(transcript: Any) -> None:
    played = transcript(turn(bash("kill 1"), bash("ls")))
    assert "  not run: bash" in read(played)
    played.path.write_bytes(played.path.read_bytes() + b'{"event": "an')
    assert "line 2 of transcript.jsonl cannot be read: cut off" in read(read_transcript(played.path))[-1]


HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\u202egnp\x9b31m\ud800\u2028[bold red]PASSED[/] :boom:"


def test_no_hostile_text_reaches_the_terminal_as_it_is(transcript: Any) -> None:
    evil = {"tool": HOSTILE, "input": {HOSTILE: HOSTILE}, "broken": ""}
    edit = {"tool": "str_replace", "input": {"path": HOSTILE, "old_str": HOSTILE, "new_str": [HOSTILE]}}
    response = {
        "event": "response", "turn": 1, "error": HOSTILE, "tries": [{"error": HOSTILE}], "stop_reason": HOSTILE,
        "content": [{"type": "thinking", "thinking": HOSTILE}],
    }  # fmt: skip
    played = transcript(
        {**START, "agent": HOSTILE, "model": HOSTILE}, response,
        turn(evil, edit, bash(HOSTILE), {"tool": HOSTILE, "input": {}, "broken": HOSTILE}, say=HOSTILE),
        *(answer(HOSTILE, f"c{place}") for place in range(3)), {"event": "note", "text": HOSTILE},
        {"event": HOSTILE, "x": HOSTILE}, {**END, "ending": HOSTILE},
    )  # fmt: skip
    job = job_lines(HOSTILE, JobConfig(task=HOSTILE, agent=HOSTILE, model=HOSTILE, started=HOSTILE), None, [], None)
    for line in [*episode_lines(played), *episode_lines(played, None), *job]:
        assert line.plain.isprintable(), line.plain
        line.plain.encode("utf-8")


@given(st.text(max_size=500))
def test_lines_of_hostile_text_are_printable_each(text: str) -> None:
    for length_max in (40, None):
        for line in shown_lines(text, length_max):
            assert line.isprintable() and (length_max is None or len(line) <= length_max)


def test_lines_keep_their_indentation_and_end_at_line_feeds_only() -> None:
    assert shown_lines("def f():\r\n\treturn 1\x0b2\n") == ["def f():", "    return 1\\x0b2"]


def test_a_run_without_a_verdict_has_its_row_from_its_transcript(transcript: Any) -> None:
    spent = {"event": "budget", "turn": 1, "spent": {"turns": 1, "dollars": 0.25}}
    row = summary_so_far(7, transcript(START, turn(), spent))
    assert (row.number, row.outcome, row.turns, row.dollars) == (7, None, 1, 0.25) and "goes on" in row.ending
