"""What is said to an OpenEnv client, whatever it sends; the socket and the real client are tested in tests/peers."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.agents.protocol import Observation
from runner.bridges.openenv_session import Session
from runner.faults import Interrupted, SandboxLost
from runner.job.actions import turn_of
from runner.job.rewards import Graded
from runner.job.training import NOT_GRADED, Step
from runner.records.episode import Limits, Submission, ToolResult
from runner.records.outcome import infrastructure

SUBMISSION = Submission(path="a.py", content=b"x = 1\n\xff")


class FakeEnv:
    """An environment that answers each step with what it was given, then goes on."""

    def __init__(self, steps: Iterator[Step | BaseException]) -> None:
        self.steps, self.submission, self.closed, self.actions = steps, None, 0, []

    def reset(self) -> Observation:
        return Observation("do it", (), Limits(turns=3))

    def step(self, action: Any) -> Step:
        self.actions.append(turn_of(action))
        said = next(self.steps, None) or going_on()
        if isinstance(said, BaseException):
            raise said
        return said

    def close(self) -> None:
        self.closed += 1


def going_on(reward: float | None = 0.0, *, done: bool = False, **info: Any) -> Step:
    seen = Observation("do it", (ToolResult("call-1", "text", is_error=False),), Limits(turns=2))
    return Step(seen, reward, terminated=done, truncated=False, info=info)


def session_of(*steps: Step | BaseException) -> tuple[Session, FakeEnv]:
    env = FakeEnv(iter(steps))
    return Session(lambda seed: env, {"task": "t"}), env  # type: ignore[arg-type, return-value]


def say(session: Session, kind: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    answer = session.answer(json.dumps({"type": kind} | ({} if data is None else {"data": data})))
    assert answer is not None
    return answer


BASH = {"type": "call_tool", "tool_name": "bash", "arguments": {"command": "true"}}


def test_a_reset_gives_the_instruction_and_names_what_it_ignores() -> None:
    answer = say(session_of()[0], "reset", {"seed": 1, "episode_id": "e", "prompt": "row", "answer": 2})
    assert answer["type"] == "observation" and answer["data"]["reward"] is None and not answer["data"]["done"]
    assert answer["data"]["observation"]["instruction"] == "do it"
    assert answer["data"]["metadata"]["ignored"] == ["answer", "prompt"]


def test_each_reset_ends_what_was_before_it() -> None:
    session, env = session_of()
    say(session, "reset")
    say(session, "reset")
    assert env.closed == 1


def test_a_step_before_the_first_reset_is_an_error_and_the_session_goes_on() -> None:
    session, _ = session_of()
    assert say(session, "step", BASH)["data"]["code"] == "EXECUTION_ERROR"
    say(session, "reset")
    assert say(session, "step", BASH)["data"]["observation"]["result"] == "text"
    assert say(session, "state")["data"] == {
        "episode_id": say(session, "state")["data"]["episode_id"],
        "step_count": 1,
        "done": False,
        "reward": 0.0,
        "task": "t",
    }


@pytest.mark.parametrize("reward", [None, 0.0, 1.0, -0.25])
def test_a_reward_that_the_host_spoiled_is_null_and_never_0(reward: float | None) -> None:
    outcome = infrastructure("the engine went away", "look at it")
    session, _ = session_of(going_on(reward, done=True, ending="submitted", reason="", graded=Graded(outcome, reward)))
    say(session, "reset")
    answer = say(session, "step", BASH)
    assert answer["data"]["done"] is True
    assert answer["data"]["reward"] == reward and (answer["data"]["reward"] is None) == (reward is None)
    assert '"reward": null' in json.dumps(say(session, "state")) or reward is not None


def test_a_submission_that_is_not_graded_is_handed_out() -> None:
    session, env = session_of(going_on(None, done=True, ending="submitted", reason=NOT_GRADED))
    say(session, "reset")
    env.submission = SUBMISSION
    answer = say(session, "step", BASH)
    assert answer["data"]["observation"]["submission"]["base64"] == "eCA9IDEK/w=="
    assert answer["data"]["metadata"]["reason"] == "this server grades nothing: the submission is in the observation"


def test_a_message_may_hold_several_calls_and_one_without_calls_ends_the_episode() -> None:
    session, env = session_of()
    say(session, "reset")
    calls = [{"id": str(n), "type": "function", "function": {"name": "bash", "arguments": "{}"}} for n in range(2)]
    say(session, "step", {"role": "assistant", "content": "both", "tool_calls": calls})
    say(session, "step", {"role": "assistant", "content": "done"})
    assert [(len(turn.calls), turn.say) for turn in env.actions] == [(2, "both"), (0, "done")]


def test_a_fault_is_an_answer_with_cause_and_hint_and_says_nothing_of_its_insides() -> None:
    fault, bug = SandboxLost(cause="the container went away", hint="look"), KeyError("/root/secret")
    session, _ = session_of(fault, bug)
    say(session, "reset")
    assert "the container went away (look)" in say(session, "step", BASH)["data"]["message"]
    assert "secret" not in json.dumps(say(session, "step", BASH))


def test_being_stopped_is_no_answer() -> None:
    session, _ = session_of(Interrupted())
    say(session, "reset")
    with pytest.raises(Interrupted):
        say(session, "step", BASH)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "INVALID_JSON"),
        ("[]", "INVALID_JSON"),
        (b"\xff", "INVALID_JSON"),
        ("[" * 10_000, "INVALID_JSON"),
        ('{"type": "state", "data": {"x": [' + "[]," * 200_000 + "0]}}", "INVALID_JSON"),
        ('{"type": "step", "data": {"tool_name": "bash", "arguments": {"timeout_s": 1e999}}}', "INVALID_JSON"),
        ('{"type": "nope"}', "UNKNOWN_TYPE"),
        ('{"type": ["step"]}', "UNKNOWN_TYPE"),
        ('{"type": "mcp", "data": {}}', "UNKNOWN_TYPE"),
        ('{"type": "reset", "data": 1}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"seed": -1}}', "VALIDATION_ERROR"),
        ('{"type": "step", "data": {"action": {}}}', "VALIDATION_ERROR"),
        ('{"type": "step", "data": {"type": "call_tool", "tool_name": 1}}', "VALIDATION_ERROR"),
        ('{"type": "step", "data": {"role": "system", "content": ""}}', "VALIDATION_ERROR"),
        ('{"type": "step", "data": {"role": "assistant", "content": 5}}', "EXECUTION_ERROR"),
        ('{"type": "step", "data": {"role": "assistant", "tool_calls": 5}}', "EXECUTION_ERROR"),
    ],
)  # fmt: skip
def test_what_is_no_message_has_the_code_of_its_kind(text: str | bytes, code: str) -> None:
    session, _ = session_of()
    say(session, "reset")
    answer = session.answer(text)
    assert answer is not None and (answer["type"], answer["data"]["code"]) == ("error", code)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(["reset", "step", "state", "mcp", 1, None])
CALLS = st.lists(st.fixed_dictionaries({"name": JSON, "input": JSON}))
FORMS = st.fixed_dictionaries(
    {},
    optional={
        "type": JSON | st.just("call_tool"),
        "role": JSON | st.just("assistant"),
        "tool_name": JSON,
        "arguments": JSON,
        "content": JSON,
        "tool_calls": JSON | CALLS,
        "seed": JSON,
    },
)


@given(st.text() | st.binary() | st.builds(lambda k, d: json.dumps({"type": k, "data": d}), KINDS, FORMS | JSON))
def test_whatever_comes_there_is_an_answer_that_can_be_sent(text: str | bytes) -> None:
    session, _ = session_of()
    say(session, "reset")
    answer = session.answer(text)
    assert answer is not None and answer["type"] in ("observation", "state", "error")
    json.dumps(answer, allow_nan=False).encode("ascii")
    assert "the runner itself failed" not in str(answer["data"].get("message"))
