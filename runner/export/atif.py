"""A transcript as a trajectory of the Agent Trajectory Interchange Format (ATIF), version 1.8. Pure.

One step for the system prompt, one for the task's instruction, one for each turn with its calls, their answers and what the
model used, one of the system for each note. A request that got no response is a step, too, so that the sums of the steps'
metrics are the trajectory's. Text that no file could hold (a lone surrogate) becomes a question mark.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from runner.records.episode import ToolCall, Usage
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
from runner.records.outcome import reward
from runner.records.run import Run
from runner.records.untrusted_json import sanitize
from runner.store.transcript import Entry, Step, Transcript

VERSION = "ATIF-v1.8"
_DATE = re.compile(r"[0-9W:.,+TZ-]+", re.ASCII)
Json = dict[str, Any]


def trajectory(transcript: Transcript, session: str, version: str, run: Run | None = None) -> Json:
    """The ATIF document of an episode.

    Args:
        session: names the episode among others: job/run_<i>.
        version: of the runner that played it.
        run: None where it has no verdict yet.
    """
    started = transcript.first(StartEvent) or StartEvent(run=0)
    steps = [{"step_id": number, **step} for number, step in enumerate(_steps(transcript, started), 1)]
    document: Json = sanitize(
        _present(
            schema_version=VERSION,
            session_id=session,
            trajectory_id=session,
            agent=_agent(transcript, started, version),
            steps=steps,
            notes=_notes(transcript),
            final_metrics=_final(transcript, steps, run),
            extra={"task": started.task, "image": started.image},
        )
    )
    return document


def _agent(transcript: Transcript, started: StartEvent, version: str) -> Json:
    tools = next((request.tools for request in transcript.all(RequestEvent) if request.tools), None)
    return _present(
        name=started.agent or "unknown",
        version=version,
        model_name=started.model or None,
        tool_definitions=[_tool(tool) for tool in tools] if tools else None,
    )


def _tool(tool: Json) -> Json:
    """A tool's JSON schema as a function's; a vendor's own type stays as it is."""
    if "input_schema" not in tool:
        return tool
    about = _present(name=tool.get("name"), description=tool.get("description"), parameters=tool["input_schema"])
    return {"type": "function", "function": about}


def _notes(transcript: Transcript) -> str | None:
    lines = [f"line {line.line} of the transcript cannot be read: {line.why}" for line in transcript.unreadable]
    if transcript.first(EndEvent) is None:
        lines.append("the transcript has no end")
    return "\n".join(lines) or None


# Steps


def _steps(transcript: Transcript, started: StartEvent) -> Iterator[Json]:
    asked = transcript.first(RequestEvent)
    at = valid_at(transcript.entries[0]) if transcript.entries else None
    if asked is not None and asked.system:
        yield _present(source="system", timestamp=at, message=text_of(asked.system))
    yield _present(source="user", timestamp=at, message=instruction_of(asked, started))
    for step in transcript.steps:
        yield from _turn_steps(step)


def instruction_of(asked: RequestEvent | None, started: StartEvent) -> str:
    """What the model was told first; of an agent that is not told in words, its hash."""
    first = asked.messages[0] if asked is not None and asked.messages else None
    told = text_of(first.get("content")) if first is not None else ""
    return told or f"[the instruction of task {started.task}, SHA-256 {started.instruction_sha256}]"


def text_of(content: Any) -> str:
    """The text of a message, or of a system prompt: a string, or blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list | tuple) else ()
    texts = [block.get("text") for block in blocks if isinstance(block, Mapping) and block.get("type") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str))


def _turn_steps(step: Step) -> Iterator[Json]:
    """The agent's step, and the notes before and after it."""
    entries = step.entries
    place = next((n for n, entry in enumerate(entries) if isinstance(entry.event, TurnEvent)), len(entries))
    yield from _notes_among(entries[:place])
    if step.turn is not None or step.all(RequestEvent):
        yield _agent_step(step)
    yield from _notes_among(entries[place:])


def _notes_among(entries: Sequence[Entry]) -> Iterator[Json]:
    for entry in entries:
        if isinstance(entry.event, NoteEvent):
            note = entry.event
            yield _present(source="system", timestamp=valid_at(entry), message=note.text, extra=note.more or None)


