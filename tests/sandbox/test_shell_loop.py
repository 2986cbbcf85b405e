"""The loop in which a sandbox's shell runs commands, in a bash of this machine: every command has a status of its own."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox.container import INSIDE


class Shell:
    """The persistent shell, as PID 1 uses it."""

    def __init__(self, folder: Path) -> None:
        self.names: dict[str, Any] = {"WORKSPACE": str(folder), "confine": lambda: None, "fence": lambda: None}
        for part in ("frames.py", "shell.py"):
            exec(compile((INSIDE / part).read_text(), part, "exec"), self.names)
        self.shell = self.names["Shell"](sys.executable)

    def __call__(self, command: str, seconds: float = 5.0) -> tuple[str, int | None]:
        """What a command printed, and its status; None where none came."""
        token, output = self.shell.send(command.encode()), self.names["Output"](10_000)
        end, status = time.monotonic() + seconds, None
        while status is None and time.monotonic() < end:
            self.shell.feed()
            self.shell.read_output(output)
            status = self.shell.read_status(token)
            time.sleep(0.001)
        self.shell.read_printed(output)
        return output.content()[0].decode(), status


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    os.kill(made.shell.pid, signal.SIGKILL)
    os.waitpid(made.shell.pid, 0)
    made.shell.close()


@pytest.mark.parametrize("word", ["break", "continue", "continue 1; echo no"])
def test_a_command_outside_of_a_loop_of_its_own_neither_ends_nor_repeats_the_shells(shell: Shell, word: str) -> None:
    assert shell("x=kept; (exit 7)") == ("", 7)
    assert shell(f"echo a; {word}") == ("a\n", 0)
    assert shell("echo $x; (exit 3)") == ("kept\n", 3)


def test_a_command_that_begins_with_a_dash_is_a_command(shell: Shell) -> None:
    printed, status = shell("-h")
    assert "-h: command not found" in printed and status == 127
    printed, status = shell("--")
    assert "--: command not found" in printed and status == 127


@pytest.mark.parametrize("name", ["__command", "__token", "IFS"])
def test_what_a_command_does_to_the_loops_names_does_not_reach_another_ones_status(shell: Shell, name: str) -> None:
    assert shell(f"{name}=0; export {name}; (exit 7)") == ("", 7)
    assert shell("(exit 3)") == ("", 3)
    assert shell(f"unset {name}; (exit 8)") == ("", 8)


@pytest.mark.parametrize("flag", ["O_NONBLOCK", "O_DIRECT"])
def test_how_a_command_writes_is_not_how_the_next_ones_do(shell: Shell, flag: str) -> None:
    """Programs set such flags (node does), and they belong to the pipe that all commands share."""
    script = f"import fcntl, os; fcntl.fcntl(1, fcntl.F_SETFL, os.{flag})"
    assert shell(f"{sys.executable} -c '{script}'") == ("", 0)
    assert shell("seq 100000 2>&1")[1] == 0
    assert shell("seq 100000 | tail -1") == ("100000\n", 0)


def test_the_shell_waits_for_the_next_command_however_long_a_read_of_a_commands_own_may_wait(shell: Shell) -> None:
    assert shell("x=kept; TMOUT=1; export TMOUT") == ("", 0)
    time.sleep(1.5)
    assert shell("echo $x $TMOUT") == ("kept 1\n", 0)
