"""What an agent's sandbox does for the agent, and what it does not let the agent do. Each test is one container."""

import time

import pytest

from runner.episode.tools import run_tool
from runner.records.episode import ToolCall
from runner.sandbox.container import ExitCause, GuestExit, Received, Sandbox
from runner.sandbox.fleet import UID_COUNT, UID_FIRST
from tests.sandbox.hands import Hands


@pytest.fixture
def agent(sandbox: Sandbox) -> Hands:
    return Hands(sandbox)


def test_the_shell_keeps_directory_variables_and_functions(agent: Hands) -> None:
    agent.bash("mkdir -p deep && cd deep && export X=7 && f() { echo f$X; }")
    assert agent.bash("pwd; f") == "/workspace/deep\nf7\n[exit status 0]"


def test_restart_gives_a_new_shell(agent: Hands) -> None:
    agent.bash("X=7; cd /tmp")
    agent("bash", restart=True)
    assert agent.bash('echo "$X" "$PWD"') == " /workspace\n[exit status 0]"


def test_the_exit_status_is_said(agent: Hands) -> None:
    assert agent.bash("(exit 3)") == "[exit status 3]"


def test_a_shell_that_exits_is_replaced_by_a_new_one(agent: Hands) -> None:
    assert "the shell ended" in agent.bash("exit 4")
    assert agent.bash("echo here") == "here\n[exit status 0]"


def test_a_command_with_broken_syntax_leaves_the_shell_usable(agent: Hands) -> None:
    assert "syntax error" in agent.bash("if then (")
    assert agent.bash("echo here") == "here\n[exit status 0]"


def test_a_command_cannot_read_the_next_ones(agent: Hands) -> None:
    assert agent.bash("cat; read -r x <&3; echo done").endswith("done\n[exit status 0]")
    assert agent.bash("echo here") == "here\n[exit status 0]"


def test_a_timeout_kills_everything_that_was_started(agent: Hands) -> None:
    text = agent.bash("setsid nohup sleep 987 & (sleep 986 &) ; sleep 985", timeout_s=0.5)
    assert "timed out after 0.5 s" in text
    assert agent.bash("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 98[567]'").startswith("0\n")


def test_long_output_keeps_its_head_and_tail_and_says_the_cut(agent: Hands) -> None:
    text = agent.bash("echo first; yes | head -c 3000000; echo last")
    assert text.startswith("first\ny\ny\n")
    assert text.endswith("last\n[exit status 0]")
    assert "bytes cut ...]" in text
    assert len(text) < 31_000


def test_a_command_killed_for_memory_says_so_and_the_sandbox_lives(agent: Hands) -> None:
    text = agent.bash("python3 -c 'x = bytearray(2_000_000_000)'")
    assert "killed for memory" in text
    assert agent.bash("echo here").startswith("here")


def test_a_shell_that_ends_with_what_was_killed_for_memory_is_named(agent: Hands) -> None:
    text = agent.bash("set -e; x=kept; python3 -c 'x = bytearray(2_000_000_000)'")
    assert text.endswith("killed for memory; the shell ended, the next command gets a new one]")
    assert agent.bash('echo "<$x>"') == "<>\n[exit status 0]"


def test_a_command_ended_by_a_signal_says_so(agent: Hands) -> None:
    assert "ended by a signal" in agent.bash("bash -c 'kill -TERM $$'")


def test_background_work_is_no_obstacle_to_the_next_command(agent: Hands) -> None:
    agent.bash("sleep 600 &")
    started = time.monotonic()
    assert agent.bash("echo here") == "here\n[exit status 0]"
    assert time.monotonic() - started < 60


def test_a_fork_bomb_ends_with_its_timeout(agent: Hands) -> None:
    agent.bash("b() { b | b & }; b; sleep 60", timeout_s=1.0)
    assert agent.bash("echo here").startswith("here")


def test_files_are_created_viewed_and_edited(agent: Hands) -> None:
    agent("create", path="a/b.txt", file_text="one\ntwo\nthree\n")
    assert agent("view", path="a/b.txt", view_range=[2, -1]).result.text == "     2\ttwo\n     3\tthree\n"
    agent("str_replace", path="/workspace/a/b.txt", old_str="two", new_str="2")
    agent("insert", path="a/b.txt", insert_line=0, insert_text="zero")
    assert agent.bash("cat a/b.txt") == "zero\none\n2\nthree\n[exit status 0]"
    assert agent("view", path=".").result.text == "a/\n"


def test_str_replace_wants_exactly_one_place(agent: Hands) -> None:
    agent("create", path="a.txt", file_text="x x")
    answer = agent("str_replace", path="a.txt", old_str="x", new_str="y").result
    assert (answer.is_error, "occurs 2 times" in answer.text) == (True, True)


