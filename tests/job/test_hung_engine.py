"""An engine that takes connections and answers nothing any more, from any moment of a job on: the job ends, and it is not
the agent's failure. Without a bound each of the engine's calls could take a minute, and some could take for ever."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.faults import EngineFault, Interrupted
from runner.records.outcome import OutcomeKind
from runner.sandbox import container, fleet, patience
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import AGENT_ROLE
from runner.settings import Settings
from runner.tasks.task import Task
from tests.conftest import Cli, wait_until
from tests.fakes.docker_engine import FakeEngine
from tests.fakes.faulty_jobs import OWN, SPEC, TIMEOUT_S, Played, answer_of, load, play

pytestmark = pytest.mark.slow
# Against the minutes that the deadlines of one call after another would take together, as they are below.
ENDS_S = 90.0
INTERRUPTED = 130
RUN = "--runs 2 --agent oracle --task slow_nbody --scale small --max-rounds 1 --no-analysis --quiet".split()
LONG_S = 3600.0  # patience with the engine that nobody has
# Jobs until one comes to the moment: with so little patience, a busy machine looks like an engine that hangs before.
TRIES_MAX = 5
# The engine's call, or what a guest is asked, from which on nothing is answered; and which of them.
MOMENTS = [
    ("POST /containers/create", 1),
    ("POST /containers/create", 3),
    ("POST /containers/ID/attach", 2),
    ("POST /containers/ID/attach", 4),
    ("POST /containers/ID/start", 1),
    ("POST /containers/ID/start", 6),
    ("GET /containers/ID/json", 1),
    ("GET /containers/ID/stats", 1),
    ("POST /containers/ID/update", 1),
    ("POST /containers/ID/update", 4),
    ("DELETE /containers/ID", 1),
    ("DELETE /containers/ID", 8),
    ("GET /containers/json", 1),
    ("toolserver create", 1),
    ("toolserver collect", 2),
    ("reader read", 1),
    ("driver facts", 1),
    ("driver setup", 4),
    ("driver go", 1),
    ("driver go", 5),
]


@pytest.fixture(scope="module")
def task() -> Task:
    return load()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines a tenth, so that what is proven for the table holds for jobs that take their time."""
    monkeypatch.setattr(patience, "PROBE_S", 0.5)
    monkeypatch.setattr(patience, "SILENT_S", 1.5)
    monkeypatch.setattr(patience, "STOPPED_S", 0.5)
    monkeypatch.setattr(patience, "STOPPED_AGAIN_S", 0.1)
    monkeypatch.setattr(container, "LOOK_S", 2.0)
    monkeypatch.setattr(container, "FREEZE_DEADLINE_S", 3.0)
    for module in (container, fleet):
        monkeypatch.setattr(module, "HELLO_DEADLINE_S", 6.0)


@pytest.fixture
def fake(tmp_path: Path, task: Task) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock", answer_of(task)) as engine:
        yield engine


@pytest.mark.parametrize(("moment", "number"), MOMENTS)
def test_a_job_whose_engine_hangs_ends_and_can_go_on(task: Task, tmp_path: Path, moment: str, number: int) -> None:
    may_run_on = moment in ("DELETE /containers/ID", "GET /containers/json")  # there, all is final by then
    ended: object = None
    for attempt in range(TRIES_MAX):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        with FakeEngine(folder / "docker.sock", answer_of(task)) as fake:
            fake.hang_at(moment, number)
            try:
                ended = check_end(fake, task, folder, may_run_on=may_run_on)
            except EngineFault as fault:  # before there was a job
                assert not fake.hung.is_set()
                ended = fault
            if fake.hung.is_set():
                check_going_on(fake, task, folder)
                return
    pytest.fail(f"no job comes to {moment} {number}; the last one ended so: {ended}")


