"""What an OpenEnv client says and is told on one connection, as text in and values out; `openenv_server` has the sockets.

The protocol is that of openenv 0.10: messages `reset`, `step`, `state` and `close`, answered by `observation`, `state` or
`error`. An action is a tool call (`call_tool`), `list_tools`, or an assistant's message with any number of calls; one
without calls ends the episode. A reward is a number, or null: where the host spoiled the episode or its grading, and where
nothing is graded yet. Null is never to be read as 0.
"""

import base64
import secrets
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.agents.protocol import Observation
from runner.episode.tools import schemas
from runner.faults import Fault, Interrupted
from runner.job.training import NOT_GRADED, Env, Step
from runner.records.untrusted_json import InvalidJson, check_size, parse_object

MESSAGE_BYTES_MAX = 8 * 1024 * 1024  # chosen: the largest text that a tool takes, with each byte escaped
VALUES_MAX = 200_000  # chosen: what each takes in memory does not depend on its text; a turn has some hundred
Message = dict[str, Any]


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Reset(_Message):
    """What `reset` understands; whatever else is in it (a row of a data set, say) is ignored, and named in the answer."""

    seed: Annotated[int, Field(ge=0, lt=2**128)] | None = None
    episode_id: Annotated[str, Field(max_length=255)] | None = None


class CallTool(_Message):
    """Call a tool of the episode."""

    type: Literal["call_tool"] = "call_tool"
    tool_name: Annotated[str, Field(max_length=128)]
    arguments: dict[str, Any] = Field(default_factory=dict)


class ListTools(_Message):
    """List the tools; this is no step."""

    type: Literal["list_tools"] = "list_tools"


class Say(_Message):
    """An assistant's message as the Messages API or chat completions have it; one without calls ends the episode."""

    model_config = ConfigDict(extra="allow")

    role: Literal["assistant"]


class Session:
    """One client's episodes, one after the other.

    Args:
        open_env: gives an environment whose sample data has this seed.
        about: said with every state: task, scale, reward.
    """

    def __init__(self, open_env: Callable[[int | None], Env], about: Message) -> None:
        self._open_env, self._about = open_env, about
        self._env: Env | None = None
        self._id, self._steps = "", 0
        self._done, self._reward = False, cast("float | None", None)

    def answer(self, text: str | bytes) -> Message | None:
        """What is sent back; None: the client wants to end.

        Raises:
            Interrupted: we are stopping.
        """
        try:
            content = text.encode("utf-8", "replace") if isinstance(text, str) else text
            check_size(content, values_max=VALUES_MAX)
            message = parse_object(content)
        except InvalidJson as error:
            return error_of("INVALID_JSON", f"the message is {error}")
        data = message.get("data", {})
        if not isinstance(data, dict):
            return error_of("VALIDATION_ERROR", "data is not an object")
        try:
            match message.get("type"):
                case "reset":
                    return self._reset(data)
                case "step":
                    return self._step(data)
                case "state":
                    return {"type": "state", "data": self._state()}
                case "close":
                    return None
                case other:
                    return error_of("UNKNOWN_TYPE", f"there are reset, step, state and close, no {str(other)[:40]!r}")
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False, include_context=False)
            return error_of("VALIDATION_ERROR", f"the data of {message['type']} do not fit", errors=wrong[:10])
        except Interrupted:
            raise
        except Fault as fault:
            return error_of("EXECUTION_ERROR", str(fault))
        except Exception as error:  # boundary: a client gets an answer, whatever its message brought about
            return error_of("EXECUTION_ERROR", f"the runner itself failed: {type(error).__name__}")

    def close(self) -> None:
        """End the sandbox; also a second time, and while a step is under way in another thread."""
        if self._env is not None:
            self._env.close()

    def _reset(self, data: Message) -> Message:
        asked = Reset.model_validate(data)
        ignored = sorted(set(data) - set(Reset.model_fields))[:20]
        self.close()
        self._env = self._open_env(asked.seed)
        observation = self._env.reset()
        self._id, self._steps = asked.episode_id or secrets.token_hex(8), 0
        metadata = {"left": asdict(observation.left), "ignored": ignored}
        return self._observed({"instruction": observation.instruction}, metadata, done=False, reward=None)

    def _step(self, data: Message) -> Message:
        if data.get("type") == "list_tools":
            ListTools.model_validate(data)
            return _observation({"tools": schemas()}, {}, done=self._done, reward=self._reward)
        if self._env is None:
            return error_of("EXECUTION_ERROR", "no episode has begun: send reset first")
        if "role" in data:
            Say.model_validate(data)
            step = self._env.step(data)
            return self._stepped(step, {"messages": [_told(answer) for answer in step.observation.answers]})
        call = CallTool.model_validate(data)
        step = self._env.step({"name": call.tool_name, "arguments": call.arguments})
        text = "\n".join(answer.text for answer in step.observation.answers)
        return self._stepped(step, {"tool_name": call.tool_name, "result": text, "error": None})

    def _stepped(self, step: Step, observation: Message) -> Message:
        self._steps += 1
        submission = self._env.submission if self._env is not None else None
        if submission is not None and "graded" not in step.info:
            content = base64.b64encode(submission.content).decode()
            observation["submission"] = {"sha256": submission.sha256, "base64": content}
        return self._observed(observation, _metadata(step), done=step.terminated or step.truncated, reward=step.reward)

    def _observed(self, observation: Message, metadata: Message, *, done: bool, reward: float | None) -> Message:
        self._done, self._reward = done, reward
        return _observation(observation, metadata, done=done, reward=reward)

    def _state(self) -> Message:
        said = {"episode_id": self._id or None, "step_count": self._steps, "done": self._done, "reward": self._reward}
        return said | self._about


def _told(answer: Any) -> Message:
    return {"id": answer.call_id, "text": answer.text, "is_error": answer.is_error}


def _observation(observation: Message, metadata: Message, *, done: bool, reward: float | None) -> Message:
    content = {**observation, "metadata": metadata}
    return {
        "type": "observation",
        "data": {"observation": content, "reward": reward, "done": done, "metadata": metadata},
    }


def _metadata(step: Step) -> Message:
    seen: Observation = step.observation
    said: Message = {
        "left": asdict(seen.left),
        "is_error": any(answer.is_error for answer in seen.answers),
        "facts": [answer.facts for answer in seen.answers],
        "truncated": step.truncated,
    }
    graded = step.info.get("graded")
    said |= {name: step.info[name] for name in ("ending", "reason", "outcome") if name in step.info}
    if said.get("reason") == NOT_GRADED:
        said["reason"] = "this server grades nothing: the submission is in the observation"
    if graded is not None:
        said |= {"speedup": graded.speedup, "low": graded.low, "high": graded.high}
    return said


def error_of(code: str, message: str, **more: Any) -> Message:
    """An answer that says what is wrong, by one of OpenEnv's codes."""
    return {"type": "error", "data": {"message": message, "code": code, **more}}


def json_schemas() -> Message:
    """Of actions, observations and states, as `/schema` shows them."""
    actions = [model.model_json_schema() for model in (CallTool, ListTools, Say)]
    observed = {"type": "object", "properties": {"metadata": {"type": "object"}}, "additionalProperties": True}
    state = {"type": "object", "properties": {"episode_id": {}, "step_count": {"type": "integer"}}}
    return {"action": {"anyOf": actions}, "observation": observed, "state": state}
