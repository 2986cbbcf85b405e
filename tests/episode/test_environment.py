"""An episode as an environment: reset, step, and what every step leaves; a real sandbox, turns written here."""

import time
from typing import Any

import pytest

from runner.agents.protocol import Observation
from runner.budget.limits import BudgetExceeded
from runner.episode.environment import Episode, EpisodeResult
from runner.episode.loop import run_episode_loop
from runner.episode.tools import CALLS_PER_TURN_MAX
from runner.episode.workspace import workspace_files
from runner.faults import SandboxLost
from runner.records.episode import EndReason, Limit, Limits, ToolCall, Turn, Usage
from runner.records.events import event_to_json
from runner.sandbox.container import ExitCause, GuestExit, Sandbox
from runner.tasks.task import Task

FILE = "optimized_nbody.py"
RUIN = "chmod 000 /workspace; exit 1"  # there a shell would begin


class Noted:
    """An episode, and what it noted."""

    def __init__(self, sandbox: Sandbox, task: Task, **limits: Any) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.episode = Episode(
            sandbox,
            task,
            Limits(**{"turns": 50, **limits}),
            "Make it fast.",
            tuple(workspace_files(task, None)),
            lambda event: self.events.append((event.kind, event_to_json(event))),
        )

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for name, event in self.events if name == kind]


@pytest.fixture
def noted(sandbox: Sandbox, nbody: Task) -> Noted:
    return Noted(sandbox, nbody)


def bash(command: str, call_id: str = "1") -> ToolCall:
    return ToolCall(call_id, "bash", {"command": command})


def create(text: str) -> ToolCall:
    return ToolCall("c", "create", {"path": FILE, "file_text": text})


def test_reset_furnishes_and_step_answers_until_the_file_is_submitted(noted: Noted) -> None:
    first = noted.episode.reset()
    assert first.instruction == "Make it fast." and first.answers == () and first.left.turns == 50
    second = noted.episode.step(Turn("I look.", (bash("ls"), create("x = 1"))))
    assert isinstance(second, Observation) and "slow_nbody.py" in second.answers[0].text and second.left.turns == 49
    played = noted.episode.step(Turn("", (ToolCall("s", "submit", {"path": FILE}),)))
    assert isinstance(played, EpisodeResult) and played.submission is not None and played.submission.content == b"x = 1"
    assert played.summary.ending == "submitted" and (played.summary.turns, played.summary.calls) == (2, 3)


def test_the_file_is_kept_after_every_turn_that_changed_it_and_only_then(noted: Noted) -> None:
    noted.episode.reset()
    for command in ("true", f"echo a > {FILE}", "true", f"echo b > {FILE}", f"echo b > {FILE}", f"rm {FILE}"):
        noted.episode.step(Turn("", (bash(command),)))
    assert [(one.turn, one.content) for one in noted.episode.snapshots] == [(2, b"a\n"), (4, b"b\n")]
    assert [event["sha256"] for event in noted.of("snapshot")] == [one.sha256 for one in noted.episode.snapshots]


@pytest.mark.parametrize(
    "command",
    [f"ln -s /etc/passwd {FILE}", f"mkfifo {FILE}", f"mkdir {FILE}", f"head -c 10000000 /dev/zero > {FILE}"],
    ids=["a link", "a pipe", "a folder", "too large"],
)
def test_what_could_not_be_handed_in_is_no_snapshot(noted: Noted, command: str) -> None:
    noted.episode.reset()
    noted.episode.step(Turn("", (bash(command),)))
    assert noted.episode.snapshots == []


def test_every_call_gets_an_answer_also_one_that_is_not_run(noted: Noted) -> None:
    noted.episode.reset()
    calls = [bash("echo x", str(place)) for place in range(CALLS_PER_TURN_MAX + 3)]
    seen = noted.episode.step(Turn("", (ToolCall("b", "bash", {}, broken="<ls>"), *calls)))
    assert isinstance(seen, Observation) and [a.call_id for a in seen.answers] == ["b", *(c.id for c in calls)]
    assert seen.answers[0].is_error and "not a JSON object: <ls>" in seen.answers[0].text
    assert seen.answers[-1].is_error and "not run" in seen.answers[-1].text
    assert len(noted.of("answer")) == len(seen.answers)


