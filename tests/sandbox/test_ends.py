"""How a sandbox's end is waited for, told, and paid for: with an engine that is none."""

import ctypes
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from runner.faults import EngineFault, SandboxLost, SandboxWoke
from runner.grading.checks.probes import PROBING_S, ProbingTime
from runner.sandbox import fleet, removal
from runner.sandbox.cgroup import ResourceUsage
from runner.sandbox.container import (
    FREEZE_DEADLINE_S,
    HOST_GONE,
    HOST_SHORT,
    MEMORY_BESIDE,
    MEMORY_KILLED,
    WORKER_KILLED,
    ExitCause,
    GuestExit,
    Received,
    Sandbox,
    check_host_had_memory,
)
from runner.sandbox.fleet import Fleet
from runner.sandbox.removal import remove
from runner.sandbox.spec import Placement
from runner.sandbox.stream import Stream
from runner.sandbox.wire import Frame, Kind, encode
from tests.builders import multiplexed
from tests.conftest import wait_until

pytestmark = pytest.mark.slow  # waits for ends that come late

PLACE = Placement(1_000_000, "0", (("runner.role", "candidate"),))


def engine(*actions: str, code: int | None = None) -> Any:
    """An engine that has these events of every container."""
    attributes = {} if code is None else {"exitCode": str(code)}
    events = [{"Action": action, "Actor": {"Attributes": attributes}} for action in actions]
    api = SimpleNamespace(
        info=lambda: {"SystemTime": "2026-01-01T00:00:00Z"},
        events=lambda **_: events,
        remove_container=lambda *_, **__: 0,
        ping=lambda: True,
        stats=lambda *_, **__: counted(1.0),
    )
    return whole(api)


def counted(seconds: float) -> dict[str, Any]:
    """As an engine says what CPU time a container has used."""
    return {"cpu_stats": {"cpu_usage": {"total_usage": int(seconds * 1e9)}}}


def whole(api: Any) -> Any:
    """An engine whose calls these are."""
    made = SimpleNamespace(
        is_local=False, client=SimpleNamespace(api=api), hurry=lambda: None, facts=SimpleNamespace(ncpu=1)
    )
    made.part = lambda: made
    return made


def make_to_freeze(
    monkeypatch: pytest.MonkeyPatch, *, is_paused: bool, deadline_s: float = FREEZE_DEADLINE_S
) -> tuple[Sandbox, socket.socket]:
    """A sandbox whose freeze has this deadline, which somebody paused or nobody did, and the other end of its stream."""
    monkeypatch.setattr("runner.sandbox.container.FREEZE_DEADLINE_S", deadline_s)
    monkeypatch.setattr("runner.sandbox.container.remove", lambda *_: True)
    of = engine()
    of.client.api.inspect_container = lambda _: {"State": {"Paused": is_paused}}
    return make_sandbox(of)


def make_sandbox(of: Any) -> tuple[Sandbox, socket.socket]:
    """A sandbox, and the other end of its stream."""
    ours, theirs = socket.socketpair()
    spec = SimpleNamespace(memory_bytes=100)
    made = Sandbox(of, spec, PLACE, "0123456789ab", Stream(ours, 1024))  # type: ignore[arg-type]
    made.host_gone_code = HOST_GONE
    return made, theirs


@pytest.mark.parametrize(
    ("events", "code", "how", "words"),
    [
        (["die"], 139, ExitCause.DIED, "ended by SIGSEGV"),
        (["die"], 0, ExitCause.DIED, "ended without an answer"),
        (["die"], 1, ExitCause.DIED, "ended without an answer"),
        (["die"], None, ExitCause.DIED, "ended without an answer"),
        (["oom", "die"], 137, ExitCause.MEMORY, "for memory"),
        (["oom", "die"], 128, ExitCause.MEMORY, "for memory"),
        (["oom", "die"], None, ExitCause.MEMORY, "for memory"),
        (["oom", "die"], 0, ExitCause.DIED, "ended without an answer"),
        (["oom", "die"], 139, ExitCause.DIED, "ended by SIGSEGV"),
        (["die"], WORKER_KILLED, ExitCause.DIED, "ended by SIGKILL"),
        (["oom", "die"], WORKER_KILLED, ExitCause.MEMORY, "for memory"),
        (["die"], MEMORY_KILLED, ExitCause.MEMORY, "ended it for memory"),
        (["oom", "die"], MEMORY_BESIDE, ExitCause.MEMORY, "had started for memory, and the process that answers"),
    ],
)
def test_the_end_of_the_process_that_answers_is_told_and_not_that_of_another(
    events: Sequence[str], code: int | None, how: ExitCause, words: str
) -> None:
    sandbox, theirs = make_sandbox(engine(*events, code=code))
    theirs.close()
    reply = sandbox.ask({"op": "go"}, deadline_s=5.0)
    assert isinstance(reply, GuestExit)
    told: dict[int | None, int | None] = {WORKER_KILLED: 137, MEMORY_KILLED: 137, MEMORY_BESIDE: None}
    assert reply.how is how and reply.exit_code == told.get(code, code)
    assert words in reply.detail and "PID 1" not in reply.detail


