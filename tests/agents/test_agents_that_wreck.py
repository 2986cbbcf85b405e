"""What an agent of the user's own does is its own run's business: the job ends in time, with every other run."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from runner.agents.adapter import AgentAdapter, ThirdPartyAgent
from runner.agents.protocol import AgentContext, Observation
from runner.budget.ledger import MeterReading
from runner.budget.limits import BudgetExceeded, EpisodeEnded
from runner.faults import Fault, InfrastructureFault, Interrupted, UsageFault
from runner.job.third_party import load_agent
from runner.records.episode import Limit, Limits, ToolCall, ToolResult, Turn, Usage
from runner.records.events import Event, NoteEvent
from runner.sandbox.engine import Engine
from runner.sandbox.stream import Received, Stream
from runner.sandbox.wire import Frame, Kind, encode
from runner.tasks.task import Task
from tests.builders import multiplexed
from tests.conftest import Cli, wait_until
from tests.environment import clean_environment

Run = Callable[..., CompletedProcess[str]]
SEEN = Observation("", (), Limits())

# The first run submits a file that crashes; of the others each does something that no library should, and some do.
AGENTS = """\
import asyncio, helper, os, subprocess, sys, threading, time
from runner import Observation, ToolCall, Turn

print("printed while it is loaded")


class PanicException(BaseException):
    "As Rust's pyo3 raises it."


def forever():
    while True:
        time.sleep(1)


class Wrecks:
    def __init__(self, context):
        self.run, self.file = context.run, context.task.file.submission.file

    def act(self, seen):
        if self.run == 1:
            write = ToolCall("1", "bash", {"command": "echo x = 1 > " + self.file})
            return Turn(helper.WORD, (write, ToolCall("2", "submit", {"path": self.file})))
        getattr(self, WAYS[self.run - 2])()
        return Turn("done")

    def hangs(self):
        forever()

    def swallows(self):
        while True:
            try:
                forever()
            except BaseException:
                pass

    def spins(self):
        while True:
            pass

    def joins(self):
        thread = threading.Thread(target=forever)
        thread.start()
        thread.join()

    def cancels(self):
        raise asyncio.CancelledError

    def panics(self):
        raise PanicException("index out of bounds")

    def exits(self):
        sys.exit(3)

    def interrupts(self):
        raise KeyboardInterrupt

    def prints(self):
        print("printed in a turn")
        sys.__stdout__.write("written to the descriptor\\n")
        sys.__stdout__.flush()
        subprocess.run(["echo", "said by a program"])
        sys.stdout.close()
        sys.stderr.close()
        sys.stdout = sys.stderr = open(os.devnull, "w")
        sys.stdout.close()

    def moves(self):
        os.chdir("/")
