"""Sandbox images: built when their inputs change and not otherwise, and whole inside."""

import ast
import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.faults import EngineFault, ImageFault, UsageFault
from runner.sandbox import image as image_module
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import UID_FIRST
from runner.sandbox.image import (
    PYTHON_MIN,
    BuildStep,
    Image,
    _passed_through,
    base_of,
    build_on,
    check_python,
    is_built,
    remove_image,
    resolve_image,
    unfit,
)
from runner.sandbox.image_inputs import REGISTRY_BASE, download_wheels, host_environment, without_credentials
from runner.sandbox.image_store import check_image, engines_arch, list_images, load_images, save_images
from runner.sandbox.spec import MIB, Placement, SandboxSpec, create_body
from runner.settings import Settings
from tests.fakes.docker_engine import IMAGE_ID, Container, FakeEngine


@pytest.fixture
def recipes(project: Path, tmp_path: Path, engine: Engine) -> Iterator[Path]:
    """A copy of images/; what is built from it is removed again."""
    before = {tag for image in engine.client.images.list("runner-base") for tag in image.tags}
    yield Path(shutil.copytree(project / "images", tmp_path / "images"))
    for image in engine.client.images.list("runner-base"):
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


def test_a_build_that_could_not_be_pinned_is_made_again_and_pinned_before_anything_runs_on_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, failures = {REGISTRY_BASE: "sha256:base"}, [EngineFault(cause="no answer in time", hint="")]
    pinned: list[str] = []

    def build(engine: Engine, reference: str, **_: object) -> Iterator[BuildStep]:
        names[reference] = "sha256:built"
        yield BuildStep([], None)

    def pin(engine: Engine, reference: str) -> None:
        if failures:
            raise failures.pop()
        pinned.append(names[reference])

    for name, stand_in in {
        "build_steps": build, "_pin": pin, "_id_of": lambda engine, reference: names.get(reference),
        "wheels_of": lambda *_: None, "cache_folder": lambda: tmp_path,
    }.items():  # fmt: skip
        monkeypatch.setattr(image_module, name, stand_in)
    api = SimpleNamespace(
        tag=lambda before, name, tag: names.update({f"{name}:{tag}": names[before]}), remove_image=names.pop
    )
    client = SimpleNamespace(api=api, images=SimpleNamespace(prune=lambda **_: None))
    engine: Any = SimpleNamespace(facts=SimpleNamespace(id="e", arch="x86_64"), url="", client=client)
    settings = Settings(images=project / "images")
    with pytest.raises(EngineFault):
        image_module._build_if_needed(engine, project / "images" / "base", print, settings)
    assert not is_built(engine, "base", settings) and pinned == []
    reference = image_module._build_if_needed(engine, project / "images" / "base", print, settings)
    assert pinned == ["sha256:built"] and names == {REGISTRY_BASE: "sha256:base", reference: "sha256:built"}


def test_an_image_that_cannot_be_built_says_where_its_build_ended(engine: Engine, recipes: Path) -> None:
    short = "ARG BASE\nFROM ${BASE}\nRUN echo this is the reason && exit 3\n"
    (recipes / "base" / "Dockerfile").write_text(short)
    with pytest.raises(ImageFault, match=r"(?s)cannot be built.*this is the reason.*code: 3") as caught:
        resolve_image(engine, "base", settings=Settings(images=recipes))
    assert "fix the recipe" in caught.value.hint


def test_images_that_are_built_and_removed_side_by_side_take_nothing_from_each_other(engine: Engine) -> None:
    base = resolve_image(engine, "base", settings=Settings())

    def build_and_remove(number: int) -> None:
        remove_image(engine, build_on(engine, base, f"ENV FIRST=1\nENV SECOND=2\nENV THIRD={number}").id)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(build_and_remove, range(20))) == [None] * 20


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