@pytest.mark.parametrize("actor", [None, [], {"Attributes": None}, {"Attributes": {"exitCode": "no number"}}])
def test_an_end_that_the_engine_records_in_another_form_is_the_engines_fault(actor: object) -> None:
    of = engine()
    of.client.api.events = lambda **_: [{"Action": "die", "Actor": actor}]
    sandbox, theirs = make_sandbox(of)
    theirs.close()
    with pytest.raises(EngineFault, match="does not fit its API"):
        sandbox.ask({"op": "go"}, deadline_s=5.0)


@pytest.mark.parametrize(
    ("kills", "events", "ran_out"),
    [(2, [], True), (0, ["oom"], False), (None, ["start", "oom"], True), (None, ["start"], False)],
)
def test_a_living_sandbox_ran_out_of_memory_by_the_kernels_count_or_else_by_the_engines_record(
    monkeypatch: pytest.MonkeyPatch, kills: int | None, events: Sequence[str], ran_out: bool
) -> None:
    sandbox, theirs = make_sandbox(engine(*events))
    monkeypatch.setattr(Sandbox, "used", lambda _: ResourceUsage(memory_kills=kills))
    assert sandbox.ran_out_of_memory() is ran_out
    theirs.close()


# What the kernel counted of a container in which it killed for memory, at the host's want and at the container's own limit.
HOSTS = ResourceUsage(memory_kills=1, limit_hits=0, memory_peak_bytes=50)
OWN = ResourceUsage(memory_kills=1, limit_hits=1, memory_peak_bytes=100)


def test_a_living_sandbox_that_the_host_had_no_memory_for_did_not_run_out_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox, theirs = make_sandbox(engine("oom"))
    monkeypatch.setattr(Sandbox, "used", lambda _: HOSTS)
    with pytest.raises(SandboxLost, match="far from the container's own limit"):
        sandbox.ran_out_of_memory()
    theirs.close()


@pytest.mark.parametrize(
    ("last", "is_hosts"), [(HOSTS, True), (OWN, False), (ResourceUsage(), False)], ids=["host's", "own", "unknown"]
)
@pytest.mark.parametrize("code", [137, 128, None])
def test_whose_kill_for_memory_ended_pid_1_is_the_kernels_word_as_long_as_it_has_the_account(
    monkeypatch: pytest.MonkeyPatch, code: int | None, last: ResourceUsage, is_hosts: bool
) -> None:
    monkeypatch.setattr("runner.sandbox.container.last_usage", lambda *_: last)
    sandbox, theirs = make_sandbox(engine("oom", "die", code=code))
    theirs.close()
    if is_hosts:
        with pytest.raises(SandboxLost, match="far from the container's own limit"):
            sandbox.ask({"op": "bash"}, deadline_s=5.0)
    else:
        reply = sandbox.ask({"op": "bash"}, deadline_s=5.0)
        assert isinstance(reply, GuestExit) and reply.how is ExitCause.MEMORY


@pytest.mark.parametrize("said", [True, False])
def test_an_answer_of_a_pid_1_that_alone_speaks_tells_of_the_hosts_want_of_memory(said: bool) -> None:
    sandbox, theirs = make_sandbox(engine())
    reply = Received(Frame(Kind.ANSWER, 1, {"status": -9, "host_short": said}), 0.0)
    if said:
        with pytest.raises(SandboxLost, match="far from the container's own limit"):
            check_host_had_memory(sandbox, reply)
    else:
        check_host_had_memory(sandbox, reply)
    theirs.close()


