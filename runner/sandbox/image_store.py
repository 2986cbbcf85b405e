"""Images beside a job: which there are, whether one is fit to be a sandbox, and their way to a host without a network."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker

from runner.faults import ImageFault, UsageFault
from runner.sandbox.engine import Engine, engine_errors
from runner.sandbox.image import Image, base_of, check_python, is_built, recipes_folder, resolve_image, tag_of
from runner.sandbox.image_inputs import Say
from runner.settings import Settings

# How the engine names its machine, and how images do.
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
NO_SPACE = "no space left"  # in the engine's words
CHUNK_BYTES = 1024 * 1024  # of an image on its way to a file


@dataclass(frozen=True, slots=True)
class ListedImage:
    """A recipe, and the image that was built from it as its files are now.

    Attributes:
        reference: the image's tag; None where no base is there to tell.
        built: whether the engine has it.
        bytes: its size; None where it is not built.
        arch: the processor that it is for, as the engine names it (amd64, arm64).
    """

    name: str
    reference: str | None
    built: bool
    bytes: int | None = None
    arch: str = ""


def list_images(engine: Engine, settings: Settings) -> list[ListedImage]:
    """Every recipe under images/, in the order of their names."""
    names = sorted(path.parent.name for path in recipes_folder(settings).glob("*/Dockerfile"))
    return [_listed(engine, settings, name) for name in names]


def _listed(engine: Engine, settings: Settings, name: str) -> ListedImage:
    recipe = recipes_folder(settings) / name
    base = base_of(engine, recipe)
    reference = None if base is None else tag_of(engine, recipe, base)
    if reference is None or not is_built(engine, name, settings):
        return ListedImage(name, reference, built=False)
    with engine_errors(f"inspecting image {reference}"):
        attrs = engine.client.images.get(reference).attrs
        return ListedImage(name, reference, True, int(attrs.get("Size") or 0), str(attrs.get("Architecture") or ""))


def check_image(engine: Engine, name: str, settings: Settings, python: str, say: Say) -> tuple[Image, str]:
    """An image that is fit to be a sandbox, and the version of its Python; it is built or pulled where need be.

    Raises:
        ImageFault: it cannot be found or built, declares volumes, is for another processor, or its Python is no use.
    """
    image = resolve_image(engine, name, settings, python, say)
    with engine_errors(f"inspecting image {image.reference}"):
        arch = str(engine.client.images.get(image.id).attrs.get("Architecture") or "")
    if arch and arch != engines_arch(engine):
        raise ImageFault(
            cause=f"image {image.reference} is for {arch}, the engine's machine is {engines_arch(engine)}",
            hint="take one for its processor: an emulated one would be measured, and not the code",
        )
    return image, check_python(engine, image)


def engines_arch(engine: Engine) -> str:
    """The processor of the engine's machine, by the name that images have for it."""
    return MACHINES.get(engine.facts.arch, engine.facts.arch)


def save_images(engine: Engine, names: Sequence[str], settings: Settings, file: Path, say: Say) -> int:
    """Write images, and the base that tells that they are current, into one file of the engine's own form; its bytes.

    Raises:
        UsageFault: the file is there already, or cannot be written.
        ImageFault: an image cannot be found or built.
    """
    if file.exists():
        raise UsageFault(cause=f"{file} is there already", hint="name a new file")
    found = [resolve_image(engine, name, settings, say=say).reference for name in names]
    bases = [base_of(engine, recipes_folder(settings) / name) for name in names]
    references = list(dict.fromkeys([*found, *(base for base in bases if base is not None)]))
    say(f"writing {', '.join(references)} to {file}")
    try:
        with file.open("xb") as out:
            try:
                for chunk in _saved(engine, references):
                    out.write(chunk)
            except BaseException:
                file.unlink(missing_ok=True)  # a part of it would be in the way of the next attempt
                raise
    except OSError as error:
        raise UsageFault(cause=f"{file} cannot be written: {error.strerror}", hint="choose another file") from error
    return file.stat().st_size


def _saved(engine: Engine, references: Sequence[str]) -> Iterator[bytes]:
    """What the engine has of images, in its own form.

    Raises:
        EngineFault: it does not give them.
    """
    api = engine.client.api
    with engine_errors("saving images"):
        # Several names in one file: the SDK has a method for one alone.
        url = f"{api.base_url}/v{api.api_version}/images/get"
        with contextlib.closing(api.get(url, params={"names": references}, stream=True)) as answer:
            answer.raise_for_status()
            yield from answer.iter_content(CHUNK_BYTES)


def load_images(engine: Engine, file: Path) -> list[str]:
    """Read a file of images into the engine; their tags.

    Raises:
        UsageFault: the file cannot be read, or holds no images.
        EngineFault: the engine does not take it.
    """
    try:
        with file.open("rb") as content, engine_errors(f"loading {file}"):
            try:
                loaded = engine.client.images.load(content)
            except docker.errors.ImageLoadError as error:  # the engine answered: it read the file, and could not use it
                if NO_SPACE in str(error).lower():
                    raise
                raise UsageFault(
                    cause=f"{file} holds no images that the engine can read: {error}",
                    hint="name a file of `image save`, copied whole",
                ) from error
    except OSError as error:
        raise UsageFault(
            cause=f"{file} cannot be read: {error.strerror}", hint="name a file of `image save`"
        ) from error
    return sorted(_tags(loaded))


def _tags(loaded: Sequence[object]) -> Iterator[str]:
    for image in loaded:
        yield from getattr(image, "tags", ())
