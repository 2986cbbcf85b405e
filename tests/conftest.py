"""What the tests share: the real engine, the real images, sandboxes that are gone afterwards, the program itself.

A missing engine fails the suite; it does not skip.
"""

import os
import secrets
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

# `make fuzz`: as many cases as a stranger would ask for; the ordinary run keeps to the library's default.
hypothesis.settings.register_profile("fuzz", max_examples=10_000, deadline=None)

# What the user's own surroundings may hold, and a test must not see.
NOT_PASSED_ON = ("RUNNER_", "ANTHROPIC_", "COLUMNS")


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


@pytest.fixture
def start(project: Path, nbody_spec: SandboxSpec) -> Iterator[Cli]:
    """Start `python -m runner ...`; what a test leaves running is killed."""
    started: list[subprocess.Popen[str]] = []

    def go(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "runner", *arguments],
                cwd=project,
                env={**kept, **(env or {})},
                stdin=subprocess.DEVNULL,
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


@pytest.fixture
def cli(start: Cli) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m runner ...` to its end."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        process = start(*arguments, env=env)
        out, err = process.communicate(timeout=900)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

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