@pytest.mark.parametrize("path", ["/etc/passwd", "../etc/passwd", "/proc/1/environ", "/workspace/../etc/passwd"])
def test_file_tools_stay_under_the_workspace(agent: Hands, path: str) -> None:
    for tool, more in (("view", {}), ("create", {"file_text": "x"}), ("submit", {})):
        answer = agent(tool, path=path, **more).result
        assert answer.is_error, (tool, answer.text)


@pytest.mark.parametrize("target", ["/proc/self/mem", "/proc/1/environ", "/etc/passwd", "/workspace/real.txt"])
def test_links_are_not_followed(agent: Hands, target: str) -> None:
    agent.bash(f"echo x > real.txt; ln -s {target} link; ln -s /etc folder")
    for path in ("link", "folder/passwd"):
        assert "links are not followed" in agent("view", path=path).result.text
        assert "links are not followed" in agent("submit", path=path).result.text


def test_writing_through_a_link_replaces_the_link(agent: Hands) -> None:
    agent.bash("echo secret > real.txt; ln -s real.txt link")
    agent("create", path="link", file_text="mine\n")
    assert agent.bash("cat real.txt link") == "secret\nmine\n[exit status 0]"


@pytest.mark.parametrize(
    "make",
    ["mkfifo it", "mkdir it", "truncate -s 32G it", "head -c 5000 /dev/zero > it", "true", "python3 -c "
     "'import socket; socket.socket(socket.AF_UNIX).bind(\"it\")'"],
    ids=["fifo", "folder", "sparse", "too large", "missing", "socket"],
)  # fmt: skip
def test_only_a_regular_file_of_the_right_size_can_be_submitted(agent: Hands, make: str) -> None:
    agent.bash(make)
    result = agent("submit", path="it")
    assert result.submission is None
    assert result.result.is_error
    assert agent.bash("echo here").startswith("here")


@pytest.mark.parametrize("path", ["it.py", "./it.py", "/workspace/it.py"])
def test_a_submission_is_the_files_bytes_by_whatever_path(agent: Hands, path: str) -> None:
    agent("create", path="it.py", file_text="x = 'ä'\n")
    submission = agent("submit", path=path).submission
    assert submission is not None
    assert submission.content == "x = 'ä'\n".encode()


def test_nobody_changes_a_submission_while_it_is_collected(agent: Hands) -> None:
    agent("create", path="it.py", file_text="good\n")
    agent.bash("(while :; do echo bad > it.tmp; mv it.tmp it.py; echo good > it.tmp; mv it.tmp it.py; done) &")
    submission = agent("submit", path="it.py").submission
    assert submission is not None
    assert submission.content in (b"good\n", b"bad\n")
    assert agent.bash("ps 2>/dev/null; ls /proc | grep -c '^[0-9]'").splitlines()[-2:] == ["4", "[exit status 0]"]


def test_a_wrong_call_is_an_answer_that_can_be_mended(agent: Hands) -> None:
    assert "there is no tool 'fly'" in agent("fly").result.text
    assert "path: Field required" in agent("view").result.text
    assert "give a command" in agent("bash").result.text
    assert "colour: Extra inputs" in agent("view", path="a", colour="red").result.text


# The wall between the agent's commands and PID 1


def test_pid_1_survives_every_signal(agent: Hands) -> None:
    agent.bash("for s in $(seq 1 64); do kill -$s 1 2>/dev/null; done; true")
    assert agent.bash("echo here").startswith("here")


@pytest.mark.parametrize("path", ["mem", "environ", "fd/1", "fd/200", "fd/201", "oom_score_adj", "maps"])
def test_pid_1_cannot_be_read_or_written_by_a_command(agent: Hands, path: str) -> None:
    assert "exit status 1" in agent.bash(f"cat /proc/1/{path} >/dev/null") or path == "oom_score_adj"
    assert "exit status 0" not in agent.bash(f"echo x >> /proc/1/{path}")


def test_a_command_sees_only_its_own_descriptors(agent: Hands) -> None:
    assert agent.bash("ls /proc/self/fd | tr '\\n' ' '") == "0 1 2 3 \n[exit status 0]"


def test_what_a_command_starts_is_the_first_to_go_when_memory_is_short(agent: Hands) -> None:
    assert agent.bash("cat /proc/self/oom_score_adj") == "1000\n[exit status 0]"


def test_the_sandbox_has_no_rights_and_no_network(agent: Hands) -> None:
    text = agent.bash("grep -E '^(CapEff|CapBnd|NoNewPrivs):' /proc/self/status; id -u; ls /sys/class/net; touch /x")
    assert "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n" in text
    assert "Read-only file system" in text
    assert UID_FIRST <= int(text.splitlines()[3]) < UID_FIRST + UID_COUNT
    assert text.splitlines()[4] == "lo"


