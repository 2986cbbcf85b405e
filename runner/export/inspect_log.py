"""A job as a log of Inspect AI, version 2 of its `.eval`: a ZIP of JSON, which this writes without the package itself. Pure.

Three kinds of member: header.json (the log without its samples), summaries.json, and a file for each sample. A task is a
dataset of one sample, and a run is an epoch of it. A host's fault is the sample's error, an inconclusive run has no score:
neither says anything about the agent. Text that no file could hold (a lone surrogate) becomes a question mark.
"""

import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from runner.export.atif import instruction_of, is_date, text_of, thoughts_of, valid_at
from runner.records.episode import EndReason, Limit, Limits, ToolCall, Usage
from runner.records.events import (
    EndEvent,
    NoteEvent,
    RequestEvent,
    ResponseEvent,
    StartEvent,
    ToolResultEvent,
    TurnEvent,
)
from runner.records.outcome import OutcomeKind, reward
from runner.records.run import JobConfig, Run
from runner.records.untrusted_json import sanitize
from runner.store.transcript import Step, Transcript

# The version whose reader the tests hold this to (tests/export/test_inspect_log.py); its log format is version 2.
INSPECT_VERSION = "0.3.285"
SCORER = "runner"
ID_LENGTH = 22  # characters; Inspect's own ids (shortuuid) have as many
NAME_MAX = (
    80  # characters of a task's name in names of files; chosen: with date and id far under what file systems take
)
THIN_MAX = 1024  # characters of a text in the summaries; Inspect's own bound
NEVER = "1970-01-01T00:00:00+00:00"  # of a job that does not say when it started; the format asks for a date
Json = dict[str, Any]

# What Inspect calls a limit.
_LIMITS: Mapping[str, str] = {
    Limit.TURNS: "turn",
    Limit.OUTPUT_TOKENS: "token",
    Limit.TOKENS: "token",
    Limit.DOLLARS: "cost",
    Limit.WALL_CLOCK: "time",
    Limit.WORKING_TIME: "working",
    Limit.JOB_DOLLARS: "cost",
    EndReason.CONTEXT_WINDOW: "context",
}


def log_bytes(config: JobConfig, runs: Iterable[tuple[Run, Transcript | None]], version: str) -> bytes:
    """The file's content.

    Args:
        runs: each with its transcript; None where it left none. One is done with before the next is asked for.
        version: of the runner that played the job.
    """
    summaries, graded = [], []
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for run, transcript in runs:
            sample = _sample(config, run, transcript)
            _add(archive, f"samples/{sample['id']}_epoch_{sample['epoch']}.json", sample)
            summaries.append(_summary(sample))
            graded.append(run)
            del sample, transcript  # before the next one is read: a transcript may have many megabytes
        _add(archive, "summaries.json", summaries)
        _add(archive, "header.json", _header(config, graded, version))
    return written.getvalue()


def log_name(config: JobConfig) -> str:
    """The file's name as Inspect makes it, since it reads date, task and id from there: <date>_<task>_<id>.eval."""
    at = re.sub(r"\.\d+", "", _started(config)).replace(":", "-")
    return f"{at}_{re.sub('[^0-9A-Za-z]+', '-', config.task)[:NAME_MAX]}_{_id(config.name, config.started)}.eval"


def _sample_id(config: JobConfig) -> str:
    """The task's name; names in the archive are made of it, so nothing in it leads out of there or cuts one short."""
    return re.sub(r"[^0-9A-Za-z._-]+", "-", config.task)[:NAME_MAX].lstrip(".") or "task"


def _add(archive: zipfile.ZipFile, name: str, content: Any) -> None:
    entry = zipfile.ZipInfo(name)  # its date is always the same, so that the same job gives the same bytes
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, json.dumps(sanitize(content), ensure_ascii=False, allow_nan=False))


def _id(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:ID_LENGTH]


def _started(config: JobConfig) -> str:
    """When the job started; a record that gives no date must not make the whole log unreadable."""
    try:
        return config.started if is_date(config.started) and datetime.fromisoformat(config.started).tzinfo else NEVER
    except ValueError:
        return NEVER


def _model(config: JobConfig) -> str:
    """The model's name; of an agent without one, the agent's, where Inspect has `none/none`."""
    return config.model or f"none/{config.agent}"


# The whole


