"""Strangers' images, on an engine that only says what it was asked: no build sees a password, or fetches unasked."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.faults import ImageFault
from runner.sandbox import image_foreign
from runner.sandbox.engine import Engine
from runner.sandbox.image import Image
from runner.sandbox.image_foreign import add_layer, build_foreign
from runner.settings import Settings


class Builds:
    """An engine with every image but those that are to be built."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.said: list[dict[str, str]] = []
        image = SimpleNamespace(id="sha256:1", attrs={"Config": config})
        self.client = SimpleNamespace(
            images=SimpleNamespace(get=lambda reference: image), api=SimpleNamespace(build=self.build)
        )

    def build(self, **how: Any) -> Iterator[dict[str, str]]:
        self.asked.append(how)
        return iter(self.said)


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was built before, and every base is known."""
    monkeypatch.setattr(image_foreign, "_is_there", lambda engine, reference: False)
    monkeypatch.setattr(image_foreign, "find_image", lambda engine, name: Image("sha256:1", name, "python3", {}, ()))
    monkeypatch.setattr(image_foreign, "check_python", lambda engine, image: "3.12")


def built(builds: Builds, settings: Settings, *, network: bool) -> dict[str, Any]:
    build_foreign(
        cast(Engine, builds), "x", "FROM a", ["a"], {"f": (b"", False)}, settings, lambda said: None, network=network
    )
    return builds.asked[-1]


@pytest.mark.usefixtures("ready")
def test_a_build_gets_the_proxies_that_were_named_and_none_of_dockers_own_settings() -> None:
    settings = Settings(http_proxy="http://proxy:3128")
    assert built(Builds({}), settings, network=False)["buildargs"] == {}
    asked = built(Builds({}), settings, network=True)
    assert asked["buildargs"]["http_proxy"] == asked["buildargs"]["HTTP_PROXY"] == "http://proxy:3128"
    assert asked["use_config_proxy"] is False


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("address", ["http://me:hidden@proxy:3128", "me:hidden@proxy:3128"])
def test_a_proxy_with_a_password_is_given_to_no_command_of_a_stranger(address: str) -> None:
    builds = Builds({})
    with pytest.raises(ImageFault) as refused:
        built(builds, Settings(https_proxy=address), network=True)
    assert "hidden" not in str(refused.value) and not builds.asked
    assert built(builds, Settings(https_proxy=address), network=False)["buildargs"] == {}


@pytest.mark.usefixtures("ready")
def test_an_image_whose_commands_wait_for_another_build_is_refused() -> None:
    builds = Builds({"OnBuild": ["ADD http://127.0.0.1/x /app/"]})
    with pytest.raises(ImageFault, match="ONBUILD"):
        built(builds, Settings(), network=True)
    with pytest.raises(ImageFault, match="ONBUILD"):
        add_layer(cast(Engine, builds), "x", "a", ["/app"], {}, None)
    assert not builds.asked


@pytest.mark.usefixtures("ready")
def test_a_build_that_prints_without_end_is_quoted_in_short() -> None:
    builds = Builds({})
    builds.said = [*[{"stream": "y" * 10_000 + "\n"}] * 1000, {"error": "x" * 10_000}]
    with pytest.raises(ImageFault) as failed:
        built(builds, Settings(), network=False)
    assert "yyy" in failed.value.cause and len(failed.value.cause) < 10_000


@pytest.mark.usefixtures("ready")
def test_a_folder_with_spaces_becomes_a_link_like_any_other() -> None:
    builds = Builds({})
    add_layer(cast(Engine, builds), "x", "a", ["/my work/it's"], {}, None)
    script = builds.asked[-1]["fileobj"].getvalue().decode("utf-8", "replace")
    assert "mkdir -p '/my work'\n" in script
