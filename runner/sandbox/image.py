"""Sandbox images: built on first use from a folder under images/, and tagged by the hash of what they are made of.

The base is the official slim image of Python where a registry answers; where none does, a Debian base made on this
machine (mmdebstrap) and imported. Wheels are downloaded on the host, for the image's Python and the engine's processor,
and go in with the build context: nothing is fetched while an image is built, so it has no network then. The one exception
is a recipe with Debian packages on the registry's base: apt fetches them there.
"""

import contextlib
import hashlib
import io
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import docker
import requests
from filelock import FileLock

from runner.faults import EngineFault, ImageFault, StoreFault
from runner.sandbox.engine import ODD_ANSWER, Engine, engine_errors
from runner.sandbox.fleet import Fleet
from runner.sandbox.image_inputs import (
    REGISTRY_BASE,
    Say,
    host_environment,
    local_base_reference,
    make_local_base,
    proxies_of,
    wheels_of,
    without_credentials,
)
from runner.sandbox.leftovers import holder
from runner.sandbox.pins import check_pins, read_image_files
from runner.sandbox.removal import remove
from runner.sandbox.scratch import scratch_folder
from runner.sandbox.spec import HOLDER_LABEL, LABEL, MIB, SandboxSpec, clean_environment, engine_environment
from runner.sandbox.walls import WALLS
from runner.settings import Settings, cache_folder, data_folder, write_cached

BUILD_TIMEOUT_S = 1800.0  # chosen: both images took 92 s on two cores; a slow line takes longer
# chosen: what still speaks after two hours, such as a loop in a stranger's commands, ends no more
BUILD_TOTAL_S = 7200.0
# An interpreter says its version in some ten milliseconds and one line, in little memory. chosen: far more than that.
VERSION_S, VERSION_MEMORY, VERSION_PIDS, VERSION_LOG = 60.0, "256m", 64, {"max-size": "64k", "max-file": "1"}
NOBODY = "65534:65534"
PYTHON_MIN = (3, 8)  # of what runs inside: runner/sandbox/inside/README.md
TEXT_MAX = 300  # characters of what is no version, in a message
LAST_LINES = 15  # chosen: where a build ended, in a message
BUILD_STAGE_LABEL = "runner.stage=build"


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

    def basis(self, added: Mapping[str, str] | None = None) -> "SpecBasis":
        """What a spec takes of its image, whose words to programs, such as LD_PRELOAD, are left out.

        Args:
            added: environment variables besides.
        """
        environment, unset = clean_environment(self.env, added or {})
        return {"image_id": self.id, "python": self.python, "environment": environment, "unset": unset}


class SpecBasis(TypedDict):
    """The fields of a `SandboxSpec` that follow from its image."""

    image_id: str
    python: str
    environment: tuple[tuple[str, str], ...]
    unset: tuple[str, ...]


def resolve_image(
    engine: Engine,
    name: str,
    settings: Settings,
    python: str = "python3",
    say: Say = lambda step: None,
    added: Mapping[str, str] | None = None,
) -> Image:
    """The image of that name: a recipe under images/, built if need be, or whatever the engine has or can pull.

    Args:
        added: environment variables that its sandboxes get besides.

    Raises:
        ImageFault: it cannot be found or built, declares volumes (each would be a writable disk in every sandbox), or has no
            Python that the programs inside run on.
    """
    recipe = recipes_folder(settings) / name
    if (recipe / "Dockerfile").is_file():
        reference = _build_if_needed(engine, recipe, say, settings)
    else:
        reference = _have_or_pull(engine, name, say)
    found = _fit(_describe(engine, reference, python))
    check_python(engine, found, added)
    return found


def find_image(engine: Engine, reference: str, python: str = "python3") -> Image:
    """An image that the engine has; nothing is built or pulled.

    Raises:
        ImageFault: it has none of that name, or no sandbox may be made of it.
    """
    if _id_of(engine, reference) is None:
        raise ImageFault(cause=f"the engine has no image {reference}", hint=f"`docker pull {reference}`")
    return _fit(_describe(engine, reference, python))


def _fit(image: Image) -> Image:
    if image.volumes:
        raise ImageFault(
            cause=f"image {image.reference} declares volumes: {', '.join(image.volumes)}",
            hint="use an image without VOLUME: each would be a writable disk in every sandbox",
        )
    return image