# Interpreters, proxies, and the way to another host


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("3.8", None),
        ("3.14", None),
        ("3.7", "is Python 3.7: too old"),
        ("2.7", "is Python 2.7: too old"),
        ("", "is not a Python: it said nothing"),
        ("3.11 and more", "is not a Python: 3.11 and more"),
    ],
)
def test_a_python_that_the_programs_inside_cannot_run_on_is_told(said: str, words: str | None) -> None:
    assert unfit(said) == words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reference", "repository", "tag"),
    [
        ("python", "python", "latest"),
        ("python:3.11-slim", "python", "3.11-slim"),
        ("host.example:5000/team/image", "host.example:5000/team/image", "latest"),
        ("host.example:5000/team/image:1.2", "host.example:5000/team/image", "1.2"),
        (f"python@sha256:{'a' * 64}", "python", f"sha256:{'a' * 64}"),
        (f"host.example:5000/image@sha256:{'a' * 64}", "host.example:5000/image", f"sha256:{'a' * 64}"),
    ],
)
def test_an_image_is_pulled_by_whatever_name_an_engine_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, repository: str, tag: str
) -> None:
    pulled: list[tuple[str, str]] = []
    with FakeEngine(tmp_path / "docker.sock") as fake:
        engine = find_engine(Settings(docker_host=fake.url))
        monkeypatch.setattr(engine.client.api, "pull", lambda name, tag, **_: pulled.append((name, tag)) or iter(()))
        assert image_module._pull(engine, reference)
    assert pulled == [(repository, tag)]


def test_an_interpreter_is_tried_with_the_rights_and_the_environment_that_a_sandbox_gives_it(tmp_path: Path) -> None:
    bodies: list[dict[str, Any]] = []

    class Noting(FakeEngine):
        def create(self, name: str, body: dict[str, Any]) -> Container | None:
            bodies.append(body)
            return super().create(name, body)

    image = Image(IMAGE_ID, "odd", "python3", {"LD_LIBRARY_PATH": "/opt/lib", "PYTHONHOME": "/opt", "PATH": "/opt/bin"})
    with Noting(tmp_path / "docker.sock") as fake:
        engine, added = find_engine(Settings(docker_host=fake.url)), {"LD_LIBRARY_PATH": "/opt/python/lib"}
        assert check_python(engine, image, added) == check_python(engine, image, added) == "3.11"
        check_python(engine, image)
    assert len(bodies) == 2 and bodies.pop()["Env"] != bodies[0]["Env"], "asked once for each environment"
    spec = SandboxSpec(
        **image.basis(added), memory_bytes=1 << 30, cpus=1.0, pids=64, workspace_bytes=MIB, tmp_bytes=MIB
    )
    (tried,), started = bodies, create_body(spec, Placement(UID_FIRST, "0", ()))
    assert sorted(tried["Env"]) == sorted(started["Env"]) and "PYTHONHOME" in tried["Env"]
    assert "LD_LIBRARY_PATH=/opt/python/lib" in tried["Env"], "the task's own"
    assert "0" not in tried["User"].split(":") and tried["User"] and tried["WorkingDir"] == "/"
    assert tried["HostConfig"]["ReadonlyRootfs"] and tried["HostConfig"]["CapDrop"] == ["ALL"]


def test_the_programs_inside_are_of_the_oldest_python_that_is_accepted(project: Path) -> None:
    programs = sorted((project / "runner" / "sandbox" / "inside").glob("*.py"))
    assert len(programs) > 10
    for path in programs:
        ast.parse(path.read_text(), str(path), feature_version=PYTHON_MIN)


@pytest.mark.parametrize("python", ["/bin/sh", "/bin/nope"])
def test_what_is_no_python_is_refused_with_a_word(engine: Engine, nbody_spec: object, python: str) -> None:
    with pytest.raises(ImageFault, match=rf"{python} of image runner-base\S* is not a Python: .+") as caught:
        resolve_image(engine, "base", Settings(), python)
    assert "[image] python" in caught.value.hint
    left = engine.client.api.containers(all=True)
    assert not [entry for entry in left if entry["Command"].startswith(python)], "the container that tried it is gone"


@pytest.mark.parametrize("does", ["sleep 1000", "exec yes"], ids=["waits", "prints without end"])
def test_what_does_not_end_in_the_place_of_a_python_is_ended(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    monkeypatch.setattr(image_module, "VERSION_S", 2.0)
    line = f"RUN printf '#!/bin/sh\\n{does}\\n' > /opt/python && chmod 755 /opt/python"
    base = resolve_image(engine, "base", settings=Settings())
    made = build_on(engine, base, line)
    try:
        with pytest.raises(ImageFault, match="is not a Python: it did not end within 2 s"):
            check_python(engine, replace(made, python="/opt/python"))
    finally:
        remove_image(engine, made.id)
    left = engine.client.api.containers(all=True)
    assert not [entry for entry in left if entry["Command"].startswith("/opt/python")]


def test_a_build_without_an_end_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_module, "BUILD_TOTAL_S", 1.0)
    base = resolve_image(engine, "base", settings=Settings())
    with pytest.raises(ImageFault, match="was not built within"):
        build_on(engine, base, "RUN while true; do echo more; sleep 0.1; done")