def test_the_environment_holds_nothing_of_the_hosts(agent: Hands) -> None:
    names = {line.split("=")[0] for line in agent.bash("env").splitlines()[:-1]}
    assert names <= {
        "PATH", "HOME", "TMPDIR", "LANG", "TERM", "HOSTNAME", "PWD", "OLDPWD", "SHLVL", "_",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    }  # fmt: skip


# Freezing


def test_a_frozen_sandbox_does_nothing_and_its_deadlines_wait(agent: Hands) -> None:
    import threading

    texts: list[str] = []
    command = "for i in $(seq 20); do echo $i; sleep 0.05; done"
    thread = threading.Thread(target=lambda: texts.append(agent.bash(command, timeout_s=2.5)))
    thread.start()
    time.sleep(0.3)
    counted = agent.sandbox.active_s()
    agent.sandbox.freeze()
    time.sleep(2.7)
    assert agent.sandbox.active_s() - counted < 1.0
    assert thread.is_alive()
    agent.sandbox.thaw()
    thread.join(15)
    assert texts[0].endswith("20\n[exit status 0]")


def test_a_frozen_sandbox_can_be_ended(fleet, nbody_spec) -> None:  # type: ignore[no-untyped-def]
    with fleet.open(nbody_spec, "toolserver", role="agent", cpuset="0") as sandbox:
        sandbox.freeze()
    assert fleet.leaks == []


# The end


def test_killing_everything_from_inside_ends_only_what_the_agent_started(sandbox: Sandbox) -> None:
    got = run_tool(sandbox, ToolCall("1", "bash", {"command": "kill -9 -1", "timeout_s": 5.0}), 1000)
    assert not isinstance(got, GuestExit)
    assert Hands(sandbox).bash("echo here").startswith("here")


def test_when_the_stream_ends_the_container_goes_by_itself(sandbox: Sandbox) -> None:
    run_tool(sandbox, ToolCall("1", "bash", {"command": "setsid sleep 100 & true"}), 1000)
    sandbox.stream.close()
    deadline = time.monotonic() + 5
    while sandbox.engine.client.containers.list(all=True, filters={"id": sandbox.id}):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_command_that_outlasts_the_hosts_patience_is_silence_not_an_error(sandbox: Sandbox) -> None:
    head = {"op": "bash", "timeout_s": 30.0, "output_bytes_max": 100}
    assert sandbox.ask(head, b"sleep 5", deadline_s=0.3) == GuestExit(ExitCause.SILENT, "no answer within 0.3 s")


def test_a_ping_is_answered_while_a_command_runs(sandbox: Sandbox) -> None:
    import threading

    thread = threading.Thread(target=lambda: Hands(sandbox).bash("sleep 4"))
    thread.start()
    time.sleep(0.2)
    got = sandbox.ask({"op": "ping"}, b"hello", deadline_s=30.0)
    assert isinstance(got, Received)
    assert got.frame.body == b"hello" and thread.is_alive()
    thread.join()


# Names and contents of any bytes


def test_names_and_files_of_any_bytes_are_shown_and_the_sandbox_lives(agent: Hands) -> None:
    agent.bash(
        "touch $'\\xff' $'a\\nb' $'\\x1b[31m'; yes '' | head -c 2000000 > blank; printf 'a\\r\\nb\\r\\n' > dos; : > empty"
    )
    assert agent("view", path=".").result.text == "$'\\x1b[31m'\n$'a\\x0ab'\nblank\ndos\nempty\n$'\\xff'\n"
    blank = agent("view", path="blank").result.text
    assert blank.endswith("to 2000000 are not shown: give a view_range ...]\n") and len(blank) < 31_000
    assert agent("view", path="empty").result.text == "[... the file is empty ...]\n"
    agent("str_replace", path="dos", old_str="a\nb", new_str="c\nd")
    assert agent.bash("od -c dos").startswith("0000000   c  \\r  \\n   d  \\r  \\n\n")
    assert agent.bash("printf 'x\\033\\377\\000'") == "x\\x1b\\xff\\x00\n[exit status 0]"


def test_a_request_that_no_tool_makes_is_an_answer(agent: Hands) -> None:
    for head in (
        {"op": "fly"},
        {},
        {"op": "view", "path": "\n" * 9000},
        {"op": "__init__"},
        {"op": "bash", "timeout_s": "x"},
    ):
        got = agent.sandbox.ask(head, deadline_s=5.0)
        assert isinstance(got, Received) and got.frame.head["ok"] is False, head
    assert agent.bash("echo here") == "here\n[exit status 0]"