def build_on(engine: Engine, base: Image, lines: str) -> Image:
    """An image on another one, by lines of a Dockerfile: for the self-test. `remove_image` ends it.

    Raises:
        ImageFault: it cannot be built, or no sandbox may be made of it.
    """
    text = f"FROM {base.id}\n{lines}\n".encode()
    reference = f"runner-selftest:{hashlib.sha256(text).hexdigest()[:12]}"
    # Without the engine's cache: what two builds shared would go with the first of their images, under the other build.
    for step in build_steps(engine, reference, fileobj=io.BytesIO(text), network_mode="none", nocache=True):
        if step.error is not None:
            raise _build_failed(reference, [], step.error)
    made = _describe(engine, reference, base.python)
    try:
        return _fit(made)
    except ImageFault:
        remove_image(engine, made.id)
        raise


def remove_image(engine: Engine, image_id: str) -> None:
    """Remove an image that `build_on` made.

    Raises:
        EngineFault: the engine does not do it.
    """
    with engine_errors(f"removing image {image_id}"):
        engine.client.api.remove_image(image_id, force=True)


def recipes_folder(settings: Settings) -> Path:
    """Where the recipes of images lie."""
    return settings.images or data_folder("images")


def base_of(engine: Engine, recipe: Path | None = None) -> str | None:
    """The base that a recipe is built on, if it is there; without one, the base of those that name no packages."""
    return next((base for base in _bases(recipe) if _id_of(engine, base) is not None), None)


def packages_of(recipe: Path | None) -> tuple[str, ...]:
    """The Debian packages that a recipe asks for, in its packages.txt."""
    listed = None if recipe is None else recipe / "packages.txt"
    return tuple(listed.read_text().split()) if listed is not None and listed.is_file() else ()


def _bases(recipe: Path | None) -> tuple[str, str]:
    """The bases that a recipe can be built on, the likelier first."""
    return REGISTRY_BASE, local_base_reference(packages_of(recipe))


def tag_of(engine: Engine, recipe: Path, base: str) -> str:
    """The tag of what a recipe gives on a base, as its files are now."""
    return _tag(recipe, _id_of(engine, base) or base)


def check_python(engine: Engine, image: Image, added: Mapping[str, str] | None = None) -> str:
    """The version of an image's Python ("3.11"), asked once for each image, as a sandbox would start it.

    Args:
        added: environment variables that the sandbox gets besides.

    Raises:
        ImageFault: it is not there, or too old for what runs inside.
    """
    basis = image.basis(added)
    key = hashlib.sha256(repr(sorted(basis.items())).encode()).hexdigest()[:24]
    known = cache_folder() / "pythons" / key
    version = known.read_text() if known.is_file() else _ask_version(engine, image, basis)
    if (reason := unfit(version)) is not None:
        raise ImageFault(
            cause=f"{image.python} of image {image.reference} {reason}",
            hint=f"name a Python of {'.'.join(map(str, PYTHON_MIN))} or newer in [image] python, or add one to the image, "
            "that every user can start without LD_ and PYTHON variables",
        )
    if not known.is_file():  # only what is fit is kept: anything else may have been the engine's doing
        with contextlib.suppress(StoreFault):  # it is asked again, the next time
            write_cached(known, version.encode())
    return version


def unfit(version: str) -> str | None:
    """Why the programs that run inside cannot run on what said this of itself; None: they can."""
    numbers = re.fullmatch(r"(\d+)\.(\d+)", version)
    if numbers is None:
        return f"is not a Python: {version[:TEXT_MAX] or 'it said nothing'}"
    return None if tuple(map(int, numbers.groups())) >= PYTHON_MIN else f"is Python {version}: too old"


