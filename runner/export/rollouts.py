"""An episode as one line for a trainer: the conversation as chat completions have it, and what it was worth. Pure."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from runner.export.atif import trajectory
from runner.records.outcome import reward
from runner.records.run import Run
from runner.records.untrusted_json import sanitize
from runner.store.transcript import Transcript

NAME = "rollouts.jsonl"
Json = dict[str, Any]


def rollout(transcript: Transcript, session: str, version: str, run: Run | None = None) -> Json:
    """The conversation and the reward of an episode.

    Args:
        session: names the episode among others: job/run_<i>.
        version: of the runner that played it.
        run: None where it has no verdict yet.

    Returns:
        `reward` is None where there is no verdict, or the host spoiled it, and `reason` says why: leave such a line out, and
        never take it for 0.
    """
    whole = trajectory(transcript, session, version, run)
    answered = {step.number for step in transcript.steps if step.turn is not None}
    speedup = run.speedup if run is not None else None
    line: Json = sanitize(
        {
            "rollout": session,
            "task": whole["extra"]["task"],
            "model": whole["agent"].get("model_name"),
            "messages": [message for step in whole["steps"] if _is_said(step, answered) for message in _messages(step)],
            "tools": whole["agent"].get("tool_definitions", []),
            "reward": reward(run.outcome) if run is not None else None,
            "outcome": run.outcome.kind.value if run is not None else None,
            "reason": run.outcome.reason if run is not None else "it has no verdict yet",
            "speedup": speedup.estimate if speedup is not None else None,
            "low": speedup.low if speedup is not None else None,
            "high": speedup.high if speedup is not None else None,
        }
    )
    return line


def _is_said(step: Mapping[str, Any], answered: Collection[int | None]) -> bool:
    """Whether it is part of the conversation: a request that nobody answered is a step of the trajectory, and no message."""
    return step["source"] != "agent" or step["extra"].get("turn") in answered


def _messages(step: Mapping[str, Any]) -> Iterator[Json]:
    """A step of the trajectory as messages; the runner's own notes are no part of the conversation."""
    if step["source"] == "system":
        if step["step_id"] == 1:
            yield {"role": "system", "content": step["message"]}
        return
    if step["source"] == "user":
        yield {"role": "user", "content": step["message"]}
        return
    calls = [_call(call) for call in step.get("tool_calls", ())]
    yield {"role": "assistant", "content": step["message"], **({"tool_calls": calls} if calls else {})}
    for result in step.get("observation", {}).get("results", ()):
        if "source_call_id" in result:
            yield {"role": "tool", "tool_call_id": result["source_call_id"], "content": result["content"]}


def _call(call: Mapping[str, Any]) -> Json:
    """The arguments as the model wrote them, also where these are no JSON."""
    given = call.get("extra", {}).get("broken") or json.dumps(call["arguments"], ensure_ascii=False)
    return {
        "id": call["tool_call_id"],
        "type": "function",
        "function": {"name": call["function_name"], "arguments": given},
    }