@pytest.mark.parametrize("state", [{"Paused": False}, {"Paused": True}, None])
def test_a_guest_that_somebody_paused_is_not_silent_of_its_own(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, bool] | None
) -> None:
    def inspect(_: str) -> dict[str, Any]:
        if state is None:
            raise docker.errors.APIError("500")
        return {"State": state}

    monkeypatch.setattr("runner.sandbox.container.FREEZE_DEADLINE_S", 0.1)
    monkeypatch.setattr("runner.sandbox.container.remove", lambda *_: True)
    of = engine()
    of.client.api.inspect_container = inspect
    sandbox, theirs = make_sandbox(of)
    if state is not None and state["Paused"]:
        with pytest.raises(SandboxLost, match="was paused from outside"):
            sandbox.ask({"op": "bash"}, deadline_s=0.1)
        sandbox.freeze()  # it stands; nothing of others' is held up for it
        assert not sandbox.termination_reason
    else:
        reply = sandbox.ask({"op": "bash"}, deadline_s=0.1)
        assert isinstance(reply, GuestExit) and reply.how is ExitCause.SILENT
        sandbox.freeze()
        assert sandbox.termination_reason
    theirs.close()


@pytest.mark.parametrize("is_paused", [True, False])
def test_what_is_measured_does_not_wait_for_a_request_that_nobody_reads(
    monkeypatch: pytest.MonkeyPatch, is_paused: bool
) -> None:
    sandbox, theirs = make_to_freeze(monkeypatch, is_paused=is_paused, deadline_s=0.3)
    asked: list[object] = []

    def ask() -> None:
        try:
            asked.append(sandbox.ask({"op": "create"}, bytes(8 << 20), deadline_s=2.0))
        except SandboxLost as lost:
            asked.append(lost)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    wait_until(sandbox.stream._sending.locked)
    sandbox.freeze()  # its deadline passes all the same, while its guest stands
    assert bool(sandbox.termination_reason) is not is_paused
    asking.join(60.0)
    assert asked and isinstance(asked[0], SandboxLost if is_paused else GuestExit), asked
    sandbox.thaw()
    sandbox.stream.close()
    theirs.close()


@pytest.mark.parametrize("is_paused", [True, False])
def test_a_sandbox_that_can_be_sent_nothing_any_more_stands_still_or_is_ended(
    monkeypatch: pytest.MonkeyPatch, is_paused: bool
) -> None:
    sandbox, theirs = make_to_freeze(monkeypatch, is_paused=is_paused)
    assert not sandbox.send(Frame(Kind.DATA, 1, {}, bytes(8 << 20)), deadline_s=0.1)
    sandbox.freeze()
    assert bool(sandbox.termination_reason) is not is_paused
    sandbox.thaw()
    if is_paused:
        with pytest.raises(SandboxLost, match="was paused from outside"):
            sandbox.ask({"op": "bash"}, deadline_s=60.0)
    else:
        assert isinstance(sandbox.ask({"op": "bash"}, deadline_s=60.0), GuestExit)
    sandbox.stream.close()
    theirs.close()


@pytest.mark.parametrize("events", [[], ["oom"]])
@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"\1\0\0\1\0\0\0\4abcd", b"\1\0\0\0\xff\0\0\0abcd"]
)
def test_what_no_engine_sends_is_no_fault_of_the_guests(events: Sequence[str], sent: bytes) -> None:
    """The headers of a stream are the engine's alone: whoever garbles them stands between it and us."""
    sandbox, theirs = make_sandbox(engine(*events))
    theirs.sendall(sent)
    wait_until(lambda: sandbox.stream.end is not None)
    assert not sandbox.stream.has_surplus
    with pytest.raises(SandboxLost, match="not multiplexed"):
        sandbox.ask({"op": "bash"}, deadline_s=5.0)
    theirs.close()


def test_a_status_that_another_program_ends_with_says_nothing_of_memory() -> None:
    sandbox, theirs = make_sandbox(engine("die", code=MEMORY_BESIDE))
    sandbox.host_gone_code = 0  # no sample's
    theirs.close()
    reply = sandbox.ask({"op": "bash"}, deadline_s=5.0)
    assert isinstance(reply, GuestExit) and reply.how is ExitCause.DIED


