"""The runner packaged as an image, and its doctor run against the engine's socket."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox.engine import Engine
from runner.sandbox.image import REGISTRY_BASE, _id_of, local_base_reference

TAG = "runner-packaged:test"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """The locked wheels for the image's Python."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
        "--require-hashes",
    ]
    command += ["--only-binary=:all:", "--python-version", "311", "--implementation", "cp", "--abi", "cp311"]
    command += ["--abi", "abi3", "--abi", "none"]
    for platform in ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"):
        command += ["--platform", platform]
    subprocess.run([*command, "-r", str(project / "requirements.lock")], check=True, stdin=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="module")
def packaged(engine: Engine, project: Path, wheels: Path, nbody_spec: object) -> Iterator[str]:
    """The image; the base is there since a sandbox image was built on it."""
    base = REGISTRY_BASE if _id_of(engine, REGISTRY_BASE) else local_base_reference()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name in ("Dockerfile", "requirements.lock", "runner", "images", "problem_data"):
            tar.add(project / name, arcname=name)
        tar.add(wheels, arcname="wheels")
    context.seek(0)
    said: list[str] = []
    for event in engine.client.api.build(
        fileobj=context, custom_context=True, tag=TAG, buildargs={"BASE": base}, rm=True, forcerm=True, decode=True
    ):
        said.append(str(event.get("stream", "")))
        assert "error" not in event, "".join(said[-20:]) + str(event)
    yield TAG
    engine.client.images.remove(TAG, force=True)


def test_the_packaged_runners_doctor_finds_the_engine_behind_the_socket(engine: Engine, packaged: str) -> None:
    socket = engine.url.removeprefix("unix://")
    said = engine.client.containers.run(
        packaged,
        ["doctor", "--json", "--quiet"],
        volumes={socket: {"bind": "/var/run/docker.sock", "mode": "rw"}},
        network_mode="none",
        remove=True,
    )
    checks = {check["name"]: check for check in json.loads(said)}
    assert checks["engine"]["mark"] == "ok"
    assert engine.facts.version in checks["version"]["seen"]
    assert checks["image base"]["mark"] == "ok"


def test_the_packaged_runner_knows_its_tasks(engine: Engine, packaged: str) -> None:
    said = _run_failing(engine, packaged, ["--task", "slow_nbodi"])
    assert "did you mean slow_nbody?" in said


def _run_failing(engine: Engine, image: str, command: list[str]) -> str:
    container = engine.client.containers.run(image, command, network_mode="none", detach=True)
    try:
        assert container.wait()["StatusCode"] == 2
        return str(container.logs(), "utf-8")
    finally:
        container.remove(force=True)
