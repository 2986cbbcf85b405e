"""A command against the books that PID 1 keeps of commands: what ran, what it printed, how it ended."""

import re
import threading
import time

import pytest

from runner.sandbox.container import ExitCause, GuestExit, Received, Sandbox
from tests.sandbox.hands import Hands


@pytest.fixture
def agent(sandbox: Sandbox) -> Hands:
    return Hands(sandbox)


# Tries every descriptor that the shell may have: a status, junk, nothing, and a token that is not its own.
FORGE = (
    'for n in {3..30}; do for t in "0" "x 0" "0123456789abcdef 0" ""; do '
    "printf '%s' \"$t\" >&$n; done; done 2>/dev/null"
)
# Commands, each with a pattern of its whole answer in short (`told`).
BOOKS: dict[str, list[tuple[str, str]]] = {
    "junk on the status": [(f"{FORGE}; (exit 7)", ".* 7"), ("(exit 3)", "3"), ("echo here", "here 0")],
    "junk from the background": [
        (f"(while :; do {FORGE}; sleep 0.01; done) >/dev/null &", ".*0"), ("sleep 0.3; (exit 9)", ".* 9"),
        ("kill %1", ".*0"),
    ],
    "output to nowhere": [("exec >/dev/null 2>&1", "0"), ("echo seen", "seen 0")],
    "output to a file": [("exec >out.txt; echo in", "0"), ("cat out.txt", "in 0")],
    "no output at all": [("exec >&- 2>&-", "0"), ("echo seen", "seen 0")],
    "trace": [("set -x", "0"), ("echo a", r"\+\+ echo a a 0"), ("set +x", r"\+\+ set \+x 0"), ("echo b", "b 0")],
    "functions of our names": [
        ("printf() { :; }; read() { :; }; eval() { :; }; exit() { :; }", "0"), ("echo a; (builtin exit 2)", "a 2"),
    ],
    "a trap on every command": [("trap 'echo trap' DEBUG", "0"), ("trap - DEBUG", "trap 0"), ("echo a", "a 0")],
    "our variables": [
        ("LINENO=x PIPESTATUS=7 IFS=0; export PIPESTATUS", "0"), ("(exit 5)", "5"), ("unset LINENO PIPESTATUS IFS", "0"),
        ("(exit 6)", "6"),
    ],
    "input that is ours": [("cat; read -r x; echo \"<$x>\"", "<> 0"), ("echo a", "a 0")],
    "a loop's words outside of one": [("x=a; break", ".*only meaningful.* 0"), ("continue 2", ".* 0"), ("echo $x", "a 0")],
    "a loop's words that reach beyond it": [
        ("for i in 1 2; do break 9; done; echo b; (exit 3)", "b 3"), ("for i in 1 2; do continue 9; done; echo b", "b 0"),
    ],
    "what is exported by itself": [("set -a", "0"), (f"wc -c <<'end'\n{'x' * 140_000}\nend", "140001 0")],
    "a trap on errors": [("trap 'echo E' ERR", "0"), ("(exit 3)", "E 3"), ("trap - ERR", "0")],
    "a trap on the end": [("trap 'echo bye' EXIT", "0"), ("exit 3", "bye 3 the shell ended"), ("echo a", "a 0")],
    "the script read": [
        ("for n in {10..20}; do read -r -t 0.2 -u $n line; done 2>/dev/null", "timed out"), ("echo a", "a 0"),
    ],
    "exit": [("exit 4", "4 the shell ended"), ("echo a", "a 0")],
    "a shell that is missing": [("exec /missing/shell", ".*No such file.* 127 the shell ended"), ("echo a", "a 0")],
    "another program in its place": [("exec sleep 0.1", "0 the shell ended"), ("echo a", "a 0")],
    "the shell killed": [("kill -9 $$", "137 signal the shell ended"), ("echo a", "a 0")],
    "the shell stopped": [("kill -STOP $$", "timed out"), ("echo a", "a 0")],
    "descriptors closed": [("for n in {3..30}; do eval \"exec $n>&-\"; done", ".* the shell ended"), ("echo a", "a 0")],
    "descriptors taken": [("for n in {6..30}; do eval \"exec $n>f\"; done; (exit 6)", "6.*"), ("echo a", "a 0")],
    "variables that cannot be set": [("readonly LINENO", "0 the shell ended"), ("echo a", "a 0")],
    "builtins switched off": [("enable -n printf read", "0 the shell ended"), ("echo a", "a 0")],
    "nothing is run any more": [("set -n", "timed out"), ("echo a", "a 0")],
    "errors end the shell": [("set -e", "0"), ("false", "1 the shell ended"), ("echo a", "a 0")],
    "a command larger than the pipe": [(f"true {'x' * 300_000}; (exit 8)", "8"), ("echo a", "a 0")],
}  # fmt: skip


