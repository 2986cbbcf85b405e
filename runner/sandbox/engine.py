"""Finding the engine, and turning its errors into faults. (first, thin version)"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import docker
import requests

from runner.faults import EngineFault, EngineUnreachable
from runner.settings import Settings


@dataclass(frozen=True, slots=True)
class EngineFacts:
    version: str
    kernel: str
    cgroup_version: str
    ncpu: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Engine:
    url: str
    client: docker.DockerClient
    facts: EngineFacts


def find_engine(settings: Settings) -> Engine:
    url = settings.docker_host or "unix:///var/run/docker.sock"
    try:
        client = docker.DockerClient(base_url=url, timeout=settings.engine_timeout_s, max_pool_size=64)
        info = client.info()
    except docker.errors.DockerException as error:
        raise EngineUnreachable(cause=f"nothing answers at {url}: {error}", mend="start dockerd") from error
    return Engine(
        url,
        client,
        EngineFacts(
            info["ServerVersion"], info["KernelVersion"], info.get("CgroupVersion", "1"), info["NCPU"], info["MemTotal"]
        ),
    )


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EngineFault(cause=f"{what}: {error}", mend="run `python -m runner doctor`") from error
