"""The bill of materials of an image: every package that it says it has, as checked text."""

from pathlib import Path
from typing import Any

import pytest

from runner.faults import SandboxLost
from runner.report.html.page import _without_bill
from runner.sandbox import bill
from runner.sandbox.bill import as_cyclonedx, bill_of_materials, checked
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import Image, resolve_image
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings

IMAGE = Image("sha256:1", "runner-base:1", "python3", {})


def test_the_bill_of_this_image_names_what_it_was_built_from(
    engine: Engine, fleet: Fleet, nbody_spec: SandboxSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bill, "cache_folder", lambda: tmp_path)
    image = resolve_image(engine, "base", Settings())
    found = bill_of_materials(fleet, nbody_spec, image)
    names = {part["name"]: part["purl"] for part in found["components"]}
    assert names["numpy"].startswith("pkg:pypi/numpy@") and names["libc6"].startswith("pkg:deb/debian/libc6@")
    assert found["metadata"]["component"]["version"] == image.id
    monkeypatch.setattr(bill, "read_packages", lambda *_: pytest.fail("it is kept"))
    assert bill_of_materials(fleet, nbody_spec, image) == found


def test_a_bill_is_cyclonedx_and_the_same_for_the_same_image() -> None:
    found = as_cyclonedx(
        IMAGE, checked([["python", "numpy", "2.1"], ["deb", "libc6", "2.36"], ["deb", "libc6", "2.36"]])
    )
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    assert [part["purl"] for part in found["components"]] == ["pkg:deb/debian/libc6@2.36", "pkg:pypi/numpy@2.1"]


@pytest.mark.parametrize(
    ("package", "url"),
    [
        (("deb", "libstdc++6", "12.2.0-14+deb12u1"), "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1"),
        (("deb", "zlib1g", "1:1.2.13.dfsg-1"), "pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1"),
        (("python", "typing_extensions", "4.12"), "pkg:pypi/typing-extensions@4.12"),
        (("python", "Jinja2", "3.1"), "pkg:pypi/jinja2@3.1"),
        (("python", "torch", "2.5.1+cpu"), "pkg:pypi/torch@2.5.1%2Bcpu"),
        (("python", "x?a=b#c@/é", "1"), "pkg:pypi/x%3Fa%3Db%23c%40%2F%C3%A9@1"),
    ],
)
def test_a_package_has_the_url_by_which_known_holes_are_looked_up(package: tuple[str, str, str], url: str) -> None:
    (component,) = as_cyclonedx(IMAGE, [package])["components"]
    assert (component["name"], component["version"], component["purl"]) == (*package[1:], url)


@pytest.mark.parametrize(
    "hostile",
    [None, {}, [["deb", "x"]], [["npm", "x", "1"]], [["deb", "x" * 201, "1"]], [["deb", "\x1b[2J", "1"]], [["deb", 1, "1"]],
     [["deb", "x", "1"]] * 20_001],
    ids=["nothing", "no list", "two parts", "another type", "too long", "escapes", "a number", "too many"],
)  # fmt: skip
def test_what_is_no_list_of_packages_is_refused(hostile: Any) -> None:
    with pytest.raises(ValueError, match=r"not |no short"):
        checked(hostile)


def test_a_page_tells_how_long_the_bill_is_and_leaves_it_in_the_lock() -> None:
    sbom = as_cyclonedx(IMAGE, [("deb", "libc6", "2.36")])
    assert _without_bill({"image": {"id": "x", "sbom": sbom}, "a": 1}) == {
        "image": {"id": "x", "sbom": "1 packages, in lock.json"},
        "a": 1,
    }
    for odd in ({}, {"image": "x"}, {"image": {"id": "x"}}, {"image": {"sbom": 7}}):
        assert _without_bill(odd) == odd


def test_a_kept_bill_that_a_kill_has_torn_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bill, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(bill, "read_packages", lambda *_: [("deb", "libc6", "2.36")])
    unused: Any = None
    whole = bill_of_materials(unused, unused, IMAGE)
    (kept,) = tmp_path.rglob("*.json")
    kept.write_text(kept.read_text()[:40])
    assert bill_of_materials(unused, unused, IMAGE) == whole == bill_of_materials(unused, unused, IMAGE)


def test_a_full_disk_under_the_caches_costs_no_bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bills").write_text("not a folder")
    monkeypatch.setattr(bill, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(bill, "read_packages", lambda *_: [("deb", "libc6", "2.36")])
    unused: Any = None
    assert bill_of_materials(unused, unused, IMAGE)["bomFormat"] == "CycloneDX"


def test_an_image_whose_packages_cannot_be_read_ends_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bill, "cache_folder", lambda: tmp_path)

    def lost(*_: object) -> None:
        raise SandboxLost(cause="the engine went away", hint="start it")

    unused: Any = None
    monkeypatch.setattr(bill, "read_packages", lost)
    assert bill_of_materials(unused, unused, IMAGE) == {"missing": "the engine went away"}
    assert list(tmp_path.rglob("*.json")) == []