def _agent_step(step: Step) -> Json:
    turn = step.turn
    replies = [reply for reply in step.all(ResponseEvent) if reply.tries]  # without a request that was never sent
    return _present(
        source="agent",
        timestamp=valid_at(step.entries[0]),
        message=turn.say if turn is not None else "",
        reasoning_content=thoughts_of(replies),
        tool_calls=[_call(call) for call in turn.calls] if turn is not None and turn.calls else None,
        observation=_observation(turn, step.all(ToolResultEvent)) if step.all(ToolResultEvent) else None,
        metrics=_metrics(replies) if replies else None,
        llm_call_count=sum(len(reply.tries) for reply in replies),
        extra=_extra(step, step.all(ResponseEvent)) or None,
    )


def thoughts_of(replies: list[ResponseEvent]) -> str | None:
    blocks = [block for reply in replies for block in reply.content if block.get("type") == "thinking"]
    return "\n".join(str(block.get("thinking", "")) for block in blocks) or None


def _call(call: ToolCall) -> Json:
    broken = {"broken": call.broken} if call.broken else None
    return _present(tool_call_id=call.id, function_name=call.tool, arguments=call.input, extra=broken)


def _observation(turn: TurnEvent | None, answers: list[ToolResultEvent]) -> Json:
    """One result for each answer; one that belongs to no call of the turn names none."""
    ids = {call.id for call in turn.calls} if turn is not None else set()
    return {
        "results": [
            _present(
                source_call_id=answer.call if answer.call in ids else None,
                content=answer.text,
                extra=_present(is_error=answer.is_error, seconds=answer.seconds, exit_status=answer.exit_status),
            )
            for answer in answers
        ]
    }


def _metrics(replies: list[ResponseEvent]) -> Json:
    """Of all tries: those that failed halfway were paid for, too."""
    usage: Usage = sum((reply.usage_of_all for reply in replies), Usage())
    attempts = [attempt for reply in replies for attempt in reply.tries]
    return {
        "prompt_tokens": usage.sent,
        "completion_tokens": usage.output,
        "cached_tokens": usage.cache_read,
        "cost_usd": sum(reply.dollars for reply in replies),
        "extra": {
            "cache_write_tokens": usage.cache_write,
            "seconds": sum(attempt.seconds for attempt in attempts),
            "tries_failed": sum(bool(attempt.error) for attempt in attempts),
            "request_ids": [attempt.request_id for attempt in attempts if attempt.request_id],
        },
    }


def _extra(step: Step, replies: list[ResponseEvent]) -> Json:
    changed, left = step.all(SnapshotEvent), step.all(BudgetEvent)
    return _present(
        turn=step.number,
        stop_reason=replies[-1].stop_reason or None if replies else None,
        error=next((reply.error for reply in replies if reply.error), None),
        ending=step.turn.ending or None if step.turn is not None else None,
        file_sha256=changed[-1].sha256 if changed else None,
        turns_left=left[-1].left.turns if left else None,
    )


def valid_at(entry: Entry) -> str | None:
    """When it was; None where the line does not say so in the form that the format asks for."""
    return entry.at if is_date(entry.at) else None


def is_date(text: str) -> bool:
    """Whether a text is a date and time as ISO 8601 writes them; Python's reader also takes others, such as with a slash."""
    try:
        return bool(datetime.fromisoformat(text)) and _DATE.fullmatch(text) is not None
    except ValueError:
        return False


# The whole


def _final(transcript: Transcript, steps: list[Json], run: Run | None) -> Json:
    metrics = [step["metrics"] for step in steps if "metrics" in step]
    over = transcript.first(EndEvent)
    speedup = run.speedup if run is not None else None
    extra = _present(
        ending=over.ending if over is not None else None,
        seconds=over.seconds if over is not None else None,
        outcome=run.outcome.kind.value if run is not None else None,
        reward=reward(run.outcome) if run is not None else None,
        speedup=speedup.estimate if speedup is not None else None,
    )
    return {
        "total_prompt_tokens": sum(step_metrics["prompt_tokens"] for step_metrics in metrics),
        "total_completion_tokens": sum(step_metrics["completion_tokens"] for step_metrics in metrics),
        "total_cached_tokens": sum(step_metrics["cached_tokens"] for step_metrics in metrics),
        "total_cost_usd": sum(step_metrics["cost_usd"] for step_metrics in metrics),
        "total_steps": len(steps),
        "extra": extra,
    }


def _present(**fields: Any) -> Json:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