def _ask_version(engine: Engine, image: Image, basis: SpecBasis) -> str:
    """What an image's interpreter says of its version, or why it says nothing."""
    ask = ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    labels = {LABEL: "check", HOLDER_LABEL: holder()}
    with engine_errors(f"trying {image.python} of image {image.reference}"):
        container = engine.client.containers.create(
            image.id,
            ask,
            entrypoint=[image.python],
            # With a sandbox's rights and environment: one that runs for root alone, or finds its libraries by the image's
            # own LD_LIBRARY_PATH, starts in no sandbox.
            user=NOBODY,
            working_dir="/",
            environment=engine_environment(basis["environment"], basis["unset"]),
            network_mode="none",
            labels=labels,
            use_config_proxy=False,  # Docker's own settings may name a proxy with a password; what runs here is the image's
            # Whatever a stranger's image has in the place of a Python, it takes nothing from the host.
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit=VERSION_MEMORY,
            memswap_limit=VERSION_MEMORY,
            pids_limit=VERSION_PIDS,
            log_config=docker.types.LogConfig(type="json-file", config=VERSION_LOG),
        )
        try:
            container.start()
            status = _status_of(container)
            if status is None:
                return f"it did not end within {VERSION_S:.0f} s"
            said = container.logs(stdout=status == 0, stderr=status != 0) or f"it ended with {status}".encode()
        except docker.errors.APIError as error:  # there is no such file, say
            said = str(error.explanation or error).encode()
        finally:  # one that did not start is not removed by the engine
            remove(engine, container.id)
    return " ".join(bytes(said).decode("utf-8", "replace").split())


def _status_of(container: Any) -> int | None:
    """The exit status of a container that was started; None where it has not ended in time."""
    end = time.monotonic() + VERSION_S
    try:
        return int(container.wait(timeout=VERSION_S)["StatusCode"])
    except requests.exceptions.RequestException:
        if time.monotonic() < end:
            raise
        return None


def is_built(engine: Engine, name: str, settings: Settings) -> bool | None:
    """Whether a recipe's image is there as its files are now; None where no base is there to tell."""
    recipe = recipes_folder(settings) / name
    base = base_of(engine, recipe)
    return None if base is None else _id_of(engine, tag_of(engine, recipe, base)) is not None


def _describe(engine: Engine, reference: str, python: str) -> Image:
    with engine_errors(f"inspecting image {reference}"):
        config = engine.client.images.get(reference)
        settings = config.attrs.get("Config") or {}
        env = dict(entry.partition("=")[::2] for entry in settings.get("Env") or [])
        return Image(str(config.id), reference, python, env, tuple(sorted(map(str, settings.get("Volumes") or {}))))


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
    try:
        engine.client.images.pull(reference)  # takes it apart: a registry may have a port, and a digest stand for a tag
    except (docker.errors.DockerException, requests.RequestException, OSError, *ODD_ANSWER):
        return False
    return True


# Building


def _build_if_needed(engine: Engine, recipe: Path, say: Say, settings: Settings) -> str:
    """The recipe's tag; two processes that need the same image of one engine build it once."""
    cache = cache_folder()
    with FileLock(cache / f"{recipe.name}-{_short_id(engine)}.lock"):
        base = find_or_make_base(engine, say, settings, recipe)
        reference = _tag(recipe, _id_of(engine, base) or base)
        if _id_of(engine, reference) is None:
            say(f"building image {reference} (once; some minutes)")
            wheels = wheels_of(recipe, engine.facts.arch, cache, say, settings)
            _build(engine, recipe, base, wheels, reference, say, settings)
            _pin(engine, _unpinned(reference))
            _name(engine, reference)
    return reference


def _unpinned(reference: str) -> str:
    """What an image is called until it is pinned: one that has its name is not looked at again."""
    return f"{reference}-unpinned"


def _name(engine: Engine, reference: str) -> None:
    """Give an image that is pinned its name."""
    with engine_errors(f"naming image {reference}"):
        engine.client.api.tag(_unpinned(reference), *reference.split(":"))
    with contextlib.suppress(EngineFault), engine_errors(f"naming image {reference}"):  # a second name does no harm
        engine.client.api.remove_image(_unpinned(reference))


