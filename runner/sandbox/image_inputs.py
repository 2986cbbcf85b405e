"""What goes into an image and is fetched or made on the host: the recipe's wheels, and a base where no registry answers.

Both see the user's proxies, indexes and CA bundle; no message repeats a password of theirs.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from runner.faults import ImageFault
from runner.sandbox.engine import Engine, engine_errors
from runner.sandbox.scratch import scratch_folder
from runner.settings import Settings, inherited_environment

REGISTRY_BASE = "python:3.11-slim-bookworm"
LOCAL_BASE_INCLUDE = "python3,python3-venv,ca-certificates"
LOCAL_BASE_SUITE = "bookworm"
PYTHON_TAG = "311"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
Say = Callable[[str], None]


def proxies_of(settings: Settings) -> dict[str, str]:
    """The proxy variables under both of their spellings: some programs read the one, some the other.

    As arguments of a build they are the engine's own: it keeps neither their values in an image nor in its history.
    """
    given = {"http_proxy": settings.http_proxy, "https_proxy": settings.https_proxy, "no_proxy": settings.no_proxy}
    return {name: value for low, value in given.items() for name in (low, low.upper())}


def host_environment(settings: Settings) -> dict[str, str]:
    """What the programs that fetch for a build (pip, apt) see: proxies under both spellings, and the CA bundle."""
    bundle = {
        "PIP_CERT": settings.ca_bundle,
        "REQUESTS_CA_BUNDLE": settings.ca_bundle,
        "SSL_CERT_FILE": settings.ca_bundle,
    }
    more = {name: value for name, value in {**proxies_of(settings), **bundle}.items() if value}
    return {**inherited_environment(), **more}


def without_credentials(text: str) -> str:
    """The same without what stands before the @ of a URL: a proxy's or an index's password is in no message.

    A password may hold an @ itself. Take the whole of a text: where its beginning is cut off, so may be that of a URL.
    """
    return re.sub(r"(?<=://)[^/\s]+@", "", text)


# Wheels


def wheels_of(recipe: Path, arch: str, cache: Path, say: Say, settings: Settings) -> Path | None:
    """A folder with every wheel of the recipe's requirements; None where it has none."""
    requirements = recipe / "requirements.txt"
    if not requirements.is_file():
        return None
    key = hashlib.sha256(requirements.read_bytes() + arch.encode()).hexdigest()[:16]
    folder = cache / "wheels" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # builds on all engines share them
        if not (folder / ".complete").exists():
            say(f"downloading wheels for image {recipe.name}")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            download_wheels(requirements, arch, folder, settings)
            (folder / ".complete").touch()
    return folder


def download_wheels(requirements: Path, arch: str, folder: Path, settings: Settings | None = None) -> None:
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
    environment = host_environment(settings or Settings())
    first = _pip(command, environment)
    if first is not None and _pip([*command, "--extra-index-url", TORCH_INDEX], environment) is not None:
        raise ImageFault(
            cause=f"the wheels of {requirements} cannot be downloaded: {first}",
            hint="check that this Python has pip, and pip reaches its index (PIP_INDEX_URL, proxy), then try again",
        )


def _pip(command: list[str], environment: Mapping[str, str]) -> str | None:
    """None when it worked, else the end of what it said, without credentials."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=dict(environment)
    )
    return None if done.returncode == 0 else without_credentials(done.stderr.strip())[-600:]


# The base


def local_base_reference(packages: Sequence[str] = ()) -> str:
    """The tag of the base that is made on this machine, with more packages where a recipe asks for them."""
    recipe = json.dumps([LOCAL_BASE_SUITE, ",".join([LOCAL_BASE_INCLUDE, *packages])])
    return f"runner-debian:{LOCAL_BASE_SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def make_local_base(engine: Engine, say: Say, environment: Mapping[str, str], packages: Sequence[str]) -> str:
    reference = local_base_reference(packages)
    tool = _mmdebstrap(say)
    include = ",".join([LOCAL_BASE_INCLUDE, *packages])
    with scratch_folder("builds") as folder:
        path = folder / "base.tar"
        command = [tool, "--variant=minbase", f"--include={include}", LOCAL_BASE_SUITE, str(path)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=dict(environment)
        )
        if done.returncode != 0:
            raise ImageFault(
                cause=f"`{' '.join(command[:-1])}` failed: {without_credentials(done.stderr.strip())[-500:]}",
                hint=f"check that apt reaches its archive, or bring the base yourself: `docker pull {REGISTRY_BASE}`",
            )
        with path.open("rb") as file, engine_errors("importing the Debian base"):
            repository, _, tag = reference.partition(":")
            engine.client.api.import_image_from_data(file, repository=repository, tag=tag)
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
