"""The measuring slot is one for each machine, and its loss is noticed: with an engine that is none."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from runner.faults import EngineFault, Interrupted, SandboxLost
from runner.sandbox import lock
from runner.sandbox.engine import Engine, _facts
from runner.sandbox.image import _short_id
from runner.sandbox.lock import MeasuringSlot, lock_name
from runner.sandbox.stream import Stream
from tests.builders import ENGINE_INFO

HOLD = """
import sys, time
from types import SimpleNamespace
from runner.sandbox.lock import _machine_slot
with _machine_slot(SimpleNamespace(is_on_this_machine=True), sys.argv[1], print, lambda: False):
    print("held", flush=True)
    time.sleep(60)
"""


def engine_with(inspect: Callable[[], Any]) -> Any:
    return SimpleNamespace(client=SimpleNamespace(api=SimpleNamespace(inspect_container=lambda _: inspect())))


def running(is_running: bool = True) -> Callable[[], Any]:
    return lambda: {"State": {"Running": is_running}}


def gone() -> Any:
    raise docker.errors.NotFound("no such container")


def silent() -> Any:
    raise docker.errors.DockerException("no route")


def test_a_slot_that_is_held_is_held() -> None:
    ours, theirs = socket.socketpair()
    MeasuringSlot(engine_with(running()), "id", ours).check()
    theirs.close()


def test_a_slot_is_looked_at_whatever_number_its_descriptor_has() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(fileno=fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 1100)) as high:
        MeasuringSlot(engine_with(running()), "id", high).check()


@pytest.mark.parametrize("inspect", [running(), running(False), gone])
def test_a_slot_whose_stream_was_cut_or_whose_holder_has_ended_is_lost(inspect: Callable[[], Any]) -> None:
    ours, theirs = socket.socketpair()
    if inspect is not gone:
        theirs.close()
    with pytest.raises(SandboxLost, match="the measuring slot was lost"):
        MeasuringSlot(engine_with(inspect), "id", ours).check()
    ours.close()


def test_of_a_slot_of_an_engine_that_does_not_answer_nothing_is_said() -> None:
    ours, theirs = socket.socketpair()
    with pytest.raises(EngineFault, match="looking at the measuring slot"):
        MeasuringSlot(engine_with(silent), "id", ours).check()
    theirs.close()


def slot(name: str, *, here: bool = True, stopped: Callable[[], bool] = lambda: False) -> Any:
    return lock._machine_slot(SimpleNamespace(is_on_this_machine=here), name, lambda text: None, stopped)  # type: ignore[arg-type]


@pytest.mark.slow
def test_two_engines_of_one_machine_have_one_slot_and_another_machines_has_its_own(project: Path) -> None:
    name = lock_name("test-machine")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, name], cwd=project, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    answers = iter([False, True])
    with pytest.raises(Interrupted), slot(name, stopped=lambda: next(answers)):
        pytest.fail("it was held already")
    with slot(lock_name("another-cpu")), slot(name, here=False):
        pass
    holder.kill()
    holder.communicate()
    with slot(name):
        pass


@contextlib.contextmanager
def forked() -> Iterator[None]:
    """A child that this process forked, as an agent's library does, is there meanwhile."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.slow
def test_a_child_that_an_agent_forked_does_not_hold_the_slot_any_longer_than_we_do() -> None:
    name = lock_name("test-forked")
    with contextlib.ExitStack() as stack:
        with slot(name):
            stack.enter_context(forked())
        waited = iter(20 * [False] + [True])  # the child closes what it got in its own time
        with slot(name, stopped=lambda: next(waited)):
            pass


@pytest.mark.slow
def test_a_child_that_an_agent_forked_keeps_no_stream_open() -> None:
    ours, theirs = socket.socketpair()
    stream = Stream(ours, 1)
    with forked():
        os.close(ours.detach())  # as the kernel does when this process is killed: nobody shuts it down
        theirs.settimeout(10)
        assert theirs.recv(1) == b""
    stream.close()
    theirs.close()


@pytest.mark.parametrize(
    ("url", "here"),
    [("unix:///x", True), ("tcp://127.0.0.1:2375", True), ("tcp://localhost:1", True), ("tcp://10.0.0.1:1", False)],
)
def test_an_engine_is_on_this_machine_by_its_address(url: str, here: bool) -> None:
    assert Engine(url, None, _facts(ENGINE_INFO, {})).is_on_this_machine is here


def test_builds_on_two_engines_do_not_wait_for_each_other_and_on_one_engine_they_do() -> None:
    facts = _facts({**ENGINE_INFO, "ID": "A"}, {})
    one, same = Engine("unix:///x", None, facts), Engine("tcp://127.0.0.1:1", None, facts)
    other = Engine("unix:///x", None, replace(facts, id="B"))
    assert _short_id(one) == _short_id(same) != _short_id(other)
    assert _short_id(Engine("unix:///x", None, _facts(ENGINE_INFO, {}))) != _short_id(
        Engine("unix:///y", None, _facts(ENGINE_INFO, {}))
    )