def check_end(fake: FakeEngine, task: Task, folder: Path, *, may_run_on: bool) -> Played:
    """Play a job whose engine hangs at some time; it ends, and by the engine's fault."""
    began_s = time.monotonic()
    ended = play(fake, task, folder, patience_s=TIMEOUT_S)
    assert time.monotonic() - began_s < ENDS_S
    # What is left is the engine's to remove.
    assert [each for each in ended.wrong if not each.startswith("left: ")] == []
    spoiled = [run.outcome for run in ended.runs.values() if run.outcome.kind is OutcomeKind.INFRASTRUCTURE]
    assert all("answer" in outcome.reason and outcome.hint for outcome in spoiled), spoiled
    assert spoiled or may_run_on or not fake.hung.is_set()
    return ended


def check_going_on(fake: FakeEngine, task: Task, folder: Path) -> None:
    """Go on with a job whose engine hung, once it is back; nothing was lost or altered."""
    fake.recover()
    wait_until(lambda: all(each.status == "created" for each in list(fake.containers.values())))
    again = play(fake, task, folder, resumed=True)
    assert again.fault is None and again.wrong == () and {run.outcome.kind for run in again.runs.values()} <= OWN


@pytest.mark.parametrize(
    "moment",
    [
        "GET /version",
        "GET /containers/json",
        "POST /containers/create",
        "POST /containers/ID/attach",
        "POST /containers/ID/start",
        "GET /containers/ID/json",
        "toolserver create",
        "DELETE /containers/ID",
        "driver setup",
        "driver go",
    ],
)
def test_ctrl_c_ends_a_job_whose_engine_hangs(start_plain: Cli, fake: FakeEngine, tmp_path: Path, moment: str) -> None:
    fake.hang_at(moment)
    check_ctrl_c(start_plain, fake, tmp_path)


@pytest.mark.parametrize("answers_pings", [False, True])
@pytest.mark.parametrize("number", range(3, 180, 22))
def test_ctrl_c_ends_a_job_at_whichever_call_its_engine_begins_to_hang(
    start_plain: Cli, fake: FakeEngine, tmp_path: Path, number: int, answers_pings: bool
) -> None:
    fake.hung_answers_pings = answers_pings
    fake.hang_at_any(number)
    check_ctrl_c(start_plain, fake, tmp_path)