@pytest.mark.parametrize(
    ("limits", "used", "ending"),
    [
        ({"turns": 1}, Usage(), "turns"),
        ({"output_tokens": 10}, Usage(output=10), "output tokens"),
        ({"tokens": 10}, Usage(input=5, cache_read=5), "tokens"),
        ({"dollars": 0.5}, Usage(), "dollars"),
        ({"wall_s": 0.3}, Usage(), "wall clock"),
        ({"working_s": 0.3}, Usage(), "working time"),
    ],
)
def test_a_limit_ends_the_episode_by_its_name_and_the_file_is_kept(
    sandbox: Sandbox, nbody: Task, limits: dict[str, Any], used: Usage, ending: str
) -> None:
    noted, timed = Noted(sandbox, nbody, **limits), ending in ("wall clock", "working time")
    noted.episode.reset()
    noted.episode.meter.add(used, dollars=0.5)
    began = time.monotonic()
    played = noted.episode.step(Turn("", (bash(f"printf 'x = 1' > {FILE}; sleep 0.5"), bash("sleep 120"))[: 1 + timed]))
    assert isinstance(played, EpisodeResult) and played.summary.ending == ending and time.monotonic() - began < 60
    assert [one.content for one in played.snapshots] == [b"x = 1"] and played.submission is None


def test_a_ruined_sandbox_is_told_once_and_the_file_can_still_be_submitted(noted: Noted) -> None:
    noted.episode.extra["bash"] = lambda sandbox, call: GuestExit(ExitCause.RUINED, "no shell can be started")
    noted.episode.reset()
    told = noted.episode.step(Turn("", (create("x = 1"), bash("echo a"))))
    assert isinstance(told, Observation) and "no shell can be started" in told.answers[1].text
    played = noted.episode.step(Turn("", (ToolCall("s", "submit", {"path": FILE}),)))
    assert isinstance(played, EpisodeResult) and played.submission is not None and played.broken is None


@pytest.mark.parametrize("then", [Turn("", (bash("ls"),)), Turn("I am done.")], ids=["another command", "nothing"])
def test_a_ruined_sandbox_without_a_submission_is_called_that(ruinable: None, noted: Noted, then: Turn) -> None:
    noted.episode.reset()
    assert isinstance(noted.episode.step(Turn("", (bash(RUIN), bash("echo a")))), Observation)
    played = noted.episode.step(then)
    assert isinstance(played, EpisodeResult) and played.summary.ending == EndReason.SANDBOX_BROKEN
    assert played.broken is not None and "Permission denied" in played.broken.detail


def test_waiting_for_the_endpoint_is_no_working_time(noted: Noted) -> None:
    noted.episode.reset()
    noted.episode.step(Turn("", (bash("sleep 0.3"),)))
    noted.episode.meter.add(waited_s=0.25)
    spent = noted.episode.spent()
    assert 0.0 < spent.working_s < spent.wall_s - 0.2


def test_a_budget_that_ends_before_a_turn_ends_the_episode(noted: Noted) -> None:
    class Poor:
        def act(self, observation: Observation) -> Turn:
            raise BudgetExceeded(Limit.JOB_DOLLARS)

    played = run_episode_loop(noted.episode, Poor())
    assert played.summary.ending == Limit.JOB_DOLLARS and noted.of("end")[0]["ending"] == Limit.JOB_DOLLARS


def test_a_turn_that_goes_on_without_calls_does_not_end_the_episode(noted: Noted) -> None:
    noted.episode.reset()
    assert isinstance(noted.episode.step(Turn("cut off", goes_on=True)), Observation)
    played = noted.episode.step(Turn("no", ending="refusal"))
    assert isinstance(played, EpisodeResult) and played.summary.ending == "refusal"


def test_the_clocks_of_an_episode_that_could_not_be_furnished_say_what_is_true(sandbox: Sandbox, nbody: Task) -> None:
    noted = Noted(sandbox, nbody)
    noted.episode.files = (("../outside", b"x"),)
    with pytest.raises(SandboxLost):
        noted.episode.reset()
    assert noted.episode.close("infrastructure").summary.seconds < 60
