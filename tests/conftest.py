"""What the tests share: the real engine, the real images, sandboxes that are gone afterwards, the program itself.

A test that uses the engine, through whatever fixture, carries the marker `engine`, and `measures` where it may measure; one
that starts the program, or takes its time for another reason, `slow`. `make test-fast` runs what is neither `engine` nor
`slow`, `tests/suite.py` everything. A missing engine fails the suite; it does not skip. Every test has an environment of its
own (`tests/environment.py`).
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from runner.job.setup import build_spec, load_task
from runner.sandbox.container import Sandbox
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import resolve_image
from runner.sandbox.lock import all_cpus, measurement_cpu, measurement_lock
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from runner.tasks.task import Task
from tests.environment import clean_environment

# A busy machine makes no finding: no example has a deadline.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")
# `make fuzz`: as many cases as a stranger would ask for; the ordinary run keeps to the library's default.
hypothesis.settings.register_profile("fuzz", max_examples=10_000, deadline=None)
# For a developer who waits: a fifth of the usual examples; `make test` tries them all.
hypothesis.settings.register_profile("fast", max_examples=20, deadline=None)

IMAGES = ("base", "ml", "parse", "c")
NOWHERE = "unix:///nowhere/docker.sock"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the engine, what may measure on it, and what starts the program."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "engine" in fixtures:
            item.add_marker(pytest.mark.engine)
        if "measuring_cpu" in fixtures:
            item.add_marker(pytest.mark.measures)
        if "start_plain" in fixtures:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Ctrl-C and hang-ups reach what the tests start, also where a shell in the background, or nohup, ignores them here."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # no other program inherits a handler


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
def measuring_cpu(engine: Engine) -> str:
    """The CPU that samples run on. Whatever grades takes this fixture, mostly by another: it marks the test."""
    return measurement_cpu(engine)


@pytest.fixture(scope="session")
def images(engine: Engine) -> None:
    """Every image that tests need, built here, where the user's own home holds the lock on building.

    A program that a test starts has another home, so that two parts of the suite could build the same image side by side.
    """
    for name in IMAGES:
        resolve_image(engine, name, Settings(), say=print)


@pytest.fixture(scope="session")
def nbody() -> Task:
    return load_task(Settings(), "slow_nbody")


# A file that is crashed after one round, where a verdict on speed takes three: for tests that are not about measuring.
CRASHES = "x = 1\n"


@pytest.fixture
def make_task(project: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of slow_nbody with one scripted episode for each command; those of `submits` end with submitting."""

    def make(*commands: str, submits: Collection[int] = ()) -> Path:
        folder = tmp_path / "task"
        shutil.copytree(project / "problem_data" / "slow_nbody", folder)
        shutil.rmtree(folder / "episodes")
        (folder / "episodes").mkdir()
        for number, command in enumerate(commands, 1):
            calls = [f'tool = "bash"\ninput = {{ command = "{command}" }}\n']
            if number in submits:
                calls.append('tool = "submit"\ninput = { path = "optimized_nbody.py" }\n')
            text = "[[turns]]\n" + "".join(f"[[turns.calls]]\n{call}" for call in calls)
            (folder / "episodes" / f"{number:02d}.toml").write_text(text)
        return folder

    return make


@pytest.fixture
def broken_task(make_task: Callable[..., Path]) -> Path:
    """A task whose every scripted episode submits a file that crashes."""
    return make_task("echo x = 1 > optimized_nbody.py", submits=[1])


@pytest.fixture(scope="session")
def nbody_spec(engine: Engine, nbody: Task, images: None) -> SandboxSpec:
    return build_spec(engine, nbody, Settings(), print)[0]


Slot = Callable[[], contextlib.AbstractContextManager[str]]


@pytest.fixture(scope="session")
def measuring_slot(engine: Engine, nbody_spec: SandboxSpec, measuring_cpu: str) -> Slot:
    """Holds the measuring slot, as every runner on this machine does while it measures; gives the CPU."""

    @contextlib.contextmanager
    def hold() -> Iterator[str]:
        with measurement_lock(engine, nbody_spec.image_id, nbody_spec.python, measuring_cpu, say=print):
            yield measuring_cpu

    return hold


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
    return Path(__file__).resolve().parents[1]


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
def start(start_plain: Cli, engine: Engine, nbody_spec: SandboxSpec, measuring_cpu: str) -> Cli:
    """Start `python -m runner ...` with the engine and its images; it may grade."""
    return _with_engine(start_plain, engine)


@pytest.fixture
def start_ungraded(start_plain: Cli, engine: Engine, nbody_spec: SandboxSpec, tmp_path: Path) -> Iterator[Cli]:
    """As `start`, for what ends without a grading: it runs beside the tests that measure, and is held to it."""
    began_s = time.time()
    yield _with_engine(start_plain, engine)
    written = [path for path in tmp_path.rglob("results.json") if path.stat().st_mtime >= began_s]
    runs = [run for path in written for run in json.loads(path.read_text())["runs"]]
    assert [run["number"] for run in runs if run["samples"]] == [], "it was graded: use `start` or `cli`"


@pytest.fixture
def plain_cli(start_plain: Cli) -> Run:
    """Run `python -m runner ...` to its end, where there is no engine."""
    return _to_its_end(start_plain)


@pytest.fixture
def cli(start: Cli) -> Run:
    """Run `python -m runner ...` to its end, with the engine; it may grade."""
    return _to_its_end(start)


@pytest.fixture
def cli_ungraded(start_ungraded: Cli) -> Run:
    """As `cli`, for what ends without a grading: it runs beside the tests that measure, and is held to it."""
    return _to_its_end(start_ungraded)


@pytest.fixture(scope="session")
def shared_cli(project: Path, home: str, engine: Engine, nbody_spec: SandboxSpec, measuring_cpu: str) -> Iterator[Run]:
    """As `cli`, for a job that is played once and read by several tests."""
    with _programs(project, home) as start:
        yield _to_its_end(_with_engine(start, engine))


@pytest.fixture(scope="session")
def played_job(
    shared_cli: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A job of four scripted episodes, graded in full: its folder, and what it said. Whoever changes it copies it."""
    output = tmp_path_factory.mktemp("output")
    flags = ("--task", "slow_nbody", "--scale", "small", "--name", "four", "--output", str(output))
    done = shared_cli("--runs", "4", *flags)
    return output / "four", done


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
            patch.setattr("runner.cli.app.end_in_time", contextlib.nullcontext)  # here nothing of the program's is over
            for name, value in {"DOCKER_HOST": NOWHERE, **(env or {})}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, ended.value.code or 0, said.out, said.err)  # type: ignore[arg-type]

    return run


@pytest.fixture
def ruinable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sandboxes whose shells begin in the workspace or not at all: `chmod 000 /workspace; exit 1` ruins such a one."""
    from tests.sandbox.hands import changed_server

    changed_server(monkeypatch, 'os.chdir("/")', "raise")


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
