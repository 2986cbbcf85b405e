"""Every live sandbox has a user id of its own, whoever opened it: what the kernel counts for a user, no two share."""

import contextlib
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.episode.tools import run_tool
from runner.faults import EngineFault
from runner.records.episode import ToolCall
from runner.sandbox import fleet as fleets
from runner.sandbox.container import Sandbox
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import UID_COUNT, UID_FIRST, Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from tests.fakes.docker_engine import FakeEngine
from tests.fakes.faulty_jobs import SPEC


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock") as engine:
        yield engine


def job_on(engine: FakeEngine, name: str) -> Fleet:
    return Fleet(find_engine(Settings(docker_host=engine.url, engine_timeout_s=10.0)), name)


def test_the_ids_are_nobodys_and_fit_into_a_user_namespace() -> None:
    assert UID_FIRST > 60_513, "people's, and those of home folders"
    assert UID_FIRST + UID_COUNT - 1 < 61_184, "those of services; and 65536"


@pytest.mark.slow
def test_sandboxes_of_two_jobs_never_share_an_id(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "UID_COUNT", 12)
    jobs = [job_on(fake, "one"), job_on(fake, "two")]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(4) as pool:

        def open_one(number: int) -> int:
            opened = jobs[number % 2].open(SPEC, "toolserver", role="agent", cpuset="0")
            return stack.enter_context(opened).place.uid

        uids = list(pool.map(open_one, range(12)))
        assert sorted(uids) == list(range(UID_FIRST, UID_FIRST + 12))
        with pytest.raises(EngineFault, match="all 12 user ids of sandboxes are in use"):
            open_one(0)
    with jobs[0].open(SPEC, "toolserver", role="agent", cpuset="0") as sandbox:
        assert sandbox.place.uid in uids, "an id comes back with the end of its sandbox"


@pytest.mark.slow
def test_a_creation_whose_answer_was_lost_never_costs_another_its_sandbox(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "UID_COUNT", 1)
    one, two = job_on(fake, "one"), job_on(fake, "two")
    with one.open(SPEC, "toolserver", role="agent", cpuset="0") as sandbox:
        fake.plan = {fake.calls: "lost"}
        with pytest.raises(EngineFault), two.open(SPEC, "toolserver", role="agent", cpuset="0"):
            pytest.fail("its id is in use")
        assert fake.struck and list(fake.containers) == [sandbox.id]
    fake.plan = {fake.calls: "lost"}
    with pytest.raises(EngineFault), two.open(SPEC, "toolserver", role="agent", cpuset="0"):
        pytest.fail("its answer was lost")
    assert len(fake.struck) == 2 and fake.containers == {}, "what was made in vain is gone, and its id is free"


# On the real engine: all that the kernel counts for a user or for the host

HOG = """
import fcntl, os, select, socket, time
def until_refused(take):
    try:
        for _ in range(900):
            kept.append(take())
    except OSError:
        pass
def pipe():
    ends = os.pipe()
    fcntl.fcntl(ends[0], 1031, 1 << 20)
    return ends
def locked():
    descriptor = os.open(f"/tmp/lock{len(kept)}", os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def checked(value):
    if value < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return value
takers = [pipe, locked, lambda: checked(libc.inotify_init()), select.epoll, lambda: checked(libc.eventfd(0, 0)),
          socket.socket, lambda: checked(libc.timerfd_create(1, 0))]
try:
    print("a terminal", os.openpty())
except OSError:
    print("no terminal")
for take in takers * 5:
    if os.fork() == 0:
        kept = []
        until_refused(take)
        os.close(1)
        os.close(2)
        time.sleep(40)
        os._exit(0)
time.sleep(3)
"""
NEIGHBOUR = """
import ctypes, fcntl, os, select, signal, socket
libc = ctypes.CDLL(None)
read, write = os.pipe()
print("pipe", fcntl.fcntl(read, 1032))
print("grown", fcntl.fcntl(read, 1031, 1 << 20))
print("inotify", libc.inotify_init() >= 0, "eventfd", libc.eventfd(0, 0) >= 0, "timer", libc.timerfd_create(1, 0) >= 0)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
print("signals", sum(libc.sigqueue(os.getpid(), signal.SIGRTMIN, 0) == 0 for _ in range(100)))
descriptor = os.open("/tmp/lock", os.O_CREAT | os.O_RDWR)
fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("epoll", select.epoll().fileno() >= 0, "socket", socket.socket().fileno() >= 0, "pids", os.fork() >= 0 or os._exit(0))
"""


def said(sandbox: Sandbox, program: str) -> str:
    text = f"cat > /tmp/p.py <<'EOF'\n{program}\nEOF\npython3 /tmp/p.py"
    outcome = run_tool(sandbox, ToolCall("1", "bash", {"command": text}), 1 << 20, 60.0)
    return outcome.result.text  # type: ignore[union-attr]


def test_a_sandbox_that_takes_all_it_gets_takes_nothing_from_two_beside_it(
    engine: Engine, fleet: Fleet, nbody_spec: SandboxSpec
) -> None:
    other = Fleet(engine, f"test-{secrets.token_hex(4)}")
    cpus = all_cpus(engine)
    with (
        fleet.open(nbody_spec, "toolserver", role="agent", cpuset=cpus) as hog,
        fleet.open(nbody_spec, "toolserver", role="agent", cpuset=cpus) as one,
        other.open(nbody_spec, "toolserver", role="agent", cpuset=cpus) as two,
    ):
        before = [said(each, NEIGHBOUR) for each in (one, two)]
        assert "pipe 65536\ngrown 1048576" in before[0] and "signals 100" in before[0] and "exit status 0" in before[0]
        taken = said(hog, HOG)
        assert "exit status 0" in taken and taken.startswith("no terminal\n"), "the host has one pool of these"
        assert [said(each, NEIGHBOUR) for each in (one, two)] == before
