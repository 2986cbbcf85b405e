"""A job that is stopped while its sandboxes are at any stage leaves none of them, also where the engine takes its time."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.faults import Interrupted
from runner.sandbox import patience
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import AGENT_ROLE
from runner.settings import Settings
from tests.conftest import wait_until
from tests.fakes.docker_engine import Container, FakeEngine
from tests.fakes.faulty_jobs import SPEC

pytestmark = pytest.mark.slow

ENDS_S = 90.0
STAGES = [
    "POST /containers/create",
    "POST /containers/ID/attach",
    "POST /containers/ID/start",
    "toolserver bash",
    "GET /containers/ID/json",
    "DELETE /containers/ID",
]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock") as engine:
        yield engine


@pytest.fixture
def live(fake: FakeEngine) -> Fleet:
    return Fleet(find_engine(Settings(docker_host=fake.url)), "stopped")


class Agents:
    """Two sandboxes that are opened and used side by side, stopped at a stage; what they came to."""

    def __init__(self, fake: FakeEngine, live: Fleet, stage: str) -> None:
        self.live, self.stage = live, stage
        self.reached, self.go = threading.Semaphore(0), threading.Event()
        self.ended: list[BaseException | None] = []
        fake.hangs_at = self._at
        fake.on_request = lambda program, op: self._at(f"{program} {op}") and None
        self.threads = [threading.Thread(target=self._use) for _ in range(2)]
        for thread in self.threads:
            thread.start()
        for _ in self.threads:
            assert self.reached.acquire(timeout=ENDS_S)

    def _at(self, what: str) -> bool:
        if what == self.stage and not self.go.is_set():
            self.reached.release()
            self.go.wait(ENDS_S)
        return False

    def _use(self) -> None:
        try:
            with self.live.open(SPEC, "toolserver", role=AGENT_ROLE, cpuset="0", run="1") as sandbox:
                sandbox.ask({"op": "bash"}, b"true", deadline_s=ENDS_S)
            self.ended.append(None)
        except Interrupted as fault:
            self.ended.append(fault)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(ENDS_S)
        assert len(self.ended) == 2


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_being_made_when_the_job_is_stopped_is_gone_at_its_end(
    fake: FakeEngine, live: Fleet, stage: str
) -> None:
    agents = Agents(fake, live, stage)
    live.stop()
    agents.go.set()
    agents.join()
    live.remove_rest()
    assert fake.containers == {} and live.live() == []
    assert all(isinstance(fault, Interrupted) for fault in agents.ended) or stage == STAGES[-1]


def test_what_the_engine_makes_after_nobody_waited_for_it_any_more_does_not_stay(
    fake: FakeEngine, live: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "STOPPED_S", 0.3)
    monkeypatch.setattr(patience, "PROBE_S", 0.3)
    agents = Agents(fake, live, STAGES[0])
    live.stop()
    agents.join()
    live.remove_rest()
    assert all(isinstance(fault, Interrupted) for fault in agents.ended) and fake.containers == {}
    made: list[str] = []
    create = fake.create
    fake.create = lambda name, body: (made.append(name), create(name, body))[1]  # type: ignore[method-assign]
    agents.go.set()
    wait_until(lambda: len(made) == 2)
    wait_until(lambda: fake.containers == {})


def test_an_engine_that_takes_its_time_to_remove_is_waited_for(fake: FakeEngine, live: Fleet) -> None:
    agents = Agents(fake, live, "toolserver bash")
    until_s = time.monotonic() + 3.0
    fake.is_removing = lambda container: time.monotonic() < until_s
    live.stop()
    agents.go.set()
    agents.join()
    live.remove_rest()
    assert fake.containers == {} and live.leaks == [] and live.containers_left() == []


def test_what_the_engine_lists_although_it_is_removed_is_waited_for(fake: FakeEngine, live: Fleet) -> None:
    agents = Agents(fake, live, "toolserver bash")
    mine = list(fake.containers.values())
    until_s = time.monotonic() + 3.0

    def ghosts() -> list[Container]:
        return [each for each in mine if each.id not in fake.containers] if time.monotonic() < until_s else []

    fake.ghosts = ghosts
    live.stop()
    agents.go.set()
    agents.join()
    live.remove_rest()
    assert live.containers_left() == []