"""
RAISE = ["cancels", "panics", "exits", "interrupts"]
HANG = ["hangs", "swallows", "spins", "joins"]


@pytest.fixture
def wrecks(tmp_path: Path) -> Callable[[list[str]], str]:
    """An agent whose second and later runs go these ways."""

    def write(ways: list[str]) -> str:
        (tmp_path / "agent").mkdir()
        (tmp_path / "agent" / "helper.py").write_text("WORD = 'I submit it.'\n")
        path = tmp_path / "agent" / "wrecks.py"
        path.write_text(f"{AGENTS}\n\nWAYS = {ways!r}\n")
        return f"{path}:Wrecks"

    return write


def flags(agent: str, runs: int, output: Path | str, *more: str) -> list[str]:
    return ["--task", "slow_nbody", "--scale", "small", "--agent", agent, "--runs", str(runs), "--concurrency", "4",
            "--name", "job", "--output", str(output), *more]  # fmt: skip


def recorded(output: Path) -> list[dict[str, Any]]:
    return sorted(json.loads((output / "job" / "results.json").read_text())["runs"], key=lambda run: run["number"])


def test_agents_that_hang_are_given_up_at_their_limit_and_the_job_ends(
    cli: Run, tmp_path: Path, wrecks: Callable[[list[str]], str]
) -> None:
    begun = time.monotonic()
    done = cli(*flags(wrecks(HANG), 1 + len(HANG), tmp_path, "--time-limit", "5"))
    assert "Traceback" not in done.stderr and done.returncode == 0
    runs = recorded(tmp_path)
    assert [run["outcome"] for run in runs] == ["crashed"] + len(HANG) * ["no_submission"]
    for run in runs[1:]:
        assert run["reason"] == "the limit on wall clock was reached" and 5 <= run["episode"]["seconds"] < 8
        transcript = (tmp_path / "job" / f"run_{run['number']}" / "transcript.jsonl").read_text()
        assert "it was given up" in transcript and '"end"' in transcript
    assert time.monotonic() - begun < 120


def test_whatever_an_agent_raises_ends_its_own_run(
    cli: Run, tmp_path: Path, wrecks: Callable[[list[str]], str]
) -> None:
    done = cli(*flags(wrecks(RAISE), 1 + len(RAISE), tmp_path))
    assert "Traceback" not in done.stderr + done.stdout and done.returncode == 3
    runs = recorded(tmp_path)
    assert [run["outcome"] for run in runs] == ["crashed"] + len(RAISE) * ["infrastructure"]
    kinds = ("CancelledError", "PanicException", "SystemExit", "KeyboardInterrupt")
    for run, kind in zip(runs[1:], kinds, strict=True):
        assert f"raised {kind} in line" in run["reason"]


def test_what_an_agent_prints_and_where_it_goes_reaches_neither_the_json_nor_the_record(
    start: Cli, tmp_path: Path, wrecks: Callable[[list[str]], str]
) -> None:
    process = start(*flags(wrecks(["prints", "moves"]), 3, tmp_path, "--json"))
    out, err = process.communicate(timeout=300)
    assert [run["outcome"] for run in json.loads(out)["runs"]] == ["crashed", "no_submission", "no_submission"], err
    for words in ("printed while it is loaded", "printed in a turn", "written to the desc", "said by a program"):
        assert words in err


@pytest.mark.usefixtures("measuring_cpu")
def test_a_job_keeps_its_relative_folder_when_an_agent_changes_the_working_directory(
    tmp_path: Path, wrecks: Callable[[list[str]], str], project: Path, engine: Engine, nbody_spec: object, home: str
) -> None:
    environment = clean_environment(home, PYTHONPATH=str(project), DOCKER_HOST=engine.url)
    wrecks(["moves"])
    command = [sys.executable, "-m", "runner", *flags("agent/wrecks.py:Wrecks", 2, "out")]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    runs = recorded(tmp_path / "out")
    assert [run["outcome"] for run in runs] == ["crashed", "no_submission"]
    assert runs[0]["submission"]["stored_at"] == "out/job/run_1/optimized_nbody.py"
    assert "Results: out/job/results.json" in done.stdout


def test_the_first_ctrl_c_ends_a_job_whose_agent_hangs(
    start: Cli, tmp_path: Path, wrecks: Callable[[list[str]], str]
) -> None:
    process = start(*flags(wrecks(["joins"]), 2, tmp_path, "--grade-after", "0"))
    results = tmp_path / "job" / "results.json"
    wait_until(lambda: results.exists() and len(recorded(tmp_path)) == 1, 120)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Not finished: 1 of 2 runs" in out and [run["outcome"] for run in recorded(tmp_path)] == ["crashed"]


def test_a_file_that_leaves_the_folder_while_it_is_loaded_takes_no_path_of_the_command_lines_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaves.py").write_text("import os\nos.chdir('/')\nclass Agent: pass\n")
    monkeypatch.chdir(tmp_path)
    load_agent("leaves.py:Agent", [])
    assert Path.cwd() == tmp_path


def test_a_file_that_sets_signals_while_it_is_loaded_changes_nothing_of_what_ends_a_job(tmp_path: Path) -> None:
    names = ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"]
    handlers = ["SIG_IGN", "SIG_IGN", "SIG_IGN", "SIG_DFL"]  # the last: a reader that leaves would end the job
    lines = [f"signal.signal(signal.{name}, signal.{to})" for name, to in zip(names, handlers, strict=True)]
    (tmp_path / "sets.py").write_text("\n".join(["import signal", *lines, "class Agent: pass", ""]))
    before = [signal.getsignal(getattr(signal, name)) for name in names]
    load_agent(f"{tmp_path / 'sets.py'}:Agent", [])
    assert [signal.getsignal(getattr(signal, name)) for name in names] == before


def test_a_file_that_lets_numpy_raise_does_so_for_no_data_and_no_score_of_ours(tmp_path: Path) -> None:
    (tmp_path / "raises.py").write_text("import numpy\nnumpy.seterr(all='raise')\nclass Agent: pass\n")
    before = np.geterr()
    load_agent(f"{tmp_path / 'raises.py'}:Agent", [])
    assert np.geterr() == before


def test_a_file_whose_error_cannot_be_said_is_told_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "unsayable.py"
    path.write_text("class E(Exception):\n    def __str__(self): raise KeyError\nraise E\n")
    with pytest.raises(UsageFault, match="cannot be loaded: E: its message raised KeyError"):
        load_agent(f"{path}:Agent", [])


# The boundary itself


class Does:
    """An agent whose turn is this."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act

    def act(self, observation: Observation) -> Any:
        return self._act()