def test_proxies_go_under_both_spellings_and_the_ca_bundle_to_what_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, f"/of/{name}")
    environment = host_environment(Settings())
    assert environment["http_proxy"] == environment["HTTP_PROXY"] == "/of/HTTP_PROXY"
    assert environment["https_proxy"] == environment["HTTPS_PROXY"] == "/of/https_proxy"
    assert environment["PIP_CERT"] == environment["SSL_CERT_FILE"] == "/of/REQUESTS_CA_BUNDLE"
    assert _passed_through(Settings())["HTTP_PROXY"] == _passed_through(Settings())["http_proxy"] == "/of/HTTP_PROXY"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("cannot reach https://me:secret@index.example/simple", "cannot reach https://index.example/simple"),
        ("http://token@proxy:3128 and http://a:b@c", "http://proxy:3128 and http://c"),
        ("http://me:p@ss@proxy:3128/", "http://proxy:3128/"),
        ("mail me@example.org at https://example.org/a@b", "mail me@example.org at https://example.org/a@b"),
    ],
)
def test_no_message_holds_a_password_of_an_address(text: str, clean: str) -> None:
    assert without_credentials(text) == clean


@pytest.mark.parametrize("after", range(540, 620, 7))
def test_a_message_that_is_cut_off_in_an_address_holds_no_part_of_its_password(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = f"cannot reach http://someone:secret-of-mine@proxy:3128 {'x' * after}"
    failed = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr("runner.sandbox.image_inputs.subprocess.run", lambda *_, **__: failed)
    with pytest.raises(ImageFault) as caught:
        download_wheels(tmp_path / "requirements.txt", "amd64", tmp_path)
    assert not any(f"{word}@" in caught.value.cause for word in ("mine", "ine", "ne", "e"))


def test_proxies_leave_no_trace_in_an_image(engine: Engine, recipes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (recipes / "base" / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN env > /dev/null\n")
    (recipes / "base" / "requirements.txt").unlink()  # nothing passes through such a proxy
    for name in ("HTTP_PROXY", "https_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "http://me:canary@127.0.0.1:1")
    said: list[str] = []
    image = resolve_image(engine, "base", Settings(images=recipes), say=said.append)
    found = engine.client.images.get(image.id)
    assert "canary" not in json.dumps([found.attrs, found.history(), said])


def test_an_image_goes_to_another_host_in_a_file_with_its_base(engine: Engine, recipes: Path, tmp_path: Path) -> None:
    settings, file = Settings(images=recipes), tmp_path / "images.tar"
    (recipes / "base" / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nLABEL saved=1\n")
    (recipes / "base" / "requirements.txt").unlink()
    first = list_images(engine, settings)[0]
    assert (first.name, first.built) == ("base", False)
    image, version = check_image(engine, "base", settings, "python3", print)
    assert version.startswith("3.")
    size = save_images(engine, ["base"], settings, file, print)
    assert size == file.stat().st_size > 10**6
    engine.client.images.remove(image.reference, force=True)
    assert is_built(engine, "base", settings) is False
    tags = load_images(engine, file)
    assert image.reference in tags and base_of(engine) in tags
    assert is_built(engine, "base", settings) and list_images(engine, settings)[0].arch == engines_arch(engine)
    with pytest.raises(UsageFault, match="is there already"):
        save_images(engine, ["base"], settings, file, print)


def test_a_file_that_is_no_image_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no tar")
    with pytest.raises(UsageFault, match=r"x\.tar holds no images") as refused:
        load_images(engine, tmp_path / "x.tar")
    assert "image save" in refused.value.hint
    with pytest.raises(UsageFault, match="cannot be read"):
        load_images(engine, tmp_path / "none.tar")


def test_an_image_for_another_processor_is_refused(engine: Engine, nbody_spec: object) -> None:
    other = replace(engine, facts=replace(engine.facts, arch="riscv64"))
    with pytest.raises(ImageFault, match=r"is for .*, the engine's machine is riscv64"):
        check_image(other, "base", Settings(), "python3", print)