def _pin(engine: Engine, reference: str) -> None:
    """Keep what the programs and libraries of an image hold that was just built, before any guest ran on it."""
    image = _describe(engine, reference, "python3")
    spec = SandboxSpec(
        **image.basis(),
        memory_bytes=max(256 * MIB, engine.facts.memory_bytes // 4 // MIB * MIB),
        cpus=1.0,
        pids=16,
        workspace_bytes=MIB,
        tmp_bytes=MIB,
        unenforced=tuple(WALLS),  # nothing of a guest's runs in it
    )
    # Compared where there is a pin: a changed recipe may give an image that guests have run on, out of the engine's cache.
    check_pins(image.id, read_image_files(Fleet(engine, "pin"), spec, "0", BUILD_TIMEOUT_S, hashed=True)[1])


def _short_id(engine: Engine) -> str:
    """Tells engines apart: what is built on one must not wait for what is built on another."""
    return hashlib.sha256((engine.facts.id or engine.url).encode()).hexdigest()[:12]


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
    fetches = base == REGISTRY_BASE and packages_of(recipe)  # one that was made here has the packages
    lines: list[str] = []
    with _context(recipe, wheels) as context:
        for step in build_steps(
            engine,
            _unpinned(reference),
            fileobj=context,
            custom_context=True,
            buildargs=arguments,
            network_mode=None if fetches else "none",
        ):
            lines += step.lines
            for line in step.lines:
                if line.startswith("Step "):
                    say(f"{reference}: {line}")
            if step.error is not None:
                raise _build_failed(reference, lines, step.error)
    with engine_errors(f"building image {reference}"):
        # The build stage holds every wheel once more; nothing needs it after the last step.
        engine.client.images.prune(filters={"dangling": True, "label": BUILD_STAGE_LABEL})


@dataclass(frozen=True, slots=True)
class BuildStep:
    """What the engine says while it builds: lines that are not empty, and what failed."""

    lines: list[str]
    error: str | None


def build_steps(engine: Engine, reference: str, **how: Any) -> Iterator[BuildStep]:
    """Build an image; each of the engine's words as it comes. What is done with them is not the engine's.

    Raises:
        EngineFault: it does not answer, or something other than that. ImageFault: it has been building for too long.
    """
    what, end = f"building image {reference}", time.monotonic() + BUILD_TOTAL_S
    with engine_errors(what):
        events = iter(
            engine.client.api.build(tag=reference, rm=True, forcerm=True, decode=True, timeout=BUILD_TIMEOUT_S, **how)
        )
    while True:
        with engine_errors(what):
            event = next(events, None)
            if event is None:
                return
            lines = [line for line in str(event.get("stream", "")).splitlines() if line.strip()]
            step = BuildStep(lines, str(event["error"]) if "error" in event else None)
        yield step
        if time.monotonic() > end:  # the engine gives up what nobody listens to
            raise ImageFault(
                cause=f"image {reference} was not built within {BUILD_TOTAL_S / 3600:.0f} hours",
                hint="look for a command in its Dockerfile that does not end",
            )


def _build_failed(reference: str, lines: list[str], error: str) -> ImageFault:
    last = without_credentials("\n    ".join([*lines[-LAST_LINES:], error]))
    return ImageFault(
        cause=f"image {reference} cannot be built; its build ended with\n    {last}",
        hint="fix the recipe under images/ (or free disk space on the engine, if that is what it says)",
    )


def _passed_through(settings: Settings) -> dict[str, str]:
    """Proxy and index settings as build arguments."""
    given = {
        **proxies_of(settings),
        "PIP_INDEX_URL": settings.pip_index_url,
        "PIP_EXTRA_INDEX_URL": settings.pip_extra_index_url,
    }
    return {name: value for name, value in given.items() if value}


@contextlib.contextmanager
def _context(recipe: Path, wheels: Path | None) -> Iterator[io.BufferedRandom]:
    """The build context as a tar file: the recipe, and its wheels under wheels/."""
    with scratch_folder("builds") as folder, (folder / "context.tar").open("w+b") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            tar.add(recipe, arcname=".", filter=_anonymous)
            if wheels is not None:
                tar.add(wheels, arcname="wheels", filter=_anonymous)
        file.seek(0)
        yield file


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same context whoever makes it, so that the engine's build cache can know it again."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


# The base


def find_or_make_base(engine: Engine, say: Say, settings: Settings | None = None, recipe: Path | None = None) -> str:
    """A reference of a recipe's base that is there, or has just been pulled or made.

    Raises:
        ImageFault: no registry answers, and none can be made here.
    """
    if (known := base_of(engine, recipe)) is not None:
        return known
    say(f"pulling {REGISTRY_BASE}")
    if _pull(engine, REGISTRY_BASE):
        return REGISTRY_BASE
    say("no registry answers: making a Debian base on this machine")
    return make_local_base(engine, say, host_environment(settings or Settings()), packages_of(recipe))
