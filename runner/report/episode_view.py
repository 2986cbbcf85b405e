"""A job and its episodes as a person reads them in a terminal; one `Text` a line, coloured where the terminal can.

What a guest or a model wrote passes through `shown` or `shown_lines`. Long outputs are folded: their head, how many lines
are left out, their tail.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from runner.budget.limits import format_remaining
from runner.records.episode import ToolCall
from runner.records.events import (
    BudgetEvent,
    EndEvent,
    NoteEvent,
    RequestEvent,
    ResponseEvent,
    SnapshotEvent,
    StartEvent,
    ToolResultEvent,
    TurnEvent,
)
from runner.records.run import JobConfig, Totals
from runner.report.console import total_lines
from runner.report.escape import shown, shown_lines
from runner.report.run_view import RunSummary, summary_of, table_lines
from runner.store.jobs import StoredJob
from runner.store.transcript import Entry, Step, Transcript, transcript_or_reason

LINES = 12  # chosen: an output's head and tail on a part of a screen
WIDE = 100  # chosen: columns of a rule between turns
DIM, HEAD, COMMAND, GOOD, BAD, DOUBT, THOUGHT = "dim", "bold", "cyan", "green", "red", "yellow", "dim italic"
Json = Mapping[str, Any]
Lines = Iterator[Text]


def summary_so_far(number: int, transcript: Transcript) -> RunSummary:
    """The line of a run that results.json does not have: it goes on, waits for its grading, or was killed."""
    end = transcript.first(EndEvent)
    spent = [event.spent.dollars for event in transcript.all(BudgetEvent)]
    return RunSummary(
        number=number,
        turns=end.turns if end is not None else len(transcript.all(TurnEvent)),
        dollars=end.dollars if end is not None else max(spent, default=0.0),
        seconds=end.seconds if end is not None else None,
        ending=end.ending if end is not None else "no end: it goes on, or was killed",
    )


def summary_in(job: StoredJob, number: int) -> RunSummary:
    """A run of a job as a row: what its record says, or, where it has none yet, its transcript, if that can be read."""
    if number in job.runs:
        return summary_of(job.runs[number])
    found = transcript_or_reason(job.transcripts[number])
    return RunSummary(number=number, ending=found) if isinstance(found, str) else summary_so_far(number, found)


# A job


def job_lines(
    name: str, config: JobConfig | None, totals: Totals | None, rows: Sequence[RunSummary], hit_rate: float | None
) -> Lines:
    """What was asked for, a line for each run, and what they came to."""
    yield from _config_lines(name, config, totals, rows)
    if hit_rate is not None:
        yield _field("cache", f"{100 * hit_rate:.1f}% of what was sent came from it")
    yield Text()
    yield from table_lines(rows)
    if totals is not None and config is not None:
        yield from total_lines(totals, config.runs)


def _config_lines(name: str, config: JobConfig | None, totals: Totals | None, rows: Sequence[RunSummary]) -> Lines:
    if config is None:
        yield Text(shown(f"Job {name}: no record of what was asked for"), HEAD)
        return
    by = f" ({config.model})" if config.model else ""
    yield Text(shown(f"Job {name}: {config.task}, scale {config.scale}, agent {config.agent}{by}"), HEAD)
    yield _field("started", f"{config.started[:19].replace('T', ' ')} UTC")
    yield _field("limits", format_remaining(config.limits) or "none")
    if config.dollars_max is not None:
        spent = max(totals.dollars if totals else 0.0, sum(row.dollars or 0.0 for row in rows))
        yield _field("cost", f"${spent:.4f} of at most ${config.dollars_max:.2f}")


def _field(name: str, value: str) -> Text:
    return Text.assemble((f"  {shown(name):9}", DIM), shown(value))


# An episode


def episode_lines(transcript: Transcript, most: int | None = LINES) -> Lines:
    """An episode from its start to its end.

    Args:
        most: lines of an output, a file or a thought that are shown; None: all.
    """
    started = transcript.first(StartEvent)
    if started is not None:
        yield from _start_lines(started)
    begun_at = _time(transcript.entries[0].at) if transcript.entries else None
    for step in transcript.steps:
        yield from _step_lines(step, begun_at, most)
    yield Text()
    over = transcript.first(EndEvent)
    if over is None:
        yield Text("No end: the episode goes on, or the runner was killed", DOUBT)
    else:
        yield Text(
            shown(f"End: {over.ending}, after {over.turns} turns, {over.calls} calls, {over.seconds:.1f} s"), HEAD
        )
    for line in transcript.unreadable:
        yield Text(shown(f"line {line.line} of {transcript.path.name} cannot be read: {line.why}"), DOUBT)


def _start_lines(started: StartEvent) -> Lines:
    by = f" ({started.model})" if started.model else ""
    yield Text(shown(f"Run {started.run}: {started.task}, played by {started.agent}{by}"), HEAD)
    yield _field("limits", format_remaining(started.limits) or "none")
    yield _field("image", started.image)


def _step_lines(step: Step, begun_at: datetime | None, most: int | None) -> Lines:
    """A turn; each of its calls stands right before its answer."""
    yield Text()
    if step.number is not None:
        yield _rule(f"Turn {step.number}", step, begun_at)
    spoken, waiting = False, list(step.turn.calls if step.turn is not None else ())
    for entry in step.entries:
        yield from _entry_lines(entry, most, spoken=spoken)
        spoken = spoken or isinstance(entry.event, TurnEvent)
        if waiting and isinstance(entry.event, TurnEvent | ToolResultEvent):
            yield from _call_lines(waiting.pop(0), most)
    for call in waiting:
        yield Text(shown(f"  not run: {call.tool}"), DOUBT)


def _rule(title: str, step: Step, begun_at: datetime | None) -> Text:
    at = _time(step.entries[0].at)
    after = f"at {(at - begun_at).total_seconds():.1f} s " if at is not None and begun_at is not None else ""
    return Text.assemble((f"── {title} ", HEAD), (after.ljust(WIDE - len(title) - 4, "─"), DIM))


def _time(at: str) -> datetime | None:
    try:
        return datetime.fromisoformat(at)
    except ValueError:
        return None


def _entry_lines(entry: Entry, most: int | None, *, spoken: bool) -> Lines:
    """One event, without the calls of a turn.

    Args:
        spoken: the turn's own event is past; before it, that event is still to say what an answer of the model says.
    """
    match entry.event:
        case RequestEvent(too_large=size) if size:
            yield Text(f"  a request of {size} bytes, which were not kept", DIM)
        case ResponseEvent() as response:
            yield from _reply_lines(response, most, spoken=spoken)
        case TurnEvent(say=say, ending=ending):
            yield from _said_lines(say)
            if ending:
                yield Text(shown(f"  the agent's own end: {ending}"), DOUBT)
        case ToolResultEvent() as result:
            yield from _answer_lines(result, most)
        case SnapshotEvent(sha256=sha256, bytes=size, stored_at=where):
            kept = f", kept as {where}" if where else ""
            yield Text(shown(f"  file changed: {size} bytes, {sha256[:12]}{kept}"), COMMAND)
        case BudgetEvent(left=left):
            yield Text(shown(f"  left: {format_remaining(left)}"), DIM)
        case NoteEvent(text=text):
            yield from (Text(f"  note: {line}", DOUBT) for line in _folded(shown_lines(text), most))
        case None:
            yield Text(shown(f"  {entry.kind}: {json.dumps(entry.raw)}"), DIM)


def _said_lines(text: str) -> Lines:
    """The agent's own words, whole."""
    if text:
        yield from map(Text, shown_lines(text, None))


