"""`python -m runner image ...`: the sandboxes' images, beside a job."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.cli.declaring import expand_home
from runner.cli.exit_codes import OK
from runner.cli.options import ImageAction, ImageOptions
from runner.faults import UsageFault
from runner.report.escape import shown
from runner.report.progress import Progress
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.image import resolve_image
from runner.sandbox.image_inputs import Say
from runner.sandbox.image_store import ListedImage, check_image, engines_arch, list_images, load_images, save_images
from runner.settings import Settings

Found = Iterator[dict[str, Any]]


def image(settings: Settings, options: ImageOptions) -> int:
    """Do what is asked for, and say of each image what came of it; returns the exit status.

    Raises:
        Fault: engine or image failed, or the command line does not fit.
    """
    check_fits(options)
    with Progress(quiet=options.show.quiet) as progress:
        engine = find_engine(settings)
        found = list(ACTIONS[options.action](engine, settings, options, progress.say))
    if options.show.json:
        print(json.dumps(found, ensure_ascii=True))
    else:
        print("\n".join(map(_line, found)))
    return OK


def check_fits(options: ImageOptions) -> None:
    """Refuse what has no meaning.

    Raises:
        UsageFault: a name or a file is missing, or has no meaning here.
    """
    if options.to is not None and options.action is not ImageAction.SAVE:
        raise UsageFault(cause=f"--output has no meaning for image {options.action}", hint="leave it out")
    if "python" in options.given and options.action is not ImageAction.CHECK:
        raise UsageFault(cause=f"--python has no meaning for image {options.action}", hint="leave it out")
    if options.to is None and options.action is ImageAction.SAVE:
        raise UsageFault(cause="image save writes a file", hint="name it: --output images.tar")
    if not options.names and options.action in (ImageAction.CHECK, ImageAction.LOAD):
        what = "a file of `image save`" if options.action is ImageAction.LOAD else "an image, such as base"
        raise UsageFault(cause=f"image {options.action} needs a name", hint=f"name {what}")
    if options.names and options.action is ImageAction.LIST:
        raise UsageFault(cause="image list lists all of them", hint="leave the names out")


def _listed(engine: Engine, settings: Settings, options: ImageOptions, say: Say) -> Found:
    for one in list_images(engine, settings):
        yield {**asdict(one), "said": _said(one)}


def _said(one: ListedImage) -> str:
    if not one.built or one.bytes is None:
        return f"not built yet: `python -m runner image build {one.name}`"
    return f"{one.reference}, {one.bytes / 2**20:.0f} MiB, {one.arch}"


def _names(engine: Engine, settings: Settings, options: ImageOptions) -> list[str]:
    return options.names or [one.name for one in list_images(engine, settings)]


def _built(engine: Engine, settings: Settings, options: ImageOptions, say: Say) -> Found:
    for name in _names(engine, settings, options):
        image = resolve_image(engine, name, settings, say=say)
        yield {"name": name, "reference": image.reference, "id": image.id, "said": f"{image.reference} is there"}


def _checked(engine: Engine, settings: Settings, options: ImageOptions, say: Say) -> Found:
    for name in options.names or []:
        image, version = check_image(engine, name, settings, options.python, say)
        said = f"{image.reference} can be a sandbox: Python {version}, {engines_arch(engine)}, no volumes"
        yield {"name": name, "reference": image.reference, "id": image.id, "python": version, "said": said}


def _saved(engine: Engine, settings: Settings, options: ImageOptions, say: Say) -> Found:
    assert options.to is not None  # check_fits
    names = _names(engine, settings, options)
    size = save_images(engine, names, settings, options.to, say)
    yield {
        "name": str(options.to),
        "images": names,
        "bytes": size,
        "said": f"{', '.join(names)}: {size / 2**20:.0f} MiB",
    }


def _loaded(engine: Engine, settings: Settings, options: ImageOptions, say: Say) -> Found:
    for name in options.names or []:
        say(f"loading {name}")
        tags = load_images(engine, Path(expand_home(name)))
        yield {"name": name, "images": tags, "said": f"{', '.join(tags) or 'no image'}"}


ACTIONS: Mapping[ImageAction, Callable[[Engine, Settings, ImageOptions, Say], Found]] = {
    ImageAction.LIST: _listed,
    ImageAction.BUILD: _built,
    ImageAction.CHECK: _checked,
    ImageAction.SAVE: _saved,
    ImageAction.LOAD: _loaded,
}


def _line(entry: dict[str, Any]) -> str:
    return f"{entry['name']}: {shown(str(entry['said']))}"
