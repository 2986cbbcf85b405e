"""The runner packaged as an image, and its doctor run against the engine's socket."""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import pytest
from packaging.requirements import Requirement

from runner.sandbox.engine import Engine
from runner.sandbox.image import find_or_make_base
from runner.sandbox.image_inputs import download_wheels
from runner.sandbox.lock import all_cpus

TAG = "runner-packaged:test"
# The image's Python decides which lines of the lock are for it, not the one that runs the tests.
MARKERS = {"python_version": "3.11", "python_full_version": "3.11.2", "sys_platform": "linux", "os_name": "posix"}
LINES_SHOWN = 60


def locked_for_the_image(lock: str) -> str:
    """The lock's requirements, with their hashes, that the image's Python asks for; without their conditions."""
    kept = []
    for block in lock.replace("\\\n", " ").splitlines():
        stated, *hashes = block.split(" --hash=")
        if not stated.strip() or stated.startswith("#"):
            continue
        wanted = Requirement(stated)
        if wanted.marker is None or wanted.marker.evaluate(MARKERS):
            kept.append(f"{wanted.name}{wanted.specifier} " + " ".join(f"--hash={each.strip()}" for each in hashes))
    return "\n".join(kept) + "\n"


@pytest.fixture(scope="module")
def wheels(engine: Engine, tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """The locked wheels for the image's Python; a fixture of the module, so that pip sees the user's own proxy and index."""
    requirements = tmp_path_factory.mktemp("lock") / "requirements.txt"
    requirements.write_text(locked_for_the_image((project / "requirements.lock").read_text()))
    folder = tmp_path_factory.mktemp("wheels")
    download_wheels(requirements, engine.facts.arch, folder)
    return folder


@pytest.fixture(scope="module")
def packaged(engine: Engine, project: Path, wheels: Path, nbody_spec: object) -> Iterator[str]:
    """The image, built without a network: its base is the one that sandbox images get, its wheels come with the context."""
    base = find_or_make_base(engine, print)
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name in ("Dockerfile", "requirements.lock", "runner", "images", "problem_data"):
            tar.add(project / name, arcname=name)
        tar.add(wheels, arcname="wheels")
    context.seek(0)
    build(engine, context, {"BASE": base})
    yield TAG
    engine.client.images.remove(TAG, force=True)


def build(engine: Engine, context: io.BytesIO, arguments: Mapping[str, str]) -> None:
    """Build it; a build that fails fails the test with its last lines."""
    said: list[str] = []
    try:
        for event in engine.client.api.build(
            fileobj=context, custom_context=True, tag=TAG, buildargs=arguments, network_mode="none", rm=True, forcerm=True,
            container_limits={"cpusetcpus": all_cpus(engine)}, decode=True,
        ):  # fmt: skip
            said += str(event.get("stream") or event.get("error") or "").splitlines()
            assert "error" not in event, "the build ended with\n" + "\n".join(said[-LINES_SHOWN:])
    except docker.errors.DockerException as error:
        pytest.fail(f"the engine refused the build: {error}; it ended with\n" + "\n".join(said[-LINES_SHOWN:]))


def run(engine: Engine, image: str, command: Sequence[str], **more: Any) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of a container without a network."""
    where = {"network_mode": "none", "cpuset_cpus": all_cpus(engine)}
    container = engine.client.containers.run(image, list(command), detach=True, **where, **more)
    try:
        status = int(container.wait()["StatusCode"])
        return status, str(container.logs(stderr=False), "utf-8"), str(container.logs(stdout=False), "utf-8")
    finally:
        container.remove(force=True)


def test_the_image_gets_the_requirements_of_its_own_python() -> None:
    lock = (
        "a==1 ; python_full_version < '3.12' \\\n    --hash=sha256:01 \\\n    --hash=sha256:02\n"
        "a==2 ; python_full_version >= '3.12' \\\n    --hash=sha256:03\n"
        "b==3 ; sys_platform == 'win32' \\\n    --hash=sha256:04\nc==4 \\\n    --hash=sha256:05\n"
    )
    assert locked_for_the_image(lock) == "a==1 --hash=sha256:01 --hash=sha256:02\nc==4 --hash=sha256:05\n"


def test_the_packaged_runners_doctor_finds_the_engine_behind_the_socket(engine: Engine, packaged: str) -> None:
    socket = engine.url.removeprefix("unix://")
    volumes = {socket: {"bind": "/var/run/docker.sock", "mode": "rw"}}
    status, said, errors = run(engine, packaged, ["doctor", "--json", "--quiet"], volumes=volumes)
    assert said.startswith("["), errors
    checks = {check["name"]: check for check in json.loads(said)}
    assert checks["engine"]["mark"] == "ok"
    assert engine.facts.version in checks["version"]["seen"]
    assert checks["image base"]["mark"] == "ok"
    # What else this host lacks is its own affair; the status says it as the list does.
    assert status == (3 if any(check["mark"] == "fault" for check in checks.values()) else 0)


def test_the_packaged_runner_knows_its_tasks(engine: Engine, packaged: str) -> None:
    status, _, said = run(engine, packaged, ["--task", "slow_nbodi"])
    assert status == 2 and "did you mean slow_nbody?" in said