@pytest.mark.parametrize(
    ("events", "code", "words"),
    [
        (["die"], HOST_GONE, "was cut"),
        (["oom", "die"], HOST_GONE, "was cut"),
        (["oom", "die"], HOST_SHORT, "far from the container's own limit"),
        (["die"], 137, "was killed from outside, and not for its own memory"),
        (["kill", "die"], 137, "was killed from outside"),
        (["kill", "die"], 1, "was killed from outside"),
        (["oom", "kill", "die"], 137, "was killed from outside"),  # a command of it had run out of memory before
        ([], None, "the engine reports no end of it"),
        (["oom"], None, "the engine reports no end of it"),  # a command of it ran out of memory at some time
    ],
)
def test_an_end_without_evidence_that_it_is_the_guests_is_the_hosts(
    events: Sequence[str], code: int | None, words: str
) -> None:
    sandbox, theirs = make_sandbox(engine(*events, code=code))
    theirs.close()
    with pytest.raises(SandboxLost, match=words):
        sandbox.ask({"op": "go"}, deadline_s=5.0)


@pytest.mark.parametrize(("seconds_before", "is_guests"), [(3600, False), (1, True), (-1, True)])
def test_a_command_that_ran_out_of_memory_long_before_explains_no_kill_by_the_host(
    seconds_before: int, is_guests: bool
) -> None:
    of, died = engine("oom", "die", code=137), 1_800_000_000
    for event, at_s in zip(of.client.api.events(), (died - seconds_before, died), strict=True):
        event["time"] = at_s
    sandbox, theirs = make_sandbox(of)
    theirs.close()
    if is_guests:
        reply = sandbox.ask({"op": "bash"}, deadline_s=5.0)
        assert isinstance(reply, GuestExit) and reply.how is ExitCause.MEMORY
    else:
        with pytest.raises(SandboxLost, match="was killed from outside, and not for its own memory"):
            sandbox.ask({"op": "bash"}, deadline_s=5.0)


def test_calls_that_hang_cost_what_they_have_together_and_no_more() -> None:
    sandbox, theirs = make_sandbox(engine())
    sandbox.asking_left_s = 0.3
    start_s = time.monotonic()
    replies = [sandbox.ask({"op": "probe"}, deadline_s=60.0) for _ in range(20)]
    assert 0.3 <= time.monotonic() - start_s < 60.0
    assert all(isinstance(reply, GuestExit) and reply.how is ExitCause.SILENT for reply in replies)
    assert "no time was left" in replies[-1].detail  # type: ignore[union-attr]
    sandbox.stream.close()
    theirs.close()


def test_an_answer_that_was_there_when_this_process_stood_still_is_no_silence() -> None:
    of = engine()
    sandbox, theirs = make_sandbox(of)

    def ping() -> bool:  # when the deadline has passed; the thread that reads the stream had not run until now
        answer = encode(Frame(Kind.REPLY, 1, {"ok": True}))
        theirs.sendall(multiplexed(answer))
        wait_until(lambda: bool(sandbox.stream._frames), 10)
        return True

    of.client.api.ping = ping
    reply = sandbox.ask({"op": "bash"}, deadline_s=0.1)
    assert isinstance(reply, Received) and reply.frame.head["ok"]
    sandbox.stream.close()
    theirs.close()


@pytest.mark.parametrize("comes", ["while the engine is asked", "after this process stood still"])
def test_a_guest_that_was_frozen_while_this_process_stood_still_is_not_ended(
    monkeypatch: pytest.MonkeyPatch, comes: str
) -> None:
    sandbox, theirs = make_to_freeze(monkeypatch, is_paused=False, deadline_s=0.1)
    answer = multiplexed(encode(Frame(Kind.REPLY, 1, {"ok": True})))

    def ping() -> bool:  # when the deadline has passed
        if comes == "while the engine is asked":
            theirs.sendall(answer)
            wait_until(lambda: bool(sandbox.stream._frames), 10)
        else:
            sandbox.stream.stood_still_at_s = time.monotonic() + 60.0  # as if its time began only then
            threading.Timer(0.3, theirs.sendall, (answer,)).start()
        return True

    sandbox.engine.client.api.ping = ping  # type: ignore[method-assign]
    sandbox.freeze()
    assert not sandbox.termination_reason
    sandbox.stream.close()
    theirs.close()