def check_ctrl_c(start_plain: Cli, fake: FakeEngine, folder: Path) -> None:
    """Start a job, wait until its engine hangs, and interrupt it; it ends, though it has all the patience there is."""
    environment = {
        "DOCKER_HOST": fake.url,
        "RUNNER_ENGINE_TIMEOUT_S": str(LONG_S),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    process = start_plain(*RUN, "--output", str(folder), env=environment)
    wait_until(lambda: fake.hung.is_set() or process.poll() is not None, ENDS_S)
    # So that it waits for the answer, and whoever watches the end of a container for the next one.
    time.sleep(fleet.DEATH_LOOK_S + 0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=ENDS_S)
    assert fake.hung.is_set() and process.returncode == INTERRUPTED and "Traceback" not in out + err, out + err


# A sandbox


def open_engine(fake: FakeEngine, patience_s: float = TIMEOUT_S) -> Engine:
    return find_engine(Settings(docker_host=fake.url, engine_timeout_s=patience_s))


def test_a_sandbox_that_cannot_be_frozen_since_the_engine_hangs_is_not_its_guests_doing(fake: FakeEngine) -> None:
    live = Fleet(open_engine(fake), "frozen")
    with contextlib.ExitStack() as opened:
        mine = [
            opened.enter_context(live.open(SPEC, "toolserver", role=AGENT_ROLE, cpuset="0", run="1")) for _ in range(6)
        ]
        fake.hang_at("toolserver freeze", 3)
        began_s = time.monotonic()
        with pytest.raises(EngineFault, match="did not answer in time"), live.frozen(AGENT_ROLE):
            pass
        assert time.monotonic() - began_s < 4 * container.FREEZE_DEADLINE_S  # not six times that, and six for the thaw
        assert [sandbox.termination_reason for sandbox in mine] == [""] * 6
        with pytest.raises(EngineFault, match="did not answer in time"):
            mine[0].ask({"op": "bash"}, b"true", deadline_s=1.0)


@pytest.mark.parametrize(
    "moment", [moment for moment, _ in MOMENTS if moment.startswith(("POST", "GET", "DELETE"))][:10]
)
def test_whoever_is_stopped_waits_for_no_answer(fake: FakeEngine, moment: str) -> None:
    live = Fleet(open_engine(fake, LONG_S), "stopped")
    fake.hang_at(moment)
    ended: list[BaseException | None] = []

    def use() -> None:
        try:
            with live.open(SPEC, "toolserver", role=AGENT_ROLE, cpuset="0", run="1") as sandbox:
                sandbox.pin("1")
            ended.append(None)
        except (EngineFault, Interrupted) as fault:
            ended.append(fault)

    user = threading.Thread(target=use)
    user.start()
    wait_until(fake.hung.is_set)
    began_s = time.monotonic()
    live.stop()
    user.join(ENDS_S)
    assert not user.is_alive() and time.monotonic() - began_s < ENDS_S and len(ended) == 1


def test_the_engines_other_users_keep_their_patience_when_one_is_stopped(fake: FakeEngine) -> None:
    engine = open_engine(fake, ENDS_S)
    stopped, other = Fleet(engine, "stopped"), Fleet(engine, "other")
    stopped.stop()
    late = threading.Event()
    fake.hangs_at = lambda call: call == "POST /containers/create" and late.wait(2 * patience.STOPPED_S)
    with other.open(SPEC, "toolserver", role=AGENT_ROLE, cpuset="0", run="1"):
        pass
    assert other.containers_left() == []


@pytest.mark.parametrize("name", ["x", None])
def test_a_container_that_comes_after_its_job_was_stopped_is_removed_named_or_not(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    monkeypatch.setattr(patience, "STOPPED_S", 0.1)
    engine, left, create, made = open_engine(fake, LONG_S).part(), threading.Event(), fake.create, list[object]()
    fake.hangs_at = lambda call: call == "POST /containers/create" and not left.wait(ENDS_S)
    fake.create = lambda *asked: (made.append(asked), create(*asked))[1]  # type: ignore[method-assign]
    engine.hurry()
    asks(lambda: engine.client.api.create_container_from_config({"Labels": {}}, name=name))
    left.set()
    wait_until(lambda: bool(made) and not fake.containers)


# Calls


def asks(do: Callable[[], object]) -> float:
    """Seconds that a call takes to fail."""
    began_s = time.monotonic()
    with pytest.raises(Exception, match=r"answer|timed out"):
        do()
    return time.monotonic() - began_s


def test_calls_that_the_sdk_lets_wait_for_ever_end_too(fake: FakeEngine) -> None:
    api = open_engine(fake).client.api
    made = api.create_container_from_config({"Labels": {}}, name="x")["Id"]
    fake.hang_at("GET /events")
    assert asks(lambda: list(api.events(filters={"container": made}))) < ENDS_S
    assert asks(lambda: api.wait(made)) < ENDS_S


def test_an_engine_that_hangs_is_waited_for_once_and_not_at_each_call(fake: FakeEngine) -> None:
    api = open_engine(fake, 5.0).client.api
    fake.hang_at("GET /info")
    first_s = asks(api.info)
    assert first_s >= 5.0
    assert sum(asks(api.info) for _ in range(20)) < 20 * first_s / 2


def test_an_engine_that_answers_again_is_asked_again(fake: FakeEngine) -> None:
    api = open_engine(fake).client.api
    fake.hang_at("GET /info")
    asks(api.info)
    fake.recover()
    time.sleep(patience.SILENT_S)
    assert api.info()["NCPU"] == fake.ncpu


def test_an_engine_that_answers_pings_is_asked_each_time(fake: FakeEngine) -> None:
    api = open_engine(fake).client.api
    for _ in range(3):  # one call is lost, the next is answered
        fake.plan = {fake.calls: "hang"}
        asks(api.info)
        fake.plan = {}
        assert api.info()["NCPU"] == fake.ncpu


def test_an_answer_that_drips_is_not_waited_for_either(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    api = open_engine(fake, 2.0).client.api
    plain = api.send.plain

    def drips(request: object, **how: object) -> object:
        for _ in range(600):  # each byte in time, and all of them never
            time.sleep(0.1)
        return plain(request, **how)

    api.send.plain = drips
    assert asks(api.info) < 30.0
