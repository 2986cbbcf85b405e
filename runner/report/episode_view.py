"""A job and its episodes as a person reads them in a terminal; one `Text` a line, coloured where the terminal can.

What a guest or a model wrote passes through `shown` or `shown_lines`. Long outputs are folded: their head, how many lines
are left out, their tail.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.text import Text

from runner.budget.limits import in_words
from runner.records.episode import ToolCall
from runner.records.outcome import Inconclusive, Infrastructure, Passed
from runner.report.escape import shown, shown_lines
from runner.store.transcript import (
    BudgetEvent,
    EndEvent,
    Event,
    NoteEvent,
    RequestEvent,
    ResponseEvent,
    SnapshotEvent,
    StartEvent,
    Step,
    ToolResultEvent,
    Transcript,
    TurnEvent,
)

LINES = 12
WIDE = 100
DIM, HEAD, COMMAND, GOOD, BAD, DOUBT, THOUGHT = "dim", "bold", "cyan", "green", "red", "yellow", "dim italic"
Json = Mapping[str, Any]
Lines = Iterator[Text]


@dataclass(frozen=True, slots=True)
class Row:
    """A run in one line.

    Attributes:
        outcome: as results.json has it; empty while there is none.
        speedup: ratio; None where none was measured.
        ending: why its episode ended.
    """

    number: int
    outcome: str = ""
    speedup: float | None = None
    turns: int = 0
    dollars: float = 0.0
    ending: str = ""


def row_of(run: Json) -> Row:
    """The row of a run of results.json."""
    episode, speedup = run.get("episode") or {}, run.get("speedup") or {}
    return Row(
        number=int(run["number"]),
        outcome=str(run.get("outcome", "")),
        speedup=speedup.get("estimate"),
        turns=int(episode.get("turns", 0)),
        dollars=float(episode.get("dollars", 0.0)),
        ending=str(episode.get("ending", "")),
    )


def row_so_far(number: int, transcript: Transcript) -> Row:
    """The row of a run that results.json does not have: it goes on, waits for its grading, or was killed."""
    over, said = transcript.first(EndEvent), transcript.all(TurnEvent)
    ending = over.ending if over is not None else "no end: it goes on, or was killed"
    turns = over.turns if over is not None else len(said)
    spent = [one.spent.dollars for one in transcript.all(BudgetEvent)]
    return Row(number, "", None, turns, over.dollars if over is not None else max(spent, default=0.0), ending)


# A job


def job_lines(name: str, job: Json, totals: Json, rows: Sequence[Row], hit_rate: float | None) -> Lines:
    """What was asked for, what it came to, and a line for each run."""
    by = f" ({job['model']})" if job.get("model") else ""
    what = f"{job.get('task', '?')}, scale {job.get('scale', '?')}, played by {job.get('agent', '?')}{by}"
    yield Text(shown(f"Job {name}: {what}"), HEAD)
    yield _field("started", f"{job.get('started', '')[:19].replace('T', ' ')} UTC")
    yield _field("runs", _counts(job, totals, len(rows)))
    yield _field("limits", _limits(job.get("limits") or {}))
    yield _field("cost", _cost(job, totals, rows))
    if hit_rate is not None:
        yield _field("cache", f"{100 * hit_rate:.1f}% of what was sent came from it")
    if totals.get("seconds"):
        yield _field("time", f"{totals['seconds']:.0f} s")
    yield Text()
    yield Text(f"{'run':>4}  {'outcome':18} {'speed-up':>9} {'turns':>6} {'cost':>10}  ending", DIM)
    for row in rows:
        yield _row_line(row)


def _field(name: str, value: str) -> Text:
    return Text.assemble((f"  {shown(name):9}", DIM), shown(value))


def _counts(job: Json, totals: Json, known: int) -> str:
    asked, finished = job.get("runs", known), totals.get("runs", 0)
    rate = totals.get("pass_rate")
    words = [f"{finished} of {asked} finished"]
    if finished:
        words.append(f"{totals.get('passed', 0)} passed, {totals.get('failed', 0)} failed")
        words.append("no pass rate" if rate is None else f"pass rate {100 * rate:.1f}%")
    return "; ".join(words)


def _limits(limits: Json) -> str:
    told = [f"{value:g} {name.replace('_', ' ')}" for name, value in limits.items() if value is not None]
    return ", ".join(told) or "none"


def _cost(job: Json, totals: Json, rows: Sequence[Row]) -> str:
    spent = max(float(totals.get("dollars") or 0.0), sum(row.dollars for row in rows))
    most = job.get("dollars_max")
    return f"${spent:.4f}" + (f" of at most ${most:.2f}" if most is not None else "")


def _row_line(row: Row) -> Text:
    speedup = "-" if row.speedup is None else f"{row.speedup:.2f}x"
    return Text.assemble(
        f"{row.number:>4}  ",
        (f"{shown(row.outcome or 'no verdict yet'):18}", _colour(row.outcome)),
        f" {speedup:>9} {row.turns:>6} {f'${row.dollars:.4f}':>10}  {shown(row.ending)}",
    )


def _colour(outcome: str) -> str:
    if outcome == Passed.name:
        return GOOD
    return DOUBT if outcome in ("", Inconclusive.name, Infrastructure.name) else BAD


# An episode


def episode_lines(transcript: Transcript, most: int | None = LINES) -> Lines:
    """An episode from its start to its end.

    Args:
        most: lines of an output, a file or a thought that are shown; None: all.
    """
    started = transcript.first(StartEvent)
    if started is not None:
        yield from _start_lines(started)
    begun_at = _time(transcript.events[0].at) if transcript.events else None
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
    for line in transcript.unread:
        yield Text(shown(f"line {line.line} of {transcript.path.name} cannot be read: {line.why}"), DOUBT)


def _start_lines(started: StartEvent) -> Lines:
    by = f" ({started.model})" if started.model else ""
    yield Text(shown(f"Run {started.run}: {started.task}, played by {started.agent}{by}"), HEAD)
    yield _field("limits", in_words(started.limits) or "none")
    yield _field("image", started.image)


def _step_lines(step: Step, begun_at: datetime | None, most: int | None) -> Lines:
    """A turn; each of its calls stands right before its answer."""
    yield Text()
    if step.number is not None:
        yield _rule(f"Turn {step.number}", step, begun_at)
    spoken, waiting = False, list(step.said.calls if step.said is not None else ())
    for event in step.events:
        yield from _event_lines(event, most, spoken=spoken)
        spoken = spoken or isinstance(event.record, TurnEvent)
        if waiting and isinstance(event.record, TurnEvent | ToolResultEvent):
            yield from _call_lines(waiting.pop(0), most)
    for call in waiting:
        yield Text(shown(f"  not run: {call.tool}"), DOUBT)


def _rule(title: str, step: Step, begun_at: datetime | None) -> Text:
    at = _time(step.events[0].at)
    after = f"at {(at - begun_at).total_seconds():.1f} s " if at is not None and begun_at is not None else ""
    return Text.assemble((f"── {title} ", HEAD), (after.ljust(WIDE - len(title) - 4, "─"), DIM))


def _time(at: str) -> datetime | None:
    try:
        return datetime.fromisoformat(at)
    except ValueError:
        return None


def _event_lines(event: Event, most: int | None, *, spoken: bool) -> Lines:
    """One event, without the calls of a turn.

    Args:
        spoken: the turn's own event is past; before it, that event is still to say what an answer of the model says.
    """
    match event.record:
        case RequestEvent(too_large=size) if size:
            yield Text(f"  a request of {size} bytes, which were not kept", DIM)
        case ResponseEvent():
            yield from _reply_lines(event.record, most, spoken=spoken)
        case TurnEvent(say=say, ending=ending):
            yield from _said_lines(say)
            if ending:
                yield Text(shown(f"  the agent's own end: {ending}"), DOUBT)
        case ToolResultEvent():
            yield from _answer_lines(event.record, most)
        case SnapshotEvent(sha256=sha256, bytes=size, stored_at=where):
            kept = f", kept as {where}" if where else ""
            yield Text(shown(f"  file changed: {size} bytes, {sha256[:12]}{kept}"), COMMAND)
        case BudgetEvent(left=left):
            yield Text(shown(f"  left: {in_words(left)}"), DIM)
        case NoteEvent(text=text):
            yield from (Text(f"  note: {line}", DOUBT) for line in _folded(shown_lines(text), most))
        case None:
            yield Text(shown(f"  {event.kind}: {json.dumps(event.raw)}"), DIM)


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
        yield Text(shown(f"  its input is no JSON object: {call.broken}"), BAD)
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


# A verdict


def verdict_lines(run: Json) -> Lines:
    """What the run came to, and the states of its file where they were graded."""
    outcome = str(run.get("outcome", ""))
    yield Text(shown(f"Verdict: {outcome}: {run.get('reason', '')}"), f"{HEAD} {_colour(outcome)}")
    speedup, accuracy = run.get("speedup") or {}, run.get("accuracy") or {}
    if speedup.get("low") is not None and speedup.get("high") is not None:
        bounds = f"{speedup['low']:.2f}x to {speedup['high']:.2f}x in {speedup.get('rounds')} rounds"
        yield _field("speed-up", f"{speedup['estimate']:.2f}x, {bounds}")
    if accuracy.get("candidate") is not None and accuracy.get("baseline") is not None:
        yield _field("quality", f"{accuracy['candidate']:.4f}, the baseline's {accuracy['baseline']:.4f}")
    for finding in run.get("findings") or ():
        if finding.get("mark") != "pass":
            about = f":{finding['about']}" if finding.get("about") else ""
            yield _field(str(finding.get("mark")), f"{finding.get('check')}{about}: {finding.get('text')}")
    for name, value in ((run.get("episode") or {}).get("facts") or {}).items():
        yield _field("agent", f"{name}: {value}")
    if run.get("submission"):
        yield _field("file", str(run["submission"].get("stored_at") or run["submission"].get("path")))
    yield from curve_lines(run.get("snapshots") or ())


def curve_lines(snapshots: Sequence[Json]) -> Lines:
    """The best so far over turns, tokens and dollars; nothing where no state of the file was graded."""
    if not any(entry.get("outcome") for entry in snapshots):
        return
    yield Text()
    yield Text(f"{'turn':>6} {'tokens':>10} {'cost':>10}  {'outcome':18} {'speed-up':>9} {'best':>9}", DIM)
    for entry in snapshots:
        outcome, speedup = str(entry.get("outcome") or "not graded"), (entry.get("speedup") or {}).get("estimate")
        yield Text.assemble(
            f"{entry.get('turn', 0):>6} {entry.get('tokens', 0):>10} {_dollars(entry):>10}  ",
            (f"{shown(outcome):18}", _colour(outcome)),
            f" {_ratio(speedup):>9} {_ratio(entry.get('best_so_far')):>9}",
        )


def _dollars(entry: Json) -> str:
    return f"${entry.get('dollars', 0.0):.4f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"