def answer_controls(theirs: socket.socket) -> None:
    """As PID 1, one request after the other."""
    for number in range(1, 100):
        if not theirs.recv(4096):
            return
        answer = encode(Frame(Kind.REPLY, number, {"ok": True}))
        theirs.sendall(multiplexed(answer))


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Fleet, Sandbox, list[Any]]]:
    """An episode's sandbox in a fleet, and what its engine says next of its CPU time: the last thing again and again."""
    said: list[Any] = [counted(5.0)]

    def stats(*_: object, **__: object) -> Any:
        now = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(now, Exception):
            raise now
        return now

    monkeypatch.setattr("runner.sandbox.cgroup.ACCOUNT_PAUSE_S", 0.0)
    monkeypatch.setattr("runner.sandbox.container.remove", lambda *_: True)
    of = engine()
    of.client.api.stats, of.client.api.inspect_container = stats, lambda _: {"State": {"Running": True}}
    sandbox, theirs = make_sandbox(of)
    sandbox.place = Placement(1, "0", (("runner.role", "agent"), ("runner.run", "1")))
    threading.Thread(target=answer_controls, args=(theirs,), daemon=True).start()
    live = Fleet(of, "job")
    live._live[sandbox.id] = sandbox
    yield live, sandbox, said
    sandbox.stream.close()
    theirs.close()


HICCUP = docker.errors.APIError("500 Server Error")


def test_an_account_that_the_engine_did_not_give_at_once_is_asked_for_again(
    standing: tuple[Fleet, Sandbox, list[Any]],
) -> None:
    live, _, said = standing
    said[:] = [HICCUP, HICCUP, counted(5.0)]
    with live.frozen("agent"):
        said[:] = [HICCUP, counted(9.0)]
        with pytest.raises(SandboxWoke):
            live.check_frozen(time.monotonic())


def test_nothing_is_measured_beside_a_guest_of_which_the_engine_does_not_say_what_it_uses(
    standing: tuple[Fleet, Sandbox, list[Any]],
) -> None:
    live, sandbox, said = standing
    said[:] = [HICCUP]
    with pytest.raises(EngineFault, match="CPU time"), live.frozen("agent"):
        pass
    said[:] = [counted(5.0)]
    with live.frozen("agent"):
        began_s = time.monotonic()
        for lost in (HICCUP, {}):  # refused, or nothing of a container that runs
            said[:] = [lost]
            with pytest.raises(EngineFault, match="CPU time"):
                live.check_frozen(began_s)
        said[:] = [counted(5.0)]
        assert live.check_frozen(time.monotonic())
    assert not sandbox.termination_reason


def test_an_account_that_began_late_counts_for_what_is_measured_after_it_alone(
    standing: tuple[Fleet, Sandbox, list[Any]],
) -> None:
    live, _, said = standing
    said[:] = [{}]
    with live.frozen("agent"):
        began_s = time.monotonic()
        said[:] = [counted(5.0)]
        for _ in ("the slot that sees it", "another that measured at the time"):
            with pytest.raises(EngineFault, match="did not always say"):
                live.check_frozen(began_s)
        assert live.check_frozen(time.monotonic())
        said[:] = [counted(9.0)]
        with pytest.raises(SandboxWoke):
            live.check_frozen(time.monotonic())


@pytest.mark.parametrize("is_running", [True, False])
def test_where_nothing_is_counted_a_guest_that_runs_cannot_be_seen_and_one_that_ended_need_not(
    standing: tuple[Fleet, Sandbox, list[Any]], is_running: bool
) -> None:
    live, sandbox, said = standing
    said[:] = [{}]
    sandbox.engine.client.api.inspect_container = lambda _: {"State": {"Running": is_running}}
    with live.frozen("agent"):
        assert live.check_frozen(time.monotonic()) is not is_running
    assert not sandbox.termination_reason


def test_a_death_is_watched_from_the_first_account_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([None, 3.0, 4.0, 6.0])
    gone = threading.Event()

    def used(_: object) -> ResourceUsage:
        now = next(told, None)
        if now == 6.0:
            gone.set()
        return ResourceUsage(cpu_s=now)

    monkeypatch.setattr(fleet, "DEATH_LOOK_S", 0.0)
    monkeypatch.setattr(Sandbox, "used", used)
    sandbox, theirs = make_sandbox(engine())
    fleet._watch_death(sandbox, None, gone)
    assert sandbox.dying_cpu_s == 3.0
    sandbox.stream.close()
    theirs.close()