def _reply_lines(replied: ResponseEvent, most: int | None, *, spoken: bool) -> Lines:
    for one in replied.tries:
        if one.error:
            yield Text(shown(f"  a try failed after {one.seconds:.1f} s (${one.dollars:.4f}): {one.error}"), BAD)
    for block in replied.content:
        match block.get("type"):
            case "thinking":
                thought = _folded(shown_lines(str(block.get("thinking", ""))), most)
                yield from (Text(f"  {line}", THOUGHT) for line in thought)
            case "redacted_thinking":
                yield Text("  (thinking that the vendor keeps to itself)", THOUGHT)
            case "text" if spoken:
                yield from _said_lines(str(block.get("text", "")))
            case "tool_use" if spoken:
                given = block.get("input")
                call = ToolCall("", str(block.get("name")), given if isinstance(given, dict) else {})
                yield from _call_lines(call, most)
    if replied.error:
        yield Text(shown(f"  no answer: {replied.error}"), BAD)
    usage = replied.usage_of_all
    if usage.total:
        rate = usage.cache_hit_rate or 0.0
        seconds = sum(one.seconds for one in replied.tries)
        tokens = f"{usage.sent} tokens sent ({100 * rate:.0f}% from the cache), {usage.output} written"
        yield Text(shown(f"  {tokens}, ${replied.dollars:.4f}, {seconds:.1f} s, {replied.stop_reason or '-'}"), DIM)


