"""Sandbox images: built on first use from a folder under images/, and tagged by the hash of what they are made of.

The base is the official slim image of Python where a registry answers; where none does, a Debian base made on this
machine (mmdebstrap) and imported. Wheels are downloaded on the host, for the image's Python and the engine's processor,
and go in with the build context: nothing is fetched while an image is built, so it has no network then.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import docker
from filelock import FileLock

from runner.faults import ImageFault
from runner.sandbox.engine import Engine, engine_errors
from runner.settings import Settings, cache_folder, project_folder

REGISTRY_BASE = "python:3.11-slim-bookworm"
LOCAL_BASE_INCLUDE = "python3,python3-venv,ca-certificates"
LOCAL_BASE_SUITE = "bookworm"
PYTHON_TAG = "311"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
BUILD_TIMEOUT_S = 1800.0  # chosen: both images took 92 s on two cores; a slow line takes longer
LAST_LINES = 15  # chosen: where a build ended, in a message
BUILD_STAGE_LABEL = "runner.stage=build"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Image:
    """A resolved image.

    Attributes:
        id: `sha256:...`; what containers are made from, so that a moved tag changes nothing.
        python: the interpreter inside.
        env: the image's own environment.
        volumes: paths that the image declares as volumes.
    """

    id: str
    reference: str
    python: str
    env: Mapping[str, str]
    volumes: tuple[str, ...] = ()


def resolve_image(
    engine: Engine, name: str, settings: Settings, python: str = "python3", say: Say = lambda step: None
) -> Image:
    """The image of that name: a recipe under images/, built if need be, or whatever the engine has or can pull.

    Raises:
        ImageFault: it cannot be found or built, or declares volumes (each would be a writable disk in every sandbox).
    """
    recipe = (settings.images or project_folder() / "images") / name
    if (recipe / "Dockerfile").is_file():
        reference = _build_if_needed(engine, recipe, say, settings)
    else:
        reference = _have_or_pull(engine, name, say)
    found = _describe(engine, reference, python)
    if found.volumes:
        raise ImageFault(
            cause=f"image {reference} declares volumes: {', '.join(found.volumes)}",
            hint="use an image without VOLUME: each would be a writable disk in every sandbox",
        )
    return found


def is_built(engine: Engine, name: str, settings: Settings) -> bool | None:
    """Whether a recipe's image is there as its files are now; None where no base is there to tell."""
    recipe = (settings.images or project_folder() / "images") / name
    for base in (REGISTRY_BASE, local_base_reference()):
        if _id_of(engine, base) is not None:
            return _id_of(engine, _tag(recipe, _id_of(engine, base) or "")) is not None
    return None


def _describe(engine: Engine, reference: str, python: str) -> Image:
    with engine_errors(f"inspecting image {reference}"):
        config = engine.client.images.get(reference)
    settings = config.attrs.get("Config") or {}
    env = dict(entry.partition("=")[::2] for entry in settings.get("Env") or [])
    return Image(str(config.id), reference, python, env, tuple(sorted(settings.get("Volumes") or {})))


def _id_of(engine: Engine, reference: str) -> str | None:
    with engine_errors(f"looking for image {reference}"):
        try:
            return str(engine.client.images.get(reference).id)
        except docker.errors.ImageNotFound:
            return None


def _have_or_pull(engine: Engine, reference: str, say: Say) -> str:
    if _id_of(engine, reference) is not None:
        return reference
    say(f"pulling image {reference}")
    if not _pull(engine, reference):
        raise ImageFault(
            cause=f"the engine has no image {reference}, and could not pull it",
            hint=f"`docker pull {reference}`, or name a recipe under images/ in task.toml",
        )
    return reference


def _pull(engine: Engine, reference: str) -> bool:
    repository, _, tag = reference.partition(":")
    try:
        engine.client.images.pull(repository, tag=tag or "latest")
    except docker.errors.DockerException:
        return False
    return True


# Building


def _build_if_needed(engine: Engine, recipe: Path, say: Say, settings: Settings) -> str:
    """The recipe's tag; two processes that need the same image build it once."""
    cache = cache_folder()
    with FileLock(cache / f"{recipe.name}.lock"):
        base = find_or_make_base(engine, say)
        reference = _tag(recipe, _id_of(engine, base) or base)
        if _id_of(engine, reference) is None:
            say(f"building image {reference} (once; some minutes)")
            wheels = _wheels(recipe, engine.facts.arch, cache, say)
            _build(engine, recipe, base, wheels, reference, say, settings)
    return reference


def _tag(recipe: Path, base_id: str) -> str:
    """`runner-<name>:<hash of the recipe's files and of the base>`."""
    digest = hashlib.sha256(base_id.encode())
    for path in sorted(path for path in recipe.rglob("*") if path.is_file()):
        digest.update(f"\0{path.relative_to(recipe).as_posix()}\0".encode() + path.read_bytes())
    return f"runner-{recipe.name}:{digest.hexdigest()[:12]}"


def _build(
    engine: Engine, recipe: Path, base: str, wheels: Path | None, reference: str, say: Say, settings: Settings
) -> None:
    arguments = {"BASE": base, **_passed_through(settings)}
    lines: list[str] = []
    with _context(recipe, wheels) as context, engine_errors(f"building image {reference}"):
        events = engine.client.api.build(
            fileobj=context,
            custom_context=True,
            tag=reference,
            buildargs=arguments,
            network_mode="none",
            rm=True,
            forcerm=True,
            decode=True,
            timeout=BUILD_TIMEOUT_S,
        )
        for event in events:
            fresh = [line for line in str(event.get("stream", "")).splitlines() if line.strip()]
            lines += fresh
            for step in fresh:
                if step.startswith("Step "):
                    say(f"{reference}: {step}")
            if "error" in event:
                raise _build_failed(reference, lines, str(event["error"]))
        # The build stage holds every wheel once more; nothing needs it after the last step.
        engine.client.images.prune(filters={"dangling": True, "label": BUILD_STAGE_LABEL})