def told(text: str) -> str:
    """An answer in short: what was printed, the status, and how it ended."""
    *lines, last = text.splitlines()
    status = re.search(r"exit status (\d+)", last)
    ends = [words for words in ("timed out", "signal", "the shell ended") if words in last]
    return " ".join([*lines, *([status[1]] if status else []), *ends])


def test_a_command_says_nothing_about_another(agent: Hands) -> None:
    """One sandbox for all rows: whatever a command did to the books, the next ones are answered as if nothing had been."""
    for name, commands in BOOKS.items():
        for command, expected in commands:
            # A new shell may take seconds to come up on a busy machine; only what never ends is waited for briefly.
            answer = told(agent.bash(command, timeout_s=1.5 if "timed out" in expected else 30.0))
            assert re.fullmatch(expected, answer), (name, command[:200], answer[-500:])
        agent("bash", restart=True)


def test_later_output_is_labelled_as_the_backgrounds(agent: Hands) -> None:
    assert agent.bash("(sleep 0.2; echo late) & echo now") == "now\n[exit status 0]"
    agent.bash("sleep 0.1")
    agent("view", path=".")
    time.sleep(0.4)
    label = "[... printed in the background before this command: ...]\nlate\n[... end of it ...]\n"
    assert agent.bash("echo mine") == label + "mine\n[exit status 0]"
    assert agent.bash("echo mine") == "mine\n[exit status 0]"


def test_a_flood_in_the_background_hides_no_command_and_its_answer_is_bounded(agent: Hands) -> None:
    agent.bash("yes flood & true")
    for status in (3, 4):
        text = agent.bash(f"sleep 0.2; (exit {status})")
        assert text.endswith(f"[exit status {status}]") and len(text) < 40_000
    agent.bash("kill %1; wait")
    assert agent.bash("echo calm").endswith("calm\n[exit status 0]")


# A sandbox that is ruined


def test_where_no_shell_can_be_started_any_more_that_is_said(ruinable: None, agent: Hands) -> None:
    agent.bash("chmod 000 /workspace; exit 1")
    got = agent.sandbox.ask({"op": "bash", "timeout_s": 5.0, "output_bytes_max": 100}, b"true", deadline_s=20.0)
    assert isinstance(got, GuestExit) and got.how is ExitCause.RUINED
    assert got.detail.count("before it ran anything") == 2 and "Permission denied" in got.detail
    assert isinstance(agent.sandbox.ask({"op": "ping"}, deadline_s=5.0), Received)


def test_a_shell_that_dies_comes_up_again_with_nothing_beside_it(sandbox: Sandbox) -> None:
    agent = Hands(sandbox)
    agent.bash("b() { b | b & }; b; exit 3", timeout_s=5.0)
    assert agent.bash("echo here") == "here\n[exit status 0]"


def test_a_request_beside_a_command_is_refused_and_the_command_goes_on(agent: Hands) -> None:
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.append(agent.bash("sleep 0.5; echo whole")))
    thread.start()
    time.sleep(0.2)
    for op in ("restart", "collect", "bash"):
        got = agent.sandbox.ask({"op": op, "path": "a", "bytes_max": 9}, deadline_s=5.0)
        assert isinstance(got, Received) and got.frame.head["error"] == "another command is running"
    thread.join()
    assert texts == ["whole\n[exit status 0]"]
