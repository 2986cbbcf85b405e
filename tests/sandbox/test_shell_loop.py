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


@pytest.mark.slow
def test_the_shell_waits_for_the_next_command_however_long_a_read_of_a_commands_own_may_wait(shell: Shell) -> None:
    assert shell("x=kept; TMOUT=1; export TMOUT") == ("", 0)
    time.sleep(1.5)
    assert shell("echo $x $TMOUT") == ("kept 1\n", 0)


# Sends descriptors to whoever listens on its standard input, as their last holder: a connection that is closed only once its
# other end, which never reads, has taken all, or this many seconds have passed; `beside` keeps that other end.
LINGER_S = 6  # what closing the descriptor takes at least: a busy machine takes less
SENDS_ALONG = """
import array, os, socket, struct, sys, time
beside, seconds = sys.argv[1] == "process", int(sys.argv[2])
listening = socket.create_server(("127.0.0.1", 0))
mine, theirs = socket.create_connection(listening.getsockname()), listening.accept()[0]
listening.close()
mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
mine.setblocking(False)
try:
    while True:
        mine.send(bytes(65536))
except BlockingIOError:
    pass
sent = [mine] if beside else [mine, theirs]
if beside and os.fork() == 0:
    mine.close()
    for number in range(3):
        os.close(number)
    time.sleep(seconds + 2)
    os._exit(0)
numbers = array.array("i", [each.fileno() for each in sent])
try:
    socket.socket(fileno=0).sendmsg([b"junk"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
except OSError as error:
    print(error)
os._exit(0)  # before it is taken: then nobody else holds what is sent
"""


@pytest.mark.slow
@pytest.mark.parametrize("holder", ["process", "nobody"])
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "never taken"])
def test_no_descriptor_that_is_sent_along_with_a_status_holds_up_pid_1(
    shell: Shell, tmp_path: Path, holder: str, taken: bool
) -> None:
    """Who closes a descriptor last waits for it: PID 1, where it takes the message that bears it, or closes the socket."""
    (tmp_path / "sends.py").write_text(SENDS_ALONG)
    found = "for n in {10..20}; do [ -S /proc/$$/fd/$n ] && break; done"
    assert shell("true") == ("", 0)
    token = shell.shell.send(f"{found}; {sys.executable} sends.py {holder} {LINGER_S} <&$n; exec sleep 30".encode())
    time.sleep(1.5)  # until it is sent, and nobody else has it
    started = time.monotonic()
    if taken:
        assert shell.shell.read_status(token) is None
        assert shell.shell.read_status(token) is None
    os.kill(shell.shell.pid, signal.SIGKILL)
    shell.shell.close()
    assert time.monotonic() - started < LINGER_S - 1
    os.waitpid(shell.shell.pid, 0)
    shell.shell = shell.names["Shell"](sys.executable)
    assert shell("echo here") == ("here\n", 0)


@pytest.mark.slow
@pytest.mark.parametrize("doing", [*(f"ulimit -n {left}" for left in range(6, 12)), "enable -n eval"])
def test_no_command_has_a_status_that_the_shell_could_not_run(shell: Shell, doing: str) -> None:
    """A command that leaves the shell too little for another, descriptors say, ends it, with its own status."""
    _, status = shell(f"{doing}; (exit 3)", seconds=1.0)
    if status is None:
        _, ended = os.waitpid(shell.shell.pid, 0)
        shell.shell.close()
        shell.shell = shell.names["Shell"](sys.executable)
        assert os.waitstatus_to_exitcode(ended) == 3
    assert shell("echo here; (exit 4)", seconds=1.0) == ("here\n", 4)
