"""What the tests share: the real engine, the real images, sandboxes that are gone afterwards.

A missing engine fails the suite; it does not skip.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.commands.assemble import the_spec, the_task
from runner.sandbox.container import Fleet, Sandbox
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.slot import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings, project_folder
from runner.task import Task


@pytest.fixture(scope="session")
def engine() -> Engine:
    return find_engine(Settings())


@pytest.fixture(scope="session")
def nbody() -> Task:
    return the_task(Settings(), "slow_nbody")


@pytest.fixture(scope="session")
def nbody_spec(engine: Engine, nbody: Task) -> SandboxSpec:
    return the_spec(engine, nbody, "", print)[0]


@pytest.fixture
def fleet(engine: Engine) -> Iterator[Fleet]:
    """Sandboxes of one test; whatever it opened must be gone at its end."""
    fleet = Fleet(engine, f"test-{secrets.token_hex(4)}")
    yield fleet
    fleet.stop()
    left = engine.client.containers.list(all=True, filters={"label": f"runner.job={fleet.job}"})
    assert [container.name for container in left] == []


@pytest.fixture
def sandbox(fleet: Fleet, nbody_spec: SandboxSpec) -> Iterator[Sandbox]:
    with fleet.open(nbody_spec, "toolserver", role="agent", cpuset=all_cpus(fleet.engine)) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def project() -> Path:
    return project_folder()
