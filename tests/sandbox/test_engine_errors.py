"""What is not the engine's is not called its fault: our own mistakes, and the user's disk."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from runner.faults import EngineFault, ImageFault, SandboxMismatch, UsageFault
from runner.sandbox import container, fleet, image, image_foreign, image_store, leftovers
from runner.sandbox.engine import Engine, engine_errors, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image_store import save_images
from runner.sandbox.spec import AGENT_ROLE, HOLDER_LABEL, LABEL, Placement
from runner.sandbox.verify import read_inspected, summary, verify_container
from runner.settings import Settings
from tests.fakes.docker_engine import FakeEngine
from tests.fakes.faulty_jobs import SPEC


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock") as engine:
        yield engine


def raises(error: Exception) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        raise error

    return call


def test_a_mistake_in_a_containers_spec_is_ours(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "create_body", raises(KeyError("ours")))
    crowd = Fleet(find_engine(Settings(docker_host=fake.url)), "mistakes")
    with pytest.raises(KeyError, match="ours"), crowd.open(SPEC, "toolserver", role=AGENT_ROLE, cpuset="0", run="1"):
        pass


def saving(monkeypatch: pytest.MonkeyPatch, chunks: Callable[[], Iterator[bytes]]) -> Engine:
    """An engine that has one image, and gives it in these pieces."""
    answer = SimpleNamespace(raise_for_status=lambda: None, iter_content=lambda size: chunks(), close=lambda: None)
    api = SimpleNamespace(base_url="", api_version="1.41", get=lambda *_, **__: answer)
    image = SimpleNamespace(reference="runner-base:1")
    monkeypatch.setattr(image_store, "resolve_image", lambda *_, **__: image)
    monkeypatch.setattr(image_store, "base_of", lambda *_: None)
    return SimpleNamespace(client=SimpleNamespace(api=api))  # type: ignore[return-value]


def test_a_file_of_images_that_cannot_be_made_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine = saving(monkeypatch, lambda: iter([b"image"]))
    with pytest.raises(UsageFault, match="cannot be written: No such file or directory"):
        save_images(engine, ["base"], Settings(), tmp_path / "none" / "images.tar", print)
    assert save_images(engine, ["base"], Settings(), tmp_path / "images.tar", print) == len(b"image")


def test_a_file_of_images_that_is_not_whole_is_not_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def breaks_off() -> Iterator[bytes]:
        yield b"a part"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_images(saving(monkeypatch, breaks_off), ["base"], Settings(), tmp_path / "images.tar", print)
    assert list(tmp_path.iterdir()) == []


# What is ours stands beside the engine's calls, and not among them


@pytest.mark.parametrize("ours", ["verify_container", "summary"])
def test_a_mistake_of_ours_while_a_sandbox_starts_is_not_the_engines(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, ours: str
) -> None:
    monkeypatch.setattr(fleet, ours, raises(KeyError("ours")))
    crowd = Fleet(find_engine(Settings(docker_host=fake.url)), "mistakes")
    with pytest.raises(KeyError, match="ours"), crowd.open(SPEC, "toolserver", role=AGENT_ROLE, cpuset="0", run="1"):
        pass
    assert fake.containers == {}


def test_a_mistake_of_ours_while_a_sandbox_moves_is_not_the_engines(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Fleet(find_engine(Settings(docker_host=fake.url)), "mistakes")
    with crowd.open(SPEC, "toolserver", role=AGENT_ROLE, cpuset="0", run="1") as sandbox:
        monkeypatch.setattr(container, "verify_container", raises(TypeError("ours")))
        with pytest.raises(TypeError, match="ours"):
            sandbox.pin("1")


def test_a_mistake_of_ours_about_left_over_containers_is_not_the_engines(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = find_engine(Settings(docker_host=fake.url))
    labels = {LABEL: "sandbox", HOLDER_LABEL: leftovers.holder()}
    engine.client.api.create_container_from_config({"Labels": labels}, name="x")
    monkeypatch.setattr(leftovers, "is_alive", raises(ValueError("ours")))
    with pytest.raises(ValueError, match="ours"):
        leftovers.leftovers(engine)


def built(events: Iterator[Any]) -> Engine:
    """An engine that says this while it builds."""
    images = SimpleNamespace(prune=lambda **_: None)
    return SimpleNamespace(client=SimpleNamespace(api=SimpleNamespace(build=lambda **_: events), images=images))  # type: ignore[return-value]


def build(engine: Engine, folder: Path, say: Callable[[str], None] = print) -> None:
    (folder / "Dockerfile").write_text("FROM x\n")
    image._build(engine, folder, "x", None, "runner-x:1", say, Settings())


@pytest.mark.parametrize("error", [BrokenPipeError(), KeyError("ours"), ValueError("ours")])
def test_a_line_that_cannot_be_told_while_an_image_is_built_is_not_the_engines(
    tmp_path: Path, error: Exception
) -> None:
    with pytest.raises(type(error)):
        build(built(iter([{"stream": "Step 1/1 : FROM x\n"}])), tmp_path, raises(error))


def test_what_an_engine_says_while_it_builds_may_have_any_form(tmp_path: Path) -> None:
    with pytest.raises(EngineFault, match="does not fit its API"):
        build(built(iter([["no", "event"]])), tmp_path)
    with pytest.raises(EngineFault, match="the connection to the engine failed"):
        build(built(_broken()), tmp_path)
    with pytest.raises(ImageFault, match="no such step"):
        build(built(iter([{"stream": 7}, {"error": "no such step"}])), tmp_path)


def _broken() -> Iterator[Any]:
    yield {"stream": "Step 1/1 : FROM x\n"}
    raise ConnectionResetError


def whole() -> dict[str, Any]:
    return {"Config": {}, "HostConfig": {}, "Mounts": [], "Image": "x"}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        None,
        "container",
        {"Config": {}},
        {**whole(), "Config": []},
        {**whole(), "HostConfig": None},
        {**whole(), "Config": {"Env": 7}},
        {**whole(), "Config": {"Env": [7]}},
        {**whole(), "Mounts": {"a": "b"}},
        {**whole(), "Mounts": ["a"]},
        {**whole(), "HostConfig": {"Tmpfs": ["/tmp"]}},
        {**whole(), "HostConfig": {"Tmpfs": {"/tmp": None}}},
        {**whole(), "HostConfig": {"SecurityOpt": "seccomp"}},
        {**whole(), "HostConfig": {"SecurityOpt": [None]}},
    ],
)
def test_an_answer_to_inspect_of_another_form_is_the_engines(answer: Any) -> None:
    with pytest.raises(EngineFault, match="does not fit its API"), engine_errors("inspecting"):
        read_inspected(answer)


FIELDS = ("Env", "Tmpfs", "SecurityOpt", "Mounts", "Healthcheck", "Ulimits", "CapDrop")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, JSON)))
def test_whatever_has_passed_for_an_answer_to_inspect_can_be_compared(odd: dict[str, Any]) -> None:
    answer = {"Image": None, "Mounts": odd["Mounts"], "Config": odd, "HostConfig": odd}
    try:
        inspected = read_inspected(answer)
    except TypeError:
        return
    with pytest.raises(SandboxMismatch):
        verify_container(SPEC, Placement(1, "0", ()), inspected, {})
    assert summary(SPEC, inspected, {}, [])["image"] is None


# What an engine says of an image

said_of_images = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Env", "Volumes", "OnBuild", "WorkingDir"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(said_of_images)
@example({"Env": [7]})
@example(["Env"])
@example({"Volumes": 3})
def test_whatever_an_engine_says_of_an_image_is_understood_or_its_own_fault(config: object) -> None:
    found = SimpleNamespace(id="sha256:1", attrs={"Config": config})
    engine: Any = SimpleNamespace(client=SimpleNamespace(images=SimpleNamespace(get=lambda name: found)))
    for ask in (image.find_image, image_foreign.working_folder):
        with contextlib.suppress(EngineFault, ImageFault):
            ask(engine, "x")


@pytest.mark.parametrize("error", [requests.ConnectionError(), KeyError("Id"), AttributeError(), TypeError()])
def test_an_image_that_is_pulled_with_half_an_answer_is_not_there(error: Exception) -> None:
    images = SimpleNamespace(get=raises(docker.errors.ImageNotFound("no")), pull=raises(error))
    assert not image_foreign.has_image(SimpleNamespace(client=SimpleNamespace(images=images)), "x:1")  # type: ignore[arg-type]