STOPPED_IN_A_WAIT = """
import socket, threading, time
from runner.sandbox.stream import Stream
ours, theirs = socket.socketpair()
stream = Stream(ours, 1)
noting = stream._note_standstill
is_main = lambda: threading.current_thread() is threading.main_thread()
stream._note_standstill = lambda began_s: noting(began_s) if is_main() else time.monotonic()
began_s = time.monotonic()
print("begun", flush=True)
stream.receive(1, lambda: began_s + 4.0 - time.monotonic())
print(stream.stood_still_at_s >= began_s, flush=True)
"""


def test_who_waits_for_an_answer_sees_itself_that_this_process_stood_still(project: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED_IN_A_WAIT], cwd=project, text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.readline() == "True\n"


STOPPED = """
import socket, sys, time
from types import SimpleNamespace
from runner.faults import SandboxLost
from runner.sandbox.container import Sandbox
from runner.sandbox.stream import Stream
ours, theirs = socket.socketpair()
sandbox = Sandbox(None, None, None, "0123456789ab", Stream(ours, 1))
for _ in range(2):
    began_s = time.monotonic()
    print("begun", flush=True)
    sys.stdin.readline()
    time.sleep(0.5)
    try:
        sandbox.check_ran(began_s)
        print("ran", flush=True)
    except SandboxLost as lost:
        print(lost.cause, flush=True)
"""


