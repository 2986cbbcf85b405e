"""A person plays: lines on standard input become turns, and the clock runs while they think."""

import io
import json
import os
import pty
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.agents.human import HELP, EndOfInput, Human, Terminal
from runner.agents.protocol import Observation
from runner.budget.limits import BudgetExceeded
from runner.faults import Interrupted
from runner.records.episode import Limits, ToolResult, Turn
from runner.report.escape import shown
from tests.conftest import wait_until

SMALL = ("--task", "slow_nbody", "--scale", "small", "--agent", "human")
FIRST = Observation("Make it fast.", (), Limits(turns=30, wall_s=60.0, working_s=50.0))


class Person:
    """Types into a pipe that a terminal reads."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()
        self.out = io.StringIO()
        self.terminal = Terminal(self._reads, self.out, shown)
        self.human = Human(self.terminal, 1)

    def types(self, text: str) -> "Person":
        os.write(self._writes, text.encode())
        return self

    def hangs_up(self) -> "Person":
        os.close(self._writes)
        self._writes = -1
        return self

    def acts(self, observation: Observation = FIRST) -> Turn:
        return self.human.act(observation)

    def close(self) -> None:
        os.close(self._reads)
        if self._writes != -1:
            os.close(self._writes)


@pytest.fixture
def person() -> Iterator[Person]:
    person = Person()
    yield person
    person.close()


@pytest.mark.parametrize(
    ("typed", "tool", "given"),
    [
        ("ls -l | wc\n", "bash", {"command": "ls -l | wc"}),
        (": a comment of the shell's\n", "bash", {"command": ": a comment of the shell's"}),
        (":restart\n", "bash", {"restart": True}),
        (":view 'a file.py'\n", "view", {"path": "a file.py"}),
        (":view x.py 3 -1\n", "view", {"path": "x.py", "view_range": [3, -1]}),
        (":create x.py\ndef f():\n\n    ...\n.\n", "create", {"path": "x.py", "file_text": "def f():\n\n    ...\n"}),
        (":create x.py\n.\n", "create", {"path": "x.py", "file_text": ""}),
        (":replace x.py\na\nb\n.\nc\n.\n", "str_replace", {"path": "x.py", "old_str": "a\nb", "new_str": "c"}),
        (":insert x.py 0\nimport os\n.\n", "insert", {"path": "x.py", "insert_line": 0, "insert_text": "import os\n"}),
        (":submit x.py\n", "submit", {"path": "x.py"}),
        ("\n   \n:help\necho\r\n", "bash", {"command": "echo"}),
        ("the last line without its end", "bash", {"command": "the last line without its end"}),
    ],
)
def test_a_line_asks_for_a_tool(person: Person, typed: str, tool: str, given: dict[str, Any]) -> None:
    turn = person.types(typed).hangs_up().acts()
    assert [(call.tool, call.input) for call in turn.calls] == [(tool, given)]


def test_every_line_of_the_help_is_understood(person: Person) -> None:
    named = [word for line in HELP.splitlines() for word in line.replace(",", " ").split() if word.startswith(":")]
    assert sorted(named) == sorted([":view", ":create", ":replace", ":insert", ":restart", ":submit", ":help", ":quit"])


@pytest.mark.parametrize(
    "typed", [":vew x\n", ":view\n", ":view x 1\n", ":view x a b\n", ":view 'x\n", ":insert x y\n"]
)
def test_what_is_mistyped_costs_no_turn(person: Person, typed: str) -> None:
    turn = person.types(typed + "ls\n").acts()
    assert turn.calls[0].input == {"command": "ls"} and ":help says what there is" in person.out.getvalue()


@pytest.mark.parametrize("typed", ["", ":quit\n", ":create x.py\nhalf a file"])
def test_the_end_of_input_and_quit_end_the_episode(person: Person, typed: str) -> None:
    assert person.types(typed).hangs_up().acts() == Turn("")


def test_the_person_sees_the_instruction_the_help_the_answers_and_what_is_left(person: Person) -> None:
    person.types("ls\npwd\n").acts()
    hostile = "/workspace\n\x1b[2J\tx\n"
    answers = (ToolResult("1", hostile, is_error=False), ToolResult("2", "no such file", is_error=True))
    person.acts(Observation("Make it fast.", answers, Limits(turns=29)))
    first, _, second = person.out.getvalue().partition("[30 turns, 50 s of work, 60 s] $ ")
    assert "Make it fast." in first and HELP in first
    assert second == "/workspace\n\\x1b[2J    x\nerror: no such file\n[29 turns] $ "


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left", "limit"),
    [
        (Limits(wall_s=0.3, working_s=60.0), "wall clock"),
        (Limits(wall_s=60.0, working_s=0.3), "working time"),
        (Limits(wall_s=0.0), "wall clock"),
    ],
)
def test_a_limit_that_is_reached_while_they_think_ends_the_episode(person: Person, left: Limits, limit: str) -> None:
    began = time.monotonic()
    with pytest.raises(BudgetExceeded) as ended:
        person.types("half a li").acts(Observation("", (), left))
    assert ended.value.limit == limit and time.monotonic() - began < 60


@pytest.mark.slow
def test_a_limit_that_is_reached_in_the_middle_of_a_file_ends_the_episode(person: Person) -> None:
    with pytest.raises(BudgetExceeded):
        person.types(":create x.py\na\n").acts(Observation("", (), Limits(wall_s=0.3)))


@pytest.mark.slow
def test_without_limits_on_time_only_a_stop_ends_the_wait(person: Person) -> None:
    threading.Timer(0.3, person.terminal.stop).start()
    with pytest.raises(Interrupted):
        person.acts(Observation("", (), Limits(turns=1)))


def test_what_was_typed_ahead_stays_for_the_next_episode(person: Person) -> None:
    person.types("one\ntwo\nthree").hangs_up()
    assert person.acts().calls[0].input == {"command": "one"}
    other = Human(person.terminal, 2)
    assert [other.act(FIRST).calls[0].input["command"] for _ in range(2)] == ["two", "three"]
    with pytest.raises(EndOfInput):
        person.terminal.line(None)


@pytest.mark.parametrize("flags", [("--concurrency", "2"), ("--grade-after", "5")])
def test_flags_that_do_not_suit_a_person_are_refused(
    in_process: Callable[..., CompletedProcess[str]], tmp_path: Path, flags: tuple[str, ...]
) -> None:
    done = in_process(*SMALL, *flags, "--output", str(tmp_path / "out"))
    assert done.returncode == 2 and f"--agent human with {' '.join(flags)}" in done.stderr and "hint: " in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("measuring_cpu")
def test_a_pipe_can_play_and_stderr_holds_the_conversation_only(
    project: Path, tmp_path: Path, nbody_spec: object
) -> None:
    solution = (project / "problem_data" / "slow_nbody" / "solution" / "optimized_nbody.py").read_text()
    typed = f"pwd\n:create optimized_nbody.py\n{solution}.\n:view optimized_nbody.py 1 2\n:submit optimized_nbody.py\n"
    command = [sys.executable, "-m", "runner", "--runs", "2", *SMALL, "--max-rounds", "1", "--name", "piped"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path)], cwd=project, input=typed, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    runs = json.loads((tmp_path / "piped" / "results.json").read_text())["runs"]
    outcomes = {run["number"]: run["outcome"] for run in runs}
    assert outcomes == {1: "inconclusive", 2: "no_submission"}, done.stderr
    assert next(run for run in runs if run["number"] == 1)["speedup"]["estimate"] > 3.0
    assert "sequentially" in done.stdout and "/workspace" in done.stderr
    assert "submitted; if it can be read" in done.stderr
    assert "[00:0" not in done.stderr and "round 1" not in done.stderr


def test_a_person_plays_on_a_terminal(project: Path, tmp_path: Path, nbody_spec: object) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [sys.executable, "-m", "runner", "--runs", "1", *SMALL, "--time-limit", "7", "--name", "tty"]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path)], cwd=project, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = bytearray()

    def read() -> None:
        try:
            while part := os.read(ours, 65536):
                seen.extend(part)
        except OSError:
            pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    wait_until(lambda: b"] $ " in seen)
    os.write(ours, b"echo $((6 * 7)) things\n")
    wait_until(lambda: b"42 things" in seen and seen.count(b"] $ ") == 2)
    process.wait(60)
    reader.join(10)
    os.close(ours)
    run = json.loads((tmp_path / "tty" / "results.json").read_text())["runs"][0]
    assert (run["outcome"], run["reason"]) == ("no_submission", "the limit on wall clock was reached")
    assert b"the limit on wall clock is reached" in seen and b"\x1b[2K" not in seen and process.returncode == 0