def _build_failed(reference: str, lines: list[str], error: str) -> ImageFault:
    last = "\n    ".join([*lines[-LAST_LINES:], error])
    return ImageFault(
        cause=f"image {reference} cannot be built; its build ended with\n    {last}",
        hint="fix the recipe under images/ (or free disk space on the engine, if that is what it says)",
    )


def _passed_through(settings: Settings) -> dict[str, str]:
    """Proxy and index settings as build arguments."""
    given = {
        "http_proxy": settings.http_proxy,
        "https_proxy": settings.https_proxy,
        "no_proxy": settings.no_proxy,
        "PIP_INDEX_URL": settings.pip_index_url,
        "PIP_EXTRA_INDEX_URL": settings.pip_extra_index_url,
    }
    return {name: value for name, value in given.items() if value}


@contextlib.contextmanager
def _context(recipe: Path, wheels: Path | None) -> Iterator[io.BufferedRandom]:
    """The build context as a tar file: the recipe, and its wheels under wheels/."""
    path = cache_folder() / f"context-{os.getpid()}.tar"
    try:
        with path.open("w+b") as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                tar.add(recipe, arcname=".", filter=_anonymous)
                if wheels is not None:
                    tar.add(wheels, arcname="wheels", filter=_anonymous)
            file.seek(0)
            yield file
    finally:
        path.unlink(missing_ok=True)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same context whoever makes it, so that the engine's build cache can know it again."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


# Wheels


def _wheels(recipe: Path, arch: str, cache: Path, say: Say) -> Path | None:
    """A folder with every wheel of the recipe's requirements; None where it has none."""
    requirements = recipe / "requirements.txt"
    if not requirements.is_file():
        return None
    key = hashlib.sha256(requirements.read_bytes() + arch.encode()).hexdigest()[:16]
    folder = cache / "wheels" / key
    if not (folder / ".complete").exists():
        say(f"downloading wheels for image {recipe.name}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        download_wheels(requirements, arch, folder)
        (folder / ".complete").touch()
    return folder


def download_wheels(requirements: Path, arch: str, folder: Path) -> None:
    """Every wheel that the requirements name, for the image's Python and a processor as the engine names it (amd64).

    The configured index is tried alone, then with the index of PyTorch's CPU builds.

    Raises:
        ImageFault: one of them cannot be had; the end of what pip said is in it.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    command += [
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--python-version",
        PYTHON_TAG,
        "--abi",
        f"cp{PYTHON_TAG}",
    ]
    command += ["--abi", "abi3", "--abi", "none"]
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(arch, arch)
    for platform in (f"manylinux_2_28_{machine}", f"manylinux_2_27_{machine}", f"manylinux2014_{machine}", "any"):
        command += ["--platform", platform]
    command += ["--requirement", str(requirements)]
    first = _pip(command)
    if first is not None and _pip([*command, "--extra-index-url", TORCH_INDEX]) is not None:
        raise ImageFault(
            cause=f"the wheels of {requirements} cannot be downloaded: {first}",
            hint="check that pip reaches its index (PIP_INDEX_URL, proxy), then try again",
        )


def _pip(command: list[str]) -> str | None:
    """None when it worked, else the end of what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return None if done.returncode == 0 else done.stderr.strip()[-600:]


# The base


def local_base_reference() -> str:
    """The tag of the base that is made on this machine."""
    recipe = json.dumps([LOCAL_BASE_SUITE, LOCAL_BASE_INCLUDE])
    return f"runner-debian:{LOCAL_BASE_SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def find_or_make_base(engine: Engine, say: Say) -> str:
    """A reference of the base that is there, or has just been pulled or made.

    Raises:
        ImageFault: no registry answers, and none can be made here.
    """
    for reference in (REGISTRY_BASE, local_base_reference()):
        if _id_of(engine, reference) is not None:
            return reference
    say(f"pulling {REGISTRY_BASE}")
    if _pull(engine, REGISTRY_BASE):
        return REGISTRY_BASE
    say("no registry answers: making a Debian base on this machine")
    return _make_local_base(engine, say)


def _make_local_base(engine: Engine, say: Say) -> str:
    reference = local_base_reference()
    tool = _mmdebstrap(say)
    path = cache_folder() / f"base-{os.getpid()}.tar"
    command = [tool, "--variant=minbase", f"--include={LOCAL_BASE_INCLUDE}", LOCAL_BASE_SUITE, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise ImageFault(
                cause=f"`{' '.join(command[:-1])}` failed: {done.stderr.strip()[-500:]}",
                hint=f"check that apt reaches its archive, or bring the base yourself: `docker pull {REGISTRY_BASE}`",
            )
        with engine_errors("importing the Debian base"), path.open("rb") as file:
            repository, _, tag = reference.partition(":")
            engine.client.api.import_image_from_data(file, repository=repository, tag=tag)
    finally:
        path.unlink(missing_ok=True)
    return reference


def _mmdebstrap(say: Say) -> str:
    """The tool's path; installed first where that can be done."""
    found = shutil.which("mmdebstrap")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        say("installing mmdebstrap with apt")
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "mmdebstrap"]):
            subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        found = shutil.which("mmdebstrap")
    if found is None:
        raise ImageFault(
            cause=f"no registry answers for {REGISTRY_BASE}, and mmdebstrap is not here to make a base without one",
            hint=f"`docker pull {REGISTRY_BASE}` where there is a network, or `sudo apt-get install mmdebstrap`",
        )
    return found