def test_a_process_that_was_stopped_while_it_measured_says_nothing_of_time(project: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", STOPPED], cwd=project, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        process.send_signal(signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith("this process stood still")
        process.stdin.write("\n")
        process.stdin.flush()
        assert [process.stdout.readline() for _ in range(2)] == ["begun\n", "ran\n"]


def make_remote_sandbox() -> tuple[Sandbox, socket.socket]:
    """A sandbox whose stream is a connection of TCP's, and the other end of that."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    made = Sandbox(engine(), SimpleNamespace(), PLACE, "0123456789ab", Stream(ours, 1024))  # type: ignore[arg-type]
    return made, theirs


def test_a_guest_that_hears_us_and_says_nothing_is_silent() -> None:
    sandbox, theirs = make_remote_sandbox()
    reply = sandbox.ask({"op": "bash"}, deadline_s=1.5)
    assert isinstance(reply, GuestExit) and reply.how is ExitCause.SILENT
    sandbox.stream.close()
    theirs.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's sockets drop what they get")
def test_a_connection_that_is_gone_without_a_word_is_no_silence_of_the_guests() -> None:
    sandbox, theirs = make_remote_sandbox()
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF: take nothing of what comes
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    theirs.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER: its kernel acknowledges nothing, either
    with pytest.raises(SandboxLost, match="leads nowhere any more"):
        sandbox.ask({"op": "bash"}, deadline_s=1.5)
    sandbox.stream.close()
    theirs.close()


class Dying:
    """A container that takes some asking to be gone, and CPU time for as long as it is there."""

    def __init__(self, seconds: float, cpu_share: float) -> None:
        self.killed_s, self.seconds, self.cpu_share = 0.0, seconds, cpu_share

    def remove_container(self, *_: object, **__: object) -> None:
        self.killed_s = self.killed_s or time.monotonic()
        if time.monotonic() - self.killed_s < self.seconds:
            raise docker.errors.APIError("tried to kill container, but did not receive an exit event")
        raise docker.errors.NotFound("no such container")

    def inspect_container(self, _: str) -> dict[str, Any]:
        return {"State": {"Running": True}}

    def used(self) -> ResourceUsage:
        passed_s = time.monotonic() - self.killed_s if self.killed_s else 0.0
        return ResourceUsage(cpu_s=7.0 + self.cpu_share * passed_s)


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Sandbox, Fleet]]:
    def end_one(dying: Dying, *, stopping: bool = False) -> tuple[Sandbox, Fleet]:
        monkeypatch.setattr(fleet, "DEATH_LOOK_S", 0.05)
        monkeypatch.setattr(fleet, "DEATH_S_MAX", 60.0 if stopping else 1.5)
        monkeypatch.setattr(removal, "GONE_DEADLINE_S", 0.2)
        of = whole(dying)
        sandbox, theirs = make_sandbox(of)
        monkeypatch.setattr(Sandbox, "used", lambda _: dying.used())
        live = Fleet(of, "job")
        live._stopping = stopping
        live._end(sandbox)
        theirs.close()
        return sandbox, live

    return end_one


def test_the_end_of_a_sandbox_is_waited_for_however_long_its_processes_take(end: Any) -> None:
    start_s = time.monotonic()
    sandbox, live = end(Dying(0.8, cpu_share=1.0))
    took_s = time.monotonic() - start_s
    assert took_s >= 0.8 and not live.leaks
    assert 0.5 <= sandbox.dying_cpu_s <= took_s


def test_a_slow_engine_is_no_slow_death(end: Any) -> None:
    sandbox, live = end(Dying(0.8, cpu_share=0.0))
    assert not live.leaks and sandbox.dying_cpu_s == 0.0


def test_one_that_never_ends_is_waited_for_up_to_a_bound_and_reported(end: Any) -> None:
    sandbox, live = end(Dying(60.0, cpu_share=1.0))
    assert live.leaks == [sandbox.id] and sandbox.dying_cpu_s > 1.0


def test_whoever_stops_waits_no_longer_than_for_an_ordinary_end(end: Any) -> None:
    start_s = time.monotonic()
    _, live = end(Dying(120.0, cpu_share=1.0), stopping=True)
    assert time.monotonic() - start_s < 30.0 and len(live.leaks) == 1


def test_nothing_is_measured_while_an_episodes_sandbox_is_still_dying(monkeypatch: pytest.MonkeyPatch) -> None:
    dying = Dying(0.5, cpu_share=1.0)
    of = whole(dying)
    sandbox, theirs = make_sandbox(of)
    monkeypatch.setattr(Sandbox, "used", lambda _: dying.used())
    live = Fleet(of, "job")
    ending = threading.Thread(target=live._end, args=(sandbox,))
    ending.start()
    wait_until(lambda: dying.killed_s > 0.0)
    with live.frozen("candidate"):
        assert time.monotonic() - dying.killed_s >= 0.5
    ending.join()
    theirs.close()


def test_what_is_gone_already_is_gone() -> None:
    of = whole(Dying(0.0, 0.0))
    assert remove(of, "0123456789ab")


def test_the_files_of_one_run_share_their_time_and_a_hanging_one_takes_its_part() -> None:
    time_of_run, took = ProbingTime(left_s=PROBING_S + 1.0), []
    for used_s in (PROBING_S, 30.0, 30.0):
        sandbox, theirs = make_sandbox(engine())
        with time_of_run.lent_to(sandbox):
            assert sandbox.asking_left_s is not None
            took.append(min(used_s, sandbox.asking_left_s))
            sandbox.asking_left_s -= took[-1]
        sandbox.stream.close()
        theirs.close()
    assert took == [PROBING_S, 1.0, 0.0] and time_of_run.left_s == 0.0


class Refusing:
    """An engine that answers 500 to whatever it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def refuse(self, *_: object, **__: object) -> None:
        self.asked += 1
        answer = SimpleNamespace(status_code=500, reason="", url="")
        raise docker.errors.APIError("no", answer)

    remove_container = inspect_container = refuse


def test_an_engine_that_refuses_whatever_it_is_asked_is_not_asked_for_long() -> None:
    refusing = Refusing()
    began_s = time.monotonic()
    assert not remove(whole(refusing), "0123456789ab", patience_s=600.0)
    assert time.monotonic() - began_s < 60.0 and refusing.asked < 20


def test_one_that_ended_and_stays_on_the_engine_is_waited_for_no_longer_than_an_ordinary_removal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stays(Dying):
        def inspect_container(self, _: str) -> dict[str, Any]:
            return {"State": {"Running": False}}

    monkeypatch.setattr(removal, "GONE_DEADLINE_S", 0.5)
    began_s = time.monotonic()
    assert not remove(whole(Stays(600.0, 0.0)), "0123456789ab", patience_s=600.0)
    assert time.monotonic() - began_s < 60.0