def _answer_lines(answer: ToolResultEvent, most: int | None) -> Lines:
    for line in _folded(shown_lines(answer.text, None if most is None else 1000), most):
        yield Text.assemble(("  │ ", DIM), (line, BAD if answer.is_error else ""))
    yield Text(f"  └ {'error, ' if answer.is_error else ''}{answer.seconds:.2f} s", BAD if answer.is_error else DIM)


# A call


def _call_lines(call: ToolCall, most: int | None) -> Lines:
    """A call as a person would type or edit it."""
    given = call.input
    if call.broken:
        yield _edit(call.tool)
        yield Text(shown(f"  its input is not a JSON object: {call.broken}"), BAD)
        return
    match call.tool:
        case "bash" if given.get("restart") is True:
            yield Text("$ (a new shell)", COMMAND)
        case "bash" | "command":
            yield from _command_lines(given, most)
        case "create":
            text = shown_lines(str(given.get("file_text", "")))
            yield _edit(f"create {given.get('path')} ({len(text)} lines)")
            yield from _marked("+", text, most, GOOD)
        case "str_replace":
            yield _edit(f"replace in {given.get('path')}")
            yield from _marked("-", shown_lines(str(given.get("old_str", ""))), most, BAD)
            yield from _marked("+", shown_lines(str(given.get("new_str", ""))), most, GOOD)
        case "insert":
            yield _edit(f"insert into {given.get('path')} after line {given.get('insert_line')}")
            yield from _marked("+", shown_lines(str(given.get("insert_text", ""))), most, GOOD)
        case "view":
            part = f" lines {given['view_range']}" if given.get("view_range") else ""
            yield _edit(f"view {given.get('path')}{part}")
        case "submit":
            yield _edit(f"submit {given.get('path')}")
        case other:
            yield _edit(f"{other} {json.dumps(given, ensure_ascii=False)}")


def _command_lines(given: Json, most: int | None) -> Lines:
    for place, line in enumerate(_folded(shown_lines(str(given.get("command", ""))), most)):
        yield Text(f"{'>' if place else '$'} {line}", COMMAND)
    if "timeout_s" in given:
        yield Text(shown(f"  (at most {given['timeout_s']} s)"), DIM)


def _edit(text: str) -> Text:
    return Text(f"✎ {shown(text)}", COMMAND)


def _marked(mark: str, lines: Sequence[str], most: int | None, style: str) -> Lines:
    """The first lines of a file's text."""
    head = lines if most is None or len(lines) <= most else lines[: max(1, most // 2)]
    yield from (Text(f"  {mark} {line}", style) for line in head)
    if len(head) < len(lines):
        yield Text(f"  {mark} ... {len(lines) - len(head)} more lines", DIM)


def _folded(lines: Sequence[str], most: int | None) -> list[str]:
    """The lines, or their head and tail with how many are left out between."""
    if most is None or len(lines) <= most:
        return list(lines)
    tail = most // 2
    head = most - tail
    left_out = f"... {len(lines) - most} more lines"
    return [*lines[:head], left_out, *lines[len(lines) - tail :]]
