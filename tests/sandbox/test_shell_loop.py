"""The lines by which a sandbox's shell runs commands, in a bash of this machine: every command has a status of its own."""

import hashlib
import os
import signal
import subprocess
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

    def ended(self) -> int:
        """The status with which it ended; there is a new one then."""
        _, ended = os.waitpid(self.shell.pid, 0)
        self.shell.close()
        self.shell = self.names["Shell"](sys.executable)
        return os.waitstatus_to_exitcode(ended)

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


@pytest.mark.parametrize("word", ["break", "continue", "break 2", "continue 2", "continue 1; echo no"])
def test_a_loops_word_outside_of_a_loop_does_nothing_but_say_so(shell: Shell, word: str) -> None:
    assert shell("x=kept; (exit 7)") == ("", 7)
    printed, status = shell(f"echo a; {word}; echo b; (exit 4)")
    assert printed.startswith("a\n") and printed.endswith("b\n") and "only meaningful in a" in printed and status == 4
    assert shell("echo $x; (exit 3)") == ("kept\n", 3)


@pytest.mark.parametrize(
    "looping",
    [
        "for i in 1 2; do echo $i; continue 2; done",
        "for i in 1 2; do continue 9; done",
        "for i in 1 2; do break 10; done",
        "until false; do for a in 1; do for b in 1; do break 4; done; done; done",
        "f() { break 3; }; for i in 1; do f; done",
    ],
)
def test_a_word_that_names_more_loops_than_there_are_goes_on_as_in_any_bash(shell: Shell, looping: str) -> None:
    command = f"{looping}; echo after; (exit 6)"
    plain = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert plain.returncode == 6
    printed, status = shell(command)
    assert (printed.splitlines()[-1], status) == ("after", 6)
    assert shell("echo next") == ("next\n", 0)


def test_what_is_exported_by_itself_holds_no_command(shell: Shell) -> None:
    """An argument or a variable of a program has at most 128 KiB."""
    assert shell("set -a") == ("", 0)
    text = "0123456789\n" * 13_000
    assert shell(f"cat <<'end' | wc -c\n{text}end") == (f"{len(text)}\n", 0)


def test_an_err_trap_runs_once_for_each_failure(shell: Shell) -> None:
    assert shell("trap 'echo failed $?' ERR") == ("", 0)
    assert shell("(exit 3)") == ("failed 3\n", 3)
    assert shell("false || true") == ("", 0)
    assert shell("false && true") == ("", 1)


def test_set_e_ends_the_shell_where_it_would_end_any_bash(shell: Shell) -> None:
    assert shell("set -e; x=kept; [ 1 = 2 ] && echo no") == ("", 1)
    assert shell("! true") == ("", 1)
    assert shell("if false; then :; fi; echo $x") == ("kept\n", 0)
    assert shell("echo a; (exit 9); echo b", seconds=1.0) == ("a\n", None)
    assert shell.ended() == 9


def test_what_an_exit_trap_prints_is_the_commands(shell: Shell) -> None:
    assert shell("trap 'echo bye' EXIT") == ("", 0)
    assert shell("exit 3", seconds=1.0) == ("bye\n", None)
    assert shell.ended() == 3


def test_messages_name_the_lines_of_their_own_command(shell: Shell) -> None:
    for _ in range(2):
        printed, status = shell("\n\nmissing-program\necho $LINENO; (exit 5)")
        assert "line 3: missing-program: command not found" in printed
        assert printed.endswith("\n4\n") and status == 5


def test_a_command_is_run_byte_by_byte_as_it_was_sent(shell: Shell) -> None:
    every = "".join(map(chr, range(1, 256))).replace("'", "'\\''")
    assert (
        shell(f"printf %s '{every}' | sha256sum")[0].split()[0]
        == hashlib.sha256("".join(map(chr, range(1, 256))).encode()).hexdigest()
    )


@pytest.mark.parametrize(
    "command", ["echo 'a", "for", "cat <<end\nfoo", "echo a \\", "echo a #", "echo $((1/0)); echo b", "}", 'echo "$((']
)
def test_a_command_that_is_not_whole_swallows_nothing_of_the_next(shell: Shell, command: str) -> None:
    assert shell(command)[1] is not None
    assert shell("echo b; (exit 3)") == ("b\n", 3)


@pytest.mark.parametrize(
    "doing",
    [
        "shopt -s expand_aliases; alias builtin=false eval=false printf=false test=false",
        "set -o history -o histexpand",
        "set -o posix",
        "set -u; unset PIPESTATUS",
        "unset LINENO",
        "IFS=0123456789",
        "set -C; set -f; set -a; set -v; set -x; set +vx",
        "trap : DEBUG; trap : RETURN; trap : CHLD; shopt -s extdebug",
        "exec 0<&-",
        "(cat; cat <&10; cat <&255) <&0 >got & kill $!; wait",
    ],
)
def test_whatever_a_command_sets_up_the_next_ones_have_their_own_status(shell: Shell, doing: str) -> None:
    shell(doing)
    for status in (3, 0, 4):
        printed, got = shell(f"echo 'hi!! $x'; (exit {status})")
        assert (printed, got) == ("hi!! $x\n", status)


def test_nothing_of_ours_is_open_in_what_a_command_starts(shell: Shell) -> None:
    """The script's pipe, the socket for statuses, and what is put back after a command."""
    script = "import os; print([n for n in range(3, 60) if os.path.exists(f'/proc/{os.getpid()}/fd/{n}')])"
    assert shell(f'{sys.executable} -c "{script}"') == ("[]\n", 0)


def test_a_command_that_begins_with_a_dash_is_a_command(shell: Shell) -> None:
    printed, status = shell("-h")
    assert "-h: command not found" in printed and status == 127
    printed, status = shell("--")
    assert "--: command not found" in printed and status == 127


@pytest.mark.parametrize("name", ["PIPESTATUS", "LINENO", "IFS", "_"])
def test_what_a_command_does_to_names_that_matter_does_not_reach_another_ones_status(shell: Shell, name: str) -> None:
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
@pytest.mark.parametrize(
    "doing",
    [
        *(f"ulimit -n {left}" for left in range(5, 17)),
        *(f"enable -n {name}" for name in ("eval", "builtin", "printf")),
        "readonly LINENO",
        "set -r",
    ],
)
def test_no_command_has_a_status_that_the_shell_could_not_run(shell: Shell, doing: str) -> None:
    """A command that leaves the shell too little for another, descriptors say, ends it, with its own status."""
    _, status = shell(f"{doing}; (exit 3)", seconds=1.0)
    if status is None:
        assert shell.ended() == 3
    assert shell("echo here; (exit 4)", seconds=1.0) == ("here\n", 4)
