"""A transcript plays again in a real sandbox: the same answers where nothing varies, and every difference said."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.agents.adapter import AgentAdapter
from runner.agents.protocol import Agent, AgentContext, Observation
from runner.agents.replay import Replay, first_difference, make_replay
from runner.agents.scripted import Scripted
from runner.budget.clock import SystemClock
from runner.budget.limits import EpisodeEnded
from runner.faults import InfrastructureFault, UsageFault
from runner.job.run_episode import EndedEpisode, EpisodeConfig, run_episode
from runner.records.episode import Limits, ToolCall, ToolResult, Turn
from runner.records.events import EndEvent, Event, EventSink, NoteEvent, StartEvent, ToolResultEvent, event_to_json
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.tasks.task import Task
from tests.fakes.messages_server import MalformedToolJson, MessagesServer, call, text

Play = Callable[[Callable[[AgentContext], Agent], Path], EndedEpisode]
FILE = "optimized_nbody.py"


def bash(number: int, command: str) -> ToolCall:
    return ToolCall(f"toolu_{number}", "bash", {"command": command})


TEN = (
    Turn("I look.", (bash(1, "pwd; ls; seq 3000"), ToolCall("toolu_1v", "view", {"path": "slow_nbody.py"}))),
    Turn("A file.", (ToolCall("toolu_2", "create", {"path": FILE, "file_text": "x = 1\ny = 2\n"}),)),
    Turn("State of the shell.", (bash(3, "cd /tmp; v=7; f() { echo f$1; }"),)),
    Turn("It stays.", (bash(4, "pwd; echo $v; f 3; false"),)),
    Turn("Wrong calls.", (ToolCall("toolu_5", "made_up", {}), ToolCall("toolu_5b", "bash", {}, broken='{"comm'))),
    Turn("Cut off.", goes_on=True),
    Turn("An edit.", (ToolCall("toolu_7", "str_replace", {"path": FILE, "old_str": "y = 2", "new_str": "y = 3"}),)),
    Turn("A line.", (ToolCall("toolu_8", "insert", {"path": FILE, "insert_line": 1, "insert_text": "z = 0"}),)),
    Turn("A new shell.", (ToolCall("toolu_9", "bash", {"restart": True}), bash(10, "pwd; cat " + FILE))),
    Turn("That is it.", (ToolCall("toolu_11", "submit", {"path": FILE}),)),
)


@pytest.fixture
def play(fleet: Fleet, nbody_spec: SandboxSpec, nbody: Task) -> Play:
    """Play one episode in a container, without its grading, and write its transcript."""
    cpuset = all_cpus(fleet.engine)
    files = (("slow_nbody.py", nbody.baseline),)
    stage = EpisodeConfig(fleet, nbody_spec, Limits(turns=30), "Make it fast.", files, cpuset, SystemClock())

    def played(make: Callable[[AgentContext], Agent], path: Path) -> EndedEpisode:
        def emit(event: Event) -> None:
            with path.open("a") as file:
                file.write(json.dumps(event_to_json(event)) + "\n")

        emit(StartEvent(run=1, task="slow_nbody"))
        return run_episode(stage, AgentContext(nbody, 1, emit), make, lambda snapshot: "")

    return played


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def differences(path: Path) -> list[dict[str, Any]]:
    return [event["difference"] for event in events(path) if "difference" in event]


def facts(ended: EndedEpisode) -> dict[str, Any]:
    assert ended.run.episode is not None
    return dict(ended.run.episode.facts)


def test_ten_turns_play_again_without_a_difference(play: Play, tmp_path: Path) -> None:
    first, again = tmp_path / "first.jsonl", tmp_path / "again.jsonl"
    before = play(lambda assignment: Scripted(list(TEN)), first)
    after = play(make_replay(first), again)
    assert differences(again) == []
    assert facts(after)["differences"] == 0 and facts(after)["answers_compared"] == 12
    assert (facts(after)["turns_replayed"], facts(after)["turns_recorded"]) == (10, 10)
    assert after.submission == before.submission and after.submission is not None
    assert after.run.episode is not None and (after.run.episode.ending, after.run.episode.turns) == ("submitted", 10)
    assert after.run.episode.dollars == 0.0
    assert facts(before) == {}


@pytest.mark.parametrize(
    ("old", "new", "line", "recorded", "now"),
    [
        ("/tmp\\n7\\nf3", "/tmp\\n8\\nf3", 2, "8", "7"),
        (
            "submitted optimized_nbody.py (18",
            "submitted optimized_nbody.py (19",
            1,
            "submitted .* .19 ",
            "submitted .* .18 ",
        ),
    ],
)
def test_a_transcript_that_was_tampered_with_shows_exactly_that_difference(
    play: Play, tmp_path: Path, old: str, new: str, line: int, recorded: str, now: str
) -> None:
    first, again = tmp_path / "first.jsonl", tmp_path / "again.jsonl"
    play(lambda assignment: Scripted(list(TEN)), first)
    written = first.read_text()
    assert written.count(old) == 1
    first.write_text(written.replace(old, new))
    ended = play(make_replay(first), again)
    (found,) = differences(again)
    assert facts(ended)["differences"] == 1 and found["line"] == line
    assert re.match(recorded, found["recorded"]) and re.match(now, found["now"])
    assert found["recorded_sha256"] != found["now_sha256"]
    (note,) = (event for event in events(again) if "difference" in event)
    assert "replay differs in turn" in note["text"] and found["call"] in note["text"]


def test_a_file_that_comes_out_otherwise_is_a_difference_though_no_answer_shows_it(play: Play, tmp_path: Path) -> None:
    turns = [Turn("Dice.", (bash(1, f"head -c 8 /dev/urandom | od > {FILE}"),)), Turn("Over.")]
    first, again = tmp_path / "first.jsonl", tmp_path / "again.jsonl"
    play(lambda assignment: Scripted(turns), first)
    play(make_replay(first), again)
    (found,) = differences(again)
    assert found["file"] is True and found["turn"] == 1


def test_a_models_job_plays_again_by_its_folder_for_nothing(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    script = [
        [text("I look."), call("bash", "toolu_a", command="pwd; ls"), call("view", "toolu_b", path="nowhere.py")],
        [call("bash", "toolu_c", command="date +%s%N")],
        [call("bash", "toolu_d", command="echo")],
        [text("enough.")],
    ]
    small = ("--task", "slow_nbody", "--scale", "small", "--output", str(tmp_path))
    with MessagesServer(script, faults=[None, None, None, MalformedToolJson()]) as server:
        environment = {"ANTHROPIC_API_KEY": "sk-test", "ANTHROPIC_BASE_URL": server.url, "NO_PROXY": "127.0.0.1"}
        cli_ungraded("--runs", "1", *small, "--agent", "model", "--name", "m", env=environment)
    done = cli_ungraded("--runs", "2", *small, "--agent", f"replay:{tmp_path / 'latest'}", "--name", "again")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "again" / "results.json").read_text())
    found = [run["episode"]["facts"] for run in results["runs"]]
    assert [(one["differences"], one["answers_compared"], one["turns_replayed"]) for one in found] == [(1, 4, 4)] * 2
    assert results["totals"]["dollars"] == 0.0 and results["runs"][1]["episode"]["ending"] == "ended"
    assert done.stdout.count("ℹ Agent: differences 1, answers_compared 4") == 2
    ignoring = ("--replay-ignore", r"\d{19}", "--name", "ignoring")
    done = cli_ungraded("--runs", "1", *small, "--agent", f"replay:{tmp_path / 'm' / 'run_1'}", *ignoring)
    assert "ℹ Agent: differences 0, answers_compared 4" in done.stdout


@pytest.mark.parametrize(
    ("agent", "more", "cause"),
    [
        ("replay:nowhere", (), "there is no transcript in"),
        ("replay:RECORDING", ("--task", "slow_ml_training_complex"), "is of task slow_nbody"),
        ("replay:RECORDING", ("--task", "slow_nbody", "--replay-ignore", "("), "is not a regular expression"),
        ("replay:EMPTY", ("--task", "slow_nbody"), "holds no turn"),
    ],
)
def test_what_cannot_be_replayed_is_told_before_the_start(
    in_process: Callable[..., CompletedProcess[str]], tmp_path: Path, agent: str, more: Sequence[str], cause: str
) -> None:
    recording, empty = tmp_path / "recording.jsonl", tmp_path / "empty.jsonl"
    lines = [{"event": "start", "run": 1, "task": "slow_nbody"}, {"event": "turn", "turn": 1, "say": "", "calls": []}]
    recording.write_text("".join(json.dumps(line) + "\n" for line in lines))
    empty.write_text("")
    name = agent.replace("RECORDING", str(recording)).replace("EMPTY", str(empty))
    done = in_process("--runs", "1", "--agent", name, *more, "--output", str(tmp_path / "out"))
    assert done.returncode == 2 and cause in done.stderr and not (tmp_path / "out").exists()


# Without a container


@dataclass
class OfSomebody:
    """An agent that listens to its episode, and says something of itself."""

    facts: Any
    on_event: EventSink

    def act(self, observation: Observation) -> Turn:
        return Turn("")


def guarded(nbody: Task, facts: Any, on_event: EventSink = lambda event: None) -> AgentAdapter:
    return AgentAdapter(lambda assignment: OfSomebody(facts, on_event), AgentContext(nbody, 1))


def nested(levels: int) -> dict[str, Any]:
    return {"in": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize("facts", [{"x": float("nan")}, 7, {("a",): 1}, nested(600), {"n": 10**400}], ids=range(5))
def test_facts_that_no_file_can_hold_spoil_no_run(nbody: Task, facts: Any) -> None:
    assert list(guarded(nbody, facts).facts) == ["unreadable"]
    assert guarded(nbody, {"path": Path("x"), "n": 1}).facts == {"path": "x", "n": 1}


def test_an_agent_hears_what_goes_to_its_transcript_and_a_mistake_in_it_is_its_own(nbody: Task) -> None:
    heard: list[Event] = []
    written: list[Event] = []
    emit = guarded(nbody, {}, heard.append).with_events(written.append)
    emit(NoteEvent(text="x"))
    assert heard == written == [NoteEvent(text="x")]
    wrong = guarded(nbody, {}, lambda event: heard.remove(EndEvent(ending="nothing"))).with_events(written.append)
    with pytest.raises(InfrastructureFault, match="OfSomebody"):
        wrong(NoteEvent(text="x"))


def test_an_agent_that_was_written_for_the_version_before_hears_kinds_and_objects(nbody: Task) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []

    class Old:
        def act(self, observation: Observation) -> Turn:
            return Turn("")

        def heard(self, kind: str, event: dict[str, Any]) -> None:
            heard.append((kind, event))

    AgentAdapter(lambda context: Old(), AgentContext(nbody, 1)).with_events(lambda event: None)(
        EndEvent(ending="submitted", turns=2)
    )
    assert heard[0][0] == "end" and (heard[0][1]["ending"], heard[0][1]["turns"]) == ("submitted", 2)


class Told:
    """A replay that is driven by hand, and what it noted."""

    def __init__(self, nbody: Task, tmp_path: Path, *lines: dict[str, Any]) -> None:
        path = tmp_path / "recording.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.notes: list[dict[str, Any]] = []
        made = make_replay(path)(AgentContext(nbody, 1, lambda event: self.notes.append(event_to_json(event))))
        assert isinstance(made, Replay)
        self.agent = made

    def act(self, *answers: ToolResult) -> Turn:
        return self.agent.act(Observation("", answers, Limits()))


def recorded(turn: int, *calls: str) -> dict[str, Any]:
    named = [{"id": call, "tool": "bash", "input": {"command": call}} for call in calls]
    return {"event": "turn", "turn": turn, "say": f"turn {turn}", "calls": named}


def answer(call: str, text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"event": "answer", "call": call, "text": text, "is_error": is_error}


BUDGET = {"event": "budget", "turn": 1}


def test_whoever_drives_it_has_its_answers_compared_once(nbody: Task, tmp_path: Path) -> None:
    told = Told(nbody, tmp_path, recorded(1, "a", "b"), answer("a", "1"), answer("b", "2"), BUDGET, recorded(2))
    assert told.act().calls[0].input == {"command": "a"}
    told.agent.on_event(ToolResultEvent(call="a", text="1", is_error=False))
    told.act(ToolResult("a", "1", is_error=False), ToolResult("b", "2", is_error=True))
    assert (told.agent.compared, told.agent.differences) == (2, 1)
    assert told.notes[0]["difference"]["now_is_error"] is True


def test_an_answer_that_is_missing_now_is_a_difference_and_one_that_was_not_recorded_is_none(
    nbody: Task, tmp_path: Path
) -> None:
    told = Told(nbody, tmp_path, recorded(1, "a", "b"), answer("a", "1"), answer("b", "2"), BUDGET, recorded(2, "c"))
    told.act()
    told.act(ToolResult("a", "1", is_error=False))
    assert told.agent.differences == 1 and "now nothing" in told.notes[0]["text"]
    with pytest.raises(EpisodeEnded, match="recorded turns"):  # the transcript was cut off before this answer
        told.act(ToolResult("c", "3", is_error=False))
    assert told.agent.differences == 1


def test_the_limit_that_ended_the_episode_ends_the_replay(nbody: Task, tmp_path: Path) -> None:
    told = Told(nbody, tmp_path, recorded(1, "a"), BUDGET, {"event": "end", "ending": "dollars"})
    told.act()
    with pytest.raises(EpisodeEnded, match="dollars"):
        told.act(ToolResult("a", "1", is_error=False))
    told.agent.on_event(EndEvent(ending="wall clock"))
    assert told.notes[0]["difference"] == {"turn": 1, "recorded": "dollars", "now": "wall clock"}


def test_a_turn_without_calls_goes_on_where_it_was_not_the_last(nbody: Task, tmp_path: Path) -> None:
    told = Told(nbody, tmp_path, recorded(1), BUDGET, recorded(2))
    assert [told.act().goes_on, told.act().goes_on] == [True, False]


def test_a_job_gives_each_run_its_own_transcript_and_starts_again_from_the_first(nbody: Task, tmp_path: Path) -> None:
    for number in (1, 3):
        (tmp_path / f"run_{number}").mkdir()
        (tmp_path / f"run_{number}" / "transcript.jsonl").write_text(json.dumps(recorded(1, f"of {number}")) + "\n")
    make = make_replay(tmp_path)
    first = [make(AgentContext(nbody, run)).act(Observation("", (), Limits())) for run in (1, 3, 5)]
    assert [turn.calls[0].id for turn in first] == ["of 1", "of 3", "of 1"]
    with pytest.raises(UsageFault, match="there is no transcript"):
        make_replay(tmp_path / "run_2")


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        ("a\nb", "a\nc", (2, "b", "c")),
        ("a", "a\nb", (2, None, "b")),
        ("a\n", "a", (2, "", None)),
        ("a", "a", (0, None, None)),
    ],
)
def test_the_first_line_that_differs_is_named(before: str, now: str, found: tuple[int, str | None, str | None]) -> None:
    assert first_difference(before, now) == found
