"""What the tests share: the real engine, the real images, sandboxes that are gone afterwards, the program itself.

A test that uses the engine, through whatever fixture, carries the marker `engine`; one that starts the program, or takes its
time for another reason, `slow`. `make test-fast` runs the others. A missing engine fails the suite; it does not skip. Every
test has an environment of its own (`tests/environment.py`).
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from runner.job.setup import build_spec, load_task
from runner.sandbox.container import Sandbox
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings, project_folder
from runner.tasks.task import Task
from tests.environment import clean_environment

# `make fuzz`: as many cases as a stranger would ask for; the ordinary run keeps to the library's default.
hypothesis.settings.register_profile("fuzz", max_examples=10_000, deadline=None)

NOWHERE = "unix:///nowhere/docker.sock"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the engine, and what starts the program."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "engine" in fixtures:
            item.add_marker(pytest.mark.engine)
        if "start_plain" in fixtures:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Ctrl-C reaches what the tests start, also where a shell started them in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A home without anybody's settings, caches and certificates."""
    return str(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _environment(home: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same surroundings for every test; session fixtures, which build images, still see the user's own."""
    wanted = clean_environment(home)
    for name in set(os.environ) - set(wanted):
        monkeypatch.delenv(name)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="session")
def engine() -> Engine:
    return find_engine(Settings())


@pytest.fixture(scope="session")
def nbody() -> Task:
    return load_task(Settings(), "slow_nbody")


@pytest.fixture(scope="session")
def nbody_spec(engine: Engine, nbody: Task) -> SandboxSpec:
    return build_spec(engine, nbody, Settings(), print)[0]


@pytest.fixture
def fleet(engine: Engine) -> Iterator[Fleet]:
    """Sandboxes of one test; whatever it opened must be gone at its end."""
    fleet = Fleet(engine, f"test-{secrets.token_hex(4)}")
    yield fleet
    fleet.stop()
    assert containers_of(engine, fleet.job) == []


@pytest.fixture
def sandbox(fleet: Fleet, nbody_spec: SandboxSpec) -> Iterator[Sandbox]:
    with fleet.open(nbody_spec, "toolserver", role="agent", cpuset=all_cpus(fleet.engine)) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def project() -> Path:
    return project_folder()


Cli = Callable[..., subprocess.Popen[str]]
Run = Callable[..., subprocess.CompletedProcess[str]]


@contextlib.contextmanager
def _programs(project: Path, home: str) -> Iterator[Cli]:
    """Starts `python -m runner ...` where there is no engine; what is left running at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def go(
        *arguments: str, env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        environment = {**clean_environment(home), "DOCKER_HOST": NOWHERE, **(env or {})}
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "runner", *arguments],
                cwd=project,
                env={name: value for name, value in environment.items() if value},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield go
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _with_engine(start_plain: Cli, engine: Engine) -> Cli:
    # A context is named in the user's own home, which the program does not see here.
    host = engine.url if engine.found.startswith("docker context") else os.environ.get("DOCKER_HOST", "")

    def go(*arguments: str, env: Mapping[str, str] | None = None, **how: int) -> subprocess.Popen[str]:
        return start_plain(*arguments, env={"DOCKER_HOST": host, **(env or {})}, **how)

    return go


def _to_its_end(start: Cli) -> Run:
    def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        process = start(*arguments, env=env)
        out, err = process.communicate(timeout=900)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def start_plain(project: Path, home: str) -> Iterator[Cli]:
    """Start `python -m runner ...` where there is no engine; what a test leaves running is killed."""
    with _programs(project, home) as start:
        yield start


@pytest.fixture
def start(start_plain: Cli, engine: Engine, nbody_spec: SandboxSpec) -> Cli:
    """Start `python -m runner ...` with the engine and its images."""
    return _with_engine(start_plain, engine)


@pytest.fixture
def plain_cli(start_plain: Cli) -> Run:
    """Run `python -m runner ...` to its end, where there is no engine."""
    return _to_its_end(start_plain)


@pytest.fixture
def cli(start: Cli) -> Run:
    """Run `python -m runner ...` to its end, with the engine."""
    return _to_its_end(start)


@pytest.fixture(scope="session")
def shared_cli(project: Path, home: str, engine: Engine, nbody_spec: SandboxSpec) -> Iterator[Run]:
    """As `cli`, for a job that is played once and read by several tests."""
    with _programs(project, home) as start:
        yield _to_its_end(_with_engine(start, engine))


@pytest.fixture
def in_process(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """As `plain_cli`, without a process of its own: for command lines that end before anything starts, by the dozen."""
    from runner.cli.app import main

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            patch.chdir(project)
            # What the program is called in its own words follows from these two.
            patch.setattr(sys, "argv", [str(project / "runner" / "__main__.py"), *arguments])
            patch.setattr(sys.modules["__main__"], "__package__", "runner")
            for name, value in {"DOCKER_HOST": NOWHERE, **(env or {})}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, ended.value.code or 0, said.out, said.err)  # type: ignore[arg-type]

    return run


def containers_of(engine: Engine, job: str) -> list[str]:
    """Roles of a job's containers, whatever their state."""
    found = engine.client.api.containers(all=True, filters={"label": f"runner.job={job}"})
    return [entry["Labels"]["runner.role"] for entry in found]


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> float:
    """Wait for something to become true; the seconds that it took."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds, f"not within {seconds:g} s"
        time.sleep(0.02)
    return time.monotonic() - start
