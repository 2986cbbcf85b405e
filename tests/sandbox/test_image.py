"""Sandbox images: built when their inputs change and not otherwise, and whole inside."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.faults import ImageFault
from runner.sandbox.engine import Engine
from runner.sandbox.image import _passed_through, is_built, resolve_image
from runner.settings import Settings


@pytest.fixture
def recipes(project: Path, tmp_path: Path, engine: Engine) -> Iterator[Path]:
    """A copy of images/; what is built from it is removed again."""
    before = {tag for image in engine.client.images.list() for tag in image.tags}
    yield Path(shutil.copytree(project / "images", tmp_path / "images"))
    for image in engine.client.images.list():
        for tag in set(image.tags) - before:
            engine.client.images.remove(tag, force=True)


def test_unchanged_inputs_build_nothing_and_changed_ones_build_anew(engine: Engine, recipes: Path) -> None:
    settings, said = Settings(images=recipes), []  # type: ignore[var-annotated]
    first = resolve_image(engine, "base", say=said.append, settings=settings)
    said.clear()
    assert resolve_image(engine, "base", say=said.append, settings=settings).id == first.id and said == []
    with (recipes / "base" / "Dockerfile").open("a") as file:
        file.write("ENV CHANGED=1\n")
    assert is_built(engine, "base", settings) is False
    second = resolve_image(engine, "base", say=said.append, settings=settings)
    assert second.id != first.id and second.env["CHANGED"] == "1"
    assert any("building image" in step for step in said) and any("Step 2/" in step for step in said)


def test_an_image_that_cannot_be_built_says_where_its_build_ended(engine: Engine, recipes: Path) -> None:
    short = "ARG BASE\nFROM ${BASE}\nRUN echo this is the reason && exit 3\n"
    (recipes / "base" / "Dockerfile").write_text(short)
    with pytest.raises(ImageFault, match=r"(?s)cannot be built.*this is the reason.*code: 3") as caught:
        resolve_image(engine, "base", settings=Settings(images=recipes))
    assert "fix the recipe" in caught.value.hint


def test_an_image_with_volumes_is_refused(engine: Engine, recipes: Path) -> None:
    (recipes / "base" / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nVOLUME /data\n")
    with pytest.raises(ImageFault, match="declares volumes: /data"):
        resolve_image(engine, "base", settings=Settings(images=recipes))


def test_an_image_that_is_nowhere_says_so(engine: Engine) -> None:
    with pytest.raises(ImageFault, match="no image no-such-image"):
        resolve_image(engine, "no-such-image:never", Settings())


def test_proxy_and_index_settings_go_into_the_build() -> None:
    given = Settings(http_proxy="http://p:1", https_proxy="", no_proxy="", pip_index_url="https://i/simple")
    passed = _passed_through(given)
    assert passed["http_proxy"] == "http://p:1" and passed["PIP_INDEX_URL"] == "https://i/simple"
    assert "https_proxy" not in passed


# Prints the flags of compiled modules (1: never checked against their sources, PEP 552) and versions, as JSON.
LOOK_INSIDE = """
import importlib.metadata, importlib.util, json, sys
modules, pins = json.loads(sys.argv[1])
flags = set()
for module in modules:
    path = importlib.util.cache_from_source(importlib.util.find_spec(module).origin)
    flags.add(int.from_bytes(open(path, "rb").read(8)[4:], "little"))
print(json.dumps({"flags": sorted(flags), "versions": {pin: importlib.metadata.version(pin) for pin in pins}}))
"""


@pytest.mark.parametrize(
    ("name", "modules", "pins"),
    [
        ("base", ["numpy", "json", "asyncio.events"], {"numpy"}),
        ("ml", ["numpy", "torch", "torch._dynamo", "sklearn.cluster", "json"], {"numpy", "torch", "scikit-learn"}),
    ],
)
def test_an_image_holds_its_pins_and_compiled_modules(
    engine: Engine, project: Path, name: str, modules: list[str], pins: set[str]
) -> None:
    image = resolve_image(engine, name, Settings())
    wanted = dict(
        line.split("==") for line in (project / "images" / name / "requirements.txt").read_text().splitlines()
    )
    command = ["python3", "-I", "-c", LOOK_INSIDE, json.dumps([modules, sorted(pins)])]
    said = json.loads(engine.client.containers.run(image.id, command, remove=True, network_mode="none"))
    assert said == {"flags": [1], "versions": {pin: wanted[pin] for pin in pins}}