def _header(config: JobConfig, runs: Sequence[Run], version: str) -> Json:
    return {
        "version": 2,
        "status": "success" if len(runs) >= config.runs else "cancelled",
        "eval": _eval(config, runs, version),
        "plan": {"name": "plan", "steps": [{"solver": config.agent, "params": {}}], "config": {}},
        "results": _results(runs),
        "stats": {
            "started_at": _started(config),
            "completed_at": "",
            "model_usage": _usage(config, sum((r.episode.usage for r in runs if r.episode), Usage()), _dollars(runs)),
        },
    }


def _eval(config: JobConfig, runs: Sequence[Run], version: str) -> Json:
    return {
        "run_id": _id(config.name, config.started),
        "created": _started(config),
        "task": config.task,
        "task_id": _id(config.task, config.task_digest),
        "task_version": config.task_digest,
        "task_args": {"scale": config.scale, "target": config.target},
        "solver": config.agent,
        "dataset": {"name": config.task, "samples": 1, "sample_ids": [_sample_id(config)], "shuffled": False},
        "model": _model(config),
        "config": {"epochs": max(1, len(runs)), "max_sandboxes": config.concurrency or None, **_limits(config.limits)},
        "packages": {"runner": version},
        "metadata": {"job": config.name, "scale": config.scale},
    }


def _limits(limits: Limits) -> Json:
    """Those that Inspect has; its seconds are whole ones."""
    seconds = {"time_limit": limits.wall_s, "working_limit": limits.working_s}
    return {"token_limit": limits.tokens, "cost_limit": limits.dollars} | {
        name: math.ceil(value) if value is not None else None for name, value in seconds.items()
    }


def _results(runs: Sequence[Run]) -> Json:
    rewards = [value for run in runs if (value := reward(run.outcome)) is not None]
    metrics = {"mean": {"name": "mean", "value": sum(rewards) / len(rewards)}} if rewards else {}
    score = {
        "name": SCORER,
        "scorer": SCORER,
        "scored_samples": len(rewards),
        "unscored_samples": len(runs) - len(rewards),
        "metrics": metrics,
    }
    whole = sum(run.outcome.kind is not OutcomeKind.INFRASTRUCTURE for run in runs)
    return {"total_samples": len(runs), "completed_samples": whole, "scores": [score]}


def _dollars(runs: Sequence[Run]) -> float:
    return sum(run.episode.dollars for run in runs if run.episode is not None)


def _usage(config: JobConfig, usage: Usage, dollars: float) -> Json:
    """By the model's name; nothing for an agent without one."""
    if not config.model:
        return {}
    figures = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "total_tokens": usage.total,
        "input_tokens_cache_write": usage.cache_write,
        "input_tokens_cache_read": usage.cache_read,
        "total_cost": dollars,
    }
    return {_model(config): figures}


# A sample


def _sample(config: JobConfig, run: Run, transcript: Transcript | None) -> Json:
    messages = list(_messages(transcript)) if transcript is not None else []
    said = [message for message in messages if message["role"] == "assistant"]
    told = next((message["content"] for message in messages if message["role"] == "user"), f"task {config.task}")
    return {
        "id": _sample_id(config),
        "epoch": run.number,
        "input": told,
        "target": f"speed-up of {config.target:g}" if config.target is not None else "",
        "messages": messages,
        "output": _output(config, said[-1]) if said else {"model": _model(config), "choices": []},
        "scores": _scores(run),
        "metadata": _metadata(run, transcript),
        "model_usage": _usage(config, run.episode.usage, run.episode.dollars) if run.episode is not None else {},
        "uuid": _id(config.name, config.started, run.number),
        "error": _error(run),
        "limit": _limit(config, run),
        **_times(run, transcript),
    }


def _summary(sample: Json) -> Json:
    kept = ("id", "epoch", "input", "target", "scores", "model_usage", "started_at", "completed_at", "total_time",
            "working_time", "uuid")  # fmt: skip
    return {
        **{name: sample[name] for name in kept},
        "input": sample["input"][:THIN_MAX],
        "metadata": {name: value for name, value in sample["metadata"].items() if isinstance(value, str | int | float)},
        "error": sample["error"]["message"] if sample["error"] is not None else None,
        "limit": sample["limit"]["type"] if sample["limit"] is not None else None,
        "completed": True,
        "message_count": len(sample["messages"]),
    }