def adapter(task: Task, agent: object, emit: Callable[[Event], None] = lambda event: None) -> AgentAdapter:
    return AgentAdapter(ThirdPartyAgent(lambda context: agent), AgentContext(task, 1, emit))  # type: ignore[arg-type, return-value]


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


class Unsayable(Exception):
    """Whose message cannot be had."""

    def __str__(self) -> str:
        raise SystemExit(3)


class OwnFault(Fault):
    """Of no kind that a run can end with."""


@pytest.mark.parametrize(
    "error",
    [
        GeneratorExit(),
        KeyboardInterrupt(),
        BaseException("x"),
        Interrupted(),
        Unsayable(),
        OwnFault(cause="x", hint="y"),
        EpisodeEnded(None),  # type: ignore[arg-type]
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_kind_of_exception_passes_for_ours(nbody: Task, error: BaseException) -> None:
    with pytest.raises(InfrastructureFault, match=r"the agent Does of .* raised") as fault:
        adapter(nbody, Does(raising(error))).act(SEEN)
    assert isinstance(fault.value, Fault)


class Bare(InfrastructureFault):
    """Made as other exceptions are, without the texts."""

    def __init__(self, *args: object) -> None:
        Exception.__init__(self, *args)


class Moody(InfrastructureFault):
    """Whose text cannot be had."""

    @property
    def cause(self) -> str:  # type: ignore[override]
        raise SystemExit(3)

    @cause.setter
    def cause(self, value: str) -> None: ...


@pytest.mark.parametrize(
    "error",
    [
        InfrastructureFault(cause=ConnectionError("refused"), hint=3),  # type: ignore[arg-type]
        InfrastructureFault(cause="x" * 1_000_000, hint="y"),
        Bare("x"),
        Moody(cause="x", hint="y"),
    ],
    ids=["an exception", "a book", "none", "not to be had"],
)
def test_a_fault_that_an_agent_raises_has_texts_that_a_record_can_hold(nbody: Task, error: InfrastructureFault) -> None:
    with pytest.raises(InfrastructureFault) as raised:
        adapter(nbody, Does(raising(error))).act(SEEN)
    cause, hint = raised.value.cause, raised.value.hint
    assert type(raised.value) is InfrastructureFault and json.dumps([cause, hint])
    assert 0 < len(cause) <= 1000 and isinstance(hint, str)


def test_an_agents_own_thread_never_reads_a_sandboxs_stream_itself(nbody: Task) -> None:
    ours, theirs = socket.socketpair()
    stream, readers = Stream(ours, 1024), set[int]()
    take = stream._take
    stream._take = lambda chunk, at_s: (readers.add(threading.get_ident()), take(chunk, at_s))[0]  # type: ignore[method-assign, assignment, return-value, func-returns-value]

    def act() -> Turn:
        answer = encode(Frame(Kind.REPLY, 1, {"ok": True}))
        theirs.sendall(multiplexed(answer))
        return Turn(str(isinstance(stream.receive(1, lambda: 60.0), Received)))

    assert adapter(nbody, Does(act)).act(SEEN) == Turn("True")
    assert readers == {stream._thread.ident}
    stream.close()
    theirs.close()


class Odd(dict[str, int]):
    """A dict that cannot be looked at."""

    def items(self) -> Any:
        raise KeyError("x")


def test_a_turn_that_cannot_even_be_looked_at_is_the_agents_mistake(nbody: Task) -> None:
    turn = Turn("", (ToolCall("1", "bash", Odd(a=1)),))
    with pytest.raises(InfrastructureFault, match=r"the agent Does of .* raised KeyError"):
        adapter(nbody, Does(lambda: turn)).act(SEEN)


def test_a_process_that_forked_and_comes_back_twice_takes_its_turn_once(nbody: Task) -> None:
    children: list[int] = []

    def act() -> Turn:
        children.append(os.fork())
        return Turn("once")

    agent = adapter(nbody, Does(act))
    assert agent.act(SEEN) == Turn("once")
    ended: list[int] = []
    wait_until(lambda: bool(ended.append(os.waitpid(children[0], os.WNOHANG)[0]) or ended[-1]), 10)  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    "used",
    [
        {"dollars": math.nan},
        {"waited_s": math.inf},
        {"usage": Usage(output="1")},  # type: ignore[arg-type]
        {"usage": Usage(output=10**400)},
        {"turns": 10**400},
    ],
    ids=range(5),
)
def test_what_no_record_can_hold_is_not_counted_and_the_agents_mistake(nbody: Task, used: dict[str, Any]) -> None:
    context = AgentContext(nbody, 1)

    def make(context: AgentContext) -> Any:
        return Does(lambda: context.meter.add(**used))

    agent = AgentAdapter(ThirdPartyAgent(make), context)
    with pytest.raises(InfrastructureFault, match=r"raised (ValueError|TypeError|OverflowError)"):
        agent.act(SEEN)
    assert context.meter.reading == MeterReading()


def test_all_turns_of_an_agent_run_in_one_thread_which_ends_with_it(nbody: Task) -> None:
    threads: set[threading.Thread] = set()
    agent = adapter(nbody, Does(lambda: threads.add(threading.current_thread()) or Turn("")))  # type: ignore[func-returns-value]
    agent.act(SEEN), agent.act(SEEN)
    (thread,) = threads
    assert thread.daemon and thread is not threading.current_thread()
    agent.close()
    thread.join(5)
    assert not thread.is_alive()


def test_what_was_given_up_writes_nothing_more_and_is_told_to_end(nbody: Task) -> None:
    events: list[Event] = []
    ended = threading.Event()
    go = threading.Event()

    def act() -> Turn:
        try:
            while not go.wait(0.01):
                pass
        finally:
            context[0].note("too late")
            ended.set()
        return Turn("")

    context: list[AgentContext] = []

    def make(given: AgentContext) -> Any:
        context.append(given)
        return Does(act)

    agent = AgentAdapter(ThirdPartyAgent(make), AgentContext(nbody, 1, events.append))
    agent.time_limit = lambda: Limit.WALL_CLOCK
    with pytest.raises(BudgetExceeded):
        agent.act(SEEN)
    assert ended.wait(5) and not go.is_set()
    notes = [event.text for event in events if isinstance(event, NoteEvent)]
    assert len(notes) == 1 and "the limit on wall clock was reached; it was given up" in notes[0]
    assert agent.facts == {"unreadable": "the agent did not come back"}


def test_an_agent_that_cannot_be_made_leaves_no_thread(nbody: Task) -> None:
    threads: list[threading.Thread] = []

    def make(context: AgentContext) -> Any:
        threads.append(threading.current_thread())
        raise KeyError("x")

    with pytest.raises(InfrastructureFault, match="raised KeyError"):
        AgentAdapter(ThirdPartyAgent(make), AgentContext(nbody, 1))
    threads[0].join(5)
    assert not threads[0].is_alive()


@pytest.mark.slow
def test_an_agent_that_is_not_made_in_time_is_a_fault(nbody: Task) -> None:
    never = threading.Event()
    with pytest.raises(InfrastructureFault, match=r"was not made in 0\.2 s"):
        AgentAdapter(
            ThirdPartyAgent(lambda context: never.wait() and Does(lambda: Turn(""))), AgentContext(nbody, 1), 0.2
        )  # type: ignore[arg-type, return-value]


@pytest.mark.slow
def test_a_stop_gives_up_whatever_is_under_way(nbody: Task) -> None:
    never = threading.Event()
    third = ThirdPartyAgent(lambda context: Does(never.wait))
    agent = AgentAdapter(third, AgentContext(nbody, 1))
    threading.Timer(0.2, third.stop).start()
    with pytest.raises(Interrupted):
        agent.act(SEEN)


def result(**wrong: Any) -> Callable[[], Any]:
    return lambda: ToolResult(**{"call_id": "1", "text": "", "is_error": False, **wrong})


@pytest.mark.parametrize(
    ("gives", "words"),
    [
        (lambda: "text", "must return a ToolResult; it returned str"),
        (raising(KeyError("x")), "raised KeyError"),
        (result(text=b"x"), "its call_id and text must be text"),
        (result(seconds="1"), "its seconds must be a finite number"),
        (result(facts=None), "its facts must be a dict"),
        (result(facts={(1, 2): 3}), "its facts must be a dict"),
        (result(limit_reached="time"), "its limit_reached must be a Limit"),
    ],
)
def test_a_tool_of_its_own_is_held_to_the_same(nbody: Task, gives: Callable[[], Any], words: str) -> None:
    class WithTool(Does):
        tools = {"look": lambda sandbox, call: gives()}  # noqa: RUF012

    agent = adapter(nbody, WithTool(lambda: Turn("")))
    with pytest.raises(InfrastructureFault, match=words):
        agent.tools["look"](None, ToolCall("1", "look", {}))  # type: ignore[arg-type]