def _messages(transcript: Transcript) -> Iterator[Json]:
    asked = transcript.first(RequestEvent)
    if asked is not None and asked.system:
        yield {"role": "system", "content": text_of(asked.system)}
    yield {"role": "user", "content": instruction_of(asked, transcript.first(StartEvent) or StartEvent(run=0))}
    for step in transcript.steps:
        if step.turn is not None:
            yield _said(step, step.turn)
            calls = {call.id: call.tool for call in step.turn.calls}
            yield from (_answer(answer, calls) for answer in step.all(ToolResultEvent))


def _said(step: Step, turn: TurnEvent) -> Json:
    thoughts = thoughts_of([reply for reply in step.all(ResponseEvent) if reply.tries])
    content: Any = turn.say
    if thoughts:
        content = [{"type": "reasoning", "reasoning": thoughts}, {"type": "text", "text": turn.say}]
    calls = {"tool_calls": [_call(call) for call in turn.calls]} if turn.calls else {}
    return {"role": "assistant", "content": content, **calls}


def _call(call: ToolCall) -> Json:
    broken = {"parse_error": call.broken} if call.broken else {}
    return {"id": call.id, "function": call.tool, "arguments": call.input, "type": "function", **broken}


def _answer(answer: ToolResultEvent, calls: Mapping[str, str]) -> Json:
    error = {"error": {"type": "unknown", "message": answer.text}} if answer.is_error else {}
    about = {"tool_call_id": answer.call, "function": calls.get(answer.call)}
    return {"role": "tool", "content": answer.text, **about, **error}


def _output(config: JobConfig, message: Json) -> Json:
    stop = "tool_calls" if "tool_calls" in message else "stop"
    return {"model": _model(config), "choices": [{"message": message, "stop_reason": stop}]}


def _scores(run: Run) -> Json | None:
    value = reward(run.outcome)
    if value is None:
        return None
    speed, quality = run.speedup, run.grading.quality if run.grading is not None else None
    figures: Json = {"outcome": run.outcome.kind.value}
    if speed is not None:
        figures |= {"speedup": speed.estimate, "speedup_low": speed.low, "speedup_high": speed.high}
    if quality is not None:
        figures |= {"quality_name": quality.name, "quality": quality.candidate, "quality_baseline": quality.baseline}
    score = {"value": value, "answer": run.outcome.kind.value, "explanation": run.outcome.reason, "metadata": figures}
    return {SCORER: score}


def _metadata(run: Run, transcript: Transcript | None) -> Json:
    notes = [note.text for note in transcript.all(NoteEvent)] if transcript is not None else []
    unread = len(transcript.unreadable) if transcript is not None else 0
    about: Json = {"outcome": run.outcome.kind.value, "reason": run.outcome.reason}
    if run.episode is not None:
        about |= {"ending": run.episode.ending, "turns": run.episode.turns}
    if run.submission is not None:
        about["submission_sha256"] = run.submission.sha256
    return about | ({"notes": notes} if notes else {}) | ({"unreadable_lines": unread} if unread else {})


def _error(run: Run) -> Json | None:
    if run.outcome.kind is not OutcomeKind.INFRASTRUCTURE:
        return None
    return {"message": run.outcome.reason, "traceback": run.outcome.hint, "traceback_ansi": run.outcome.hint}


def _limit(config: JobConfig, run: Run) -> Json | None:
    """The limit that ended the episode; None where none did, and where Inspect has no such limit or no figure is known."""
    kind = _LIMITS.get(run.episode.ending) if run.episode is not None else None
    value = _limit_values(config).get(run.episode.ending) if run.episode is not None else None
    return {"type": kind, "limit": value} if kind is not None and value is not None else None


def _limit_values(config: JobConfig) -> dict[str, float | None]:
    limits = config.limits
    return {
        Limit.TURNS: limits.turns,
        Limit.OUTPUT_TOKENS: limits.output_tokens,
        Limit.TOKENS: limits.tokens,
        Limit.DOLLARS: limits.dollars,
        Limit.WALL_CLOCK: limits.wall_s,
        Limit.WORKING_TIME: limits.working_s,
        Limit.JOB_DOLLARS: config.dollars_max,
        EndReason.CONTEXT_WINDOW: config.context_tokens,
    }


def _times(run: Run, transcript: Transcript | None) -> Json:
    at = [at for entry in transcript.entries if (at := valid_at(entry))] if transcript is not None else []
    over = transcript.first(EndEvent) if transcript is not None else None
    return {
        "started_at": at[0] if at else None,
        "completed_at": at[-1] if at and over is not None else None,
        "total_time": run.episode.seconds if run.episode is not None else None,
        "working_time": run.episode.working_s if run.episode is not None else None,
    }
